//go:build !linux

package swarm

import "time"

// clock is the system's clock, the same in all processes.
type clock struct{}

func newClock() clock { return clock{} }

// now is in nanoseconds.
func (*clock) now() int64 { return time.Now().UnixNano() }
