package sim

import (
	"slices"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
)

// core is one shard of a node: a Core, its queue and its commit in flight,
// turned as package shard's goroutine turns them.
type core struct {
	n       *node
	index   int
	core    *shard.Core
	queue   []shard.Input
	busy    bool
	dead    bool
	turning bool
	tickAt  time.Duration
	// live are the entities the core was given, to look at them at the end.
	live map[im.Addr]entity.Entity
	// open counts commands that were not answered yet.
	open int
}

func newCore(n *node, index int) *core {
	c := &core{n: n, index: index, live: map[im.Addr]entity.Entity{}}
	cfg := n.w.plan.core
	cfg.Jitter = n.w.jitter
	cfg.OwnerOf = n.ownerOf
	cfg.Confirm = n.w.defect != ReadsUnconfirmed
	cfg.Traces = n.w.recorder(n.clock)
	c.core = shard.NewCore(cfg, c)
	return c
}

// enqueue queues an input.
func (c *core) enqueue(in shard.Input) {
	if c.dead {
		return
	}
	if in.Done != nil {
		c.open++
	}
	c.queue = append(c.queue, in)
	c.wake()
}

// wake plans a turn.
func (c *core) wake() {
	if c.dead || c.turning {
		return
	}
	c.turning = true
	w := c.n.w
	w.at(max(c.n.stalled, w.now+w.between(0, w.plan.turnDelay)), func() {
		c.turning = false
		c.turn()
	})
}

func (c *core) turn() {
	if c.dead {
		return
	}
	if c.n.stalled > c.n.w.now {
		c.wake()
		return
	}
	now := c.n.clock()
	for len(c.queue) > 0 && !c.core.Full() {
		in := c.queue[0]
		c.queue = c.queue[1:]
		c.core.Handle(now, in)
	}
	if next := c.core.NextTick(); next != 0 && next <= now {
		c.core.Tick(now)
	}
	c.core.Evict(now)
	c.cut(now)
	c.planTick(now)
}

// cut sends the batch being filled to the store, when none is there.
func (c *core) cut(now im.Millis) {
	for !c.busy {
		b := c.core.Cut()
		if b == nil {
			return
		}
		if len(b.Changes.Changes) == 0 {
			c.core.Done(now, b, nil)
			continue
		}
		c.busy = true
		c.n.w.stats.Commits++
		c.n.checkTenure(&b.Changes)
		c.n.w.store.commit(c.n, &b.Changes, func(err error) { c.committed(b, err) })
	}
}

func (c *core) committed(b *shard.Batch, err error) {
	if c.dead {
		return
	}
	if wait := c.n.stalled; wait > c.n.w.now {
		c.n.w.at(wait, func() { c.committed(b, err) })
		return
	}
	c.busy = false
	if err != nil {
		c.n.w.logf("node %d core %d: commit failed: %v", c.n.id, c.index, err)
	}
	if lost := c.core.Done(c.n.clock(), b, err); len(lost) > 0 {
		c.n.lost(c, lost, err)
	}
	c.wake()
}

// forget drops the entities of slots from those that live here.
func (c *core) forget(slots []im.Slot) {
	for a := range c.live {
		if slices.Contains(slots, a.Slot()) {
			delete(c.live, a)
		}
	}
}

// planTick sees to it that the core's timers run.
func (c *core) planTick(now im.Millis) {
	next := c.core.NextTick()
	if next == 0 {
		return
	}
	w := c.n.w
	at := w.now + time.Duration(max(1, next-now))*time.Millisecond
	if c.tickAt > w.now && c.tickAt <= at {
		return
	}
	c.tickAt = at
	w.at(at, c.wake)
}

// Forward implements shard.Host.
func (c *core) Forward(m *entity.Message) { c.n.w.net.send(c.n, m) }

// answer runs f, the answer to a read, when the process gets to it.
func (c *core) answer(f func()) {
	switch w := c.n.w; {
	case c.dead:
	case c.n.stalled > w.now:
		w.at(c.n.stalled, func() { c.answer(f) })
	default:
		f()
		c.wake()
	}
}

// Load implements shard.Host.
func (c *core) Load(a im.Addr, ticket uint64) {
	var ent entity.Entity
	c.n.w.store.read(c.n, func() (err error) {
		ent, err = c.n.w.loadEntity(c, a)
		if err != nil {
			c.n.w.fail("%v cannot be loaded: %v", a, err)
		}
		return nil
	}, func(err error) {
		c.answer(func() { c.core.Loaded(c.n.clock(), a, ticket, ent, err) })
	})
}

// ReadTimeline implements shard.Host.
func (c *core) ReadTimeline(a im.Addr, s im.SessionID, from im.Seq, limit, maxBytes int) {
	var entries []im.LogEntry
	c.n.w.store.read(c.n, func() error {
		entries = c.n.w.store.readLog(a, from, limit, maxBytes)
		return nil
	}, func(err error) {
		if err != nil {
			entries = nil
		}
		c.answer(func() { c.core.TimelineRead(c.n.clock(), a, s, entries, err) })
	})
}

// ReadEntries implements shard.Host. A read that fails brings a part.
func (c *core) ReadEntries(a, peer im.Addr, seqs []im.Seq) {
	var entries []im.LogEntry
	c.n.w.store.read(c.n, func() error {
		for _, seq := range seqs {
			entries = append(entries, c.n.w.store.readLog(a, seq, 1, 1<<20)...)
		}
		return nil
	}, func(err error) {
		if err != nil {
			entries = entries[:c.n.w.rng.IntN(len(entries)+1)]
		}
		c.answer(func() { c.core.EntriesRead(c.n.clock(), a, peer, entries) })
	})
}
