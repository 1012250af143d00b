package swarm

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock is the system's monotonic clock, the same in all processes.
type clock struct {
	base int64
	from time.Time
}

func newClock() clock {
	var ts unix.Timespec
	from := time.Now()
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("swarm: no monotonic clock: " + err.Error())
	}
	return clock{base: ts.Nano(), from: from}
}

// now is in nanoseconds.
func (c *clock) now() int64 { return c.at(time.Now()) }

// at is the clock's reading at a time.
func (c *clock) at(t time.Time) int64 { return c.base + int64(t.Sub(c.from)) }
