package mailbox

import (
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// reading is what a machine's clocks show: the time of day, which may be set,
// and a time since any fixed point, which only goes on, but may stand still
// while the machine is suspended.
type reading struct {
	wall    im.Millis
	elapsed time.Duration
}

// clock is the time of day that never goes back: timers that were set by it
// come due when they should, whatever happens to the system's. Where that is
// ahead, as it is after a suspension, the clock follows; where it is behind,
// it goes on from where it is.
type clock struct {
	read func() reading
	// origin is the time at which elapsed was 0. It only grows.
	origin atomic.Int64
}

func newClock(read func() reading) *clock {
	c := &clock{read: read}
	r := read()
	c.origin.Store(int64(r.wall) - r.elapsed.Milliseconds())
	return c
}

// systemTime reads the clocks of this machine.
func systemTime() func() reading {
	start := time.Now()
	return func() reading {
		t := time.Now()
		return reading{im.Millis(t.UnixMilli()), t.Sub(start)}
	}
}

func (c *clock) now() im.Millis {
	r := c.read()
	elapsed := r.elapsed.Milliseconds()
	ahead := int64(r.wall) - elapsed
	origin := c.origin.Load()
	for ahead > origin {
		if c.origin.CompareAndSwap(origin, ahead) {
			return r.wall
		}
		origin = c.origin.Load()
	}
	return im.Millis(origin + elapsed)
}
