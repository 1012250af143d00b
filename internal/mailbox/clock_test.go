package mailbox

import (
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/skein-im/skein/internal/im"
)

func TestClock(t *testing.T) {
	r := reading{wall: 1_000_000, elapsed: 5 * time.Second}
	c := newClock(func() reading { return r })
	for _, step := range []struct {
		what          string
		wall, elapsed int64
		want          im.Millis
	}{
		{"both go on", 1000, 1000, 1_001_000},
		{"the clock is set back by an hour", -3_600_000, 10, 1_001_010},
		{"and goes on from there", 500, 500, 1_001_510},
		{"it is set right", 3_600_010, 10, 1_001_520},
		{"the machine is suspended for a minute", 60_000, 0, 1_061_510},
		{"both go on", 100, 100, 1_061_610},
		{"the clock is slowed down", 90, 100, 1_061_710},
	} {
		r.wall += im.Millis(step.wall)
		r.elapsed += time.Duration(step.elapsed) * time.Millisecond
		if got := c.now(); got != step.want {
			t.Fatalf("%s: the time is %d, want %d", step.what, got, step.want)
		}
	}
}

// Whatever is done to the time of day, the clock goes on at least as fast as
// time passes.
func TestClockGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := reading{wall: 1_000_000_000}
		c := newClock(func() reading { return r })
		last := c.now()
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			passed := rapid.Int64Range(0, 10_000).Draw(t, "passed")
			r.elapsed += time.Duration(passed) * time.Millisecond
			r.wall += im.Millis(rapid.Int64Range(-100_000, 100_000).Draw(t, "wall"))
			now := c.now()
			if now < last+im.Millis(passed) || now < r.wall {
				t.Fatalf("%d after %d and %d ms; the time of day is %d", now, last, passed, r.wall)
			}
			last = now
		}
	})
}

func TestClockOfTheSystem(t *testing.T) {
	c := newClock(systemTime())
	if d := time.Since(time.UnixMilli(int64(c.now()))); d < -time.Second || d > time.Minute {
		t.Fatalf("the clock is off by %v", d)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			last := im.Millis(0)
			for range 10_000 {
				now := c.now()
				if now < last {
					t.Errorf("%d after %d", now, last)
				}
				last = now
			}
		})
	}
	wg.Wait()
}
