package bench

import (
	"context"
	"time"
)

// pace hands out messages at the rate: message k is due k/rate seconds after
// the start, and users take turns.
func (c *chat) pace(ctx context.Context) {
	active := make([]device, 0, len(c.senders))
	for _, i := range newRand(c.cfg.Seed, 2).Perm(len(c.senders)) {
		active = append(active, c.senders[i])
	}
	interval := float64(time.Second) / c.cfg.Rate
	began := c.now()
	dueAt := func(k int) int64 { return began + int64(float64(k)*interval) }
	var turn []handedOut
	for k := 0; len(active) > 0 && !c.over.Load(); {
		now := c.now()
		for len(active) > 0 && dueAt(k) <= now && len(turn) < maxTurn {
			i := k % len(active)
			if !active[i].hand(dueAt(k)) {
				active[i] = active[len(active)-1]
				active = active[:len(active)-1]
				continue
			}
			turn = append(turn, handedOut{active[i], dueAt(k)})
			k++
		}
		c.push(turn)
		turn = turn[:0]
		if wait := time.Duration(dueAt(k) - c.now()); wait > 0 && !pause(ctx, max(wait, minTurn)) || ctx.Err() != nil {
			return
		}
	}
}

const (
	// minTurn is how long the pace rests at least, so that it does not
	// spend more on waking up than on sending.
	minTurn = time.Millisecond
	// maxTurn is how many messages are handed out before they are pushed.
	maxTurn = 1024
)

type handedOut struct {
	device device
	due    int64
}

// push sends what was handed out. A device that appears twice has nothing
// left the second time.
func (c *chat) push(turn []handedOut) {
	for _, h := range turn {
		h.device.push()
		c.lateness.record(0, c.now()-h.due)
	}
}

// ticks is how many parts the devices are looked after in, one every
// tickEvery.
const (
	ticks     = 10
	tickEvery = 100 * time.Millisecond
)

// tick looks after each device about once a second.
func (c *chat) tick(ctx context.Context) {
	for part := 0; pause(ctx, tickEvery); part = (part + 1) % ticks {
		for i := part; i < len(c.devices); i += ticks {
			c.devices[i].tick()
		}
	}
}
