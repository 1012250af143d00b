package shake

import (
	"slices"
	"time"
)

// clock is virtual time with timers.
type clock struct {
	now    time.Time
	timers []*timer
}

type timer struct {
	at  time.Time
	run func()
}

func newClock() *clock { return &clock{now: time.UnixMilli(1_700_000_000_000)} }

func (c *clock) Now() time.Time { return c.now }

func (c *clock) After(d time.Duration, f func()) func() bool {
	t := &timer{c.now.Add(d), f}
	i, _ := slices.BinarySearchFunc(c.timers, t, func(a, b *timer) int {
		if a.at.After(b.at) {
			return 1
		}
		return -1
	})
	c.timers = slices.Insert(c.timers, i, t)
	return func() bool {
		i := slices.Index(c.timers, t)
		if i >= 0 {
			c.timers = slices.Delete(c.timers, i, i+1)
		}
		return i >= 0
	}
}

// advance lets time pass.
func (c *clock) advance(d time.Duration) {
	end := c.now.Add(d)
	for len(c.timers) > 0 && !c.timers[0].at.After(end) {
		t := c.timers[0]
		c.timers = c.timers[1:]
		c.now = t.at
		t.run()
	}
	c.now = end
}
