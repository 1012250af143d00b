package bench

import (
	"context"
	"sync/atomic"
)

// device is one device of a run: what it writes, and what it has received.
type device interface {
	// run connects and works until ctx ends. ready is called once, when
	// the device is logged in.
	run(ctx context.Context, ready func())
	// begin lets a sender without a rate begin.
	begin()
	// hand gives the device its next message, which was due at a time;
	// false: it has none left. push sends what was handed.
	hand(due int64) bool
	push()
	// tick is called about once a second.
	tick()
	stats() *counts
}

// counts are a device's figures.
type counts struct {
	sent, acked, refused, reconnects atomic.Uint64
	// lastAck is when acked last grew, in nanoseconds since the run began.
	lastAck atomic.Int64
	ledger  *ledger
}

func (c *counts) stats() *counts { return c }
