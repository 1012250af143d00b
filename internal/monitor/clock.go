package monitor

import "time"

// jump is how many seconds the system's clock may be off before that is worth a
// word.
const jump = 2

// clock makes the Monitor's seconds of the system's clock. They never go back:
// when the system's clock does, they go on as time passes, and follow it again
// when it has caught up.
type clock struct {
	wall func() int64
	// began is a monotonic time, and base the second that it stands for.
	began time.Time
	base  int64
	last  int64
	// behind: the system's clock is earlier than the Monitor's seconds.
	behind bool
}

func newClock(wall func() int64) *clock {
	c := &clock{wall: wall, began: time.Now(), base: wall()}
	c.last = c.base
	return c
}

// now is the second it is. jumped is by how much the system's clock was found to
// have jumped just now; 0: it has not.
func (c *clock) now() (at, jumped int64) {
	own := c.base + int64(time.Since(c.began)/time.Second)
	switch off := c.wall() - own; {
	case off < -jump:
		if !c.behind {
			jumped = off
		}
		c.behind = true
	default:
		c.behind = false
		c.base += off
		own += off
		if off > jump {
			jumped = off
		}
	}
	c.last = max(c.last, own)
	return c.last, jumped
}
