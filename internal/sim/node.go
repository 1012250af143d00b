package sim

import (
	"slices"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
)

// node is a mailbox process.
type node struct {
	w  *world
	id int
	up bool
	// cutOff: the store does not hear the node.
	cutOff bool
	// stalled: the process does nothing until then.
	stalled time.Duration
	skew    time.Duration
	view    view
	cores   []*core
	// acquiring and epochs, by slot position.
	acquiring []bool
	epochs    []im.Epoch
	// known is who has acquired each slot last, as far as the node has heard.
	known []im.Owner
}

// epochStart is the wall clock at the beginning of every run.
const epochStart = 1_700_000_000_000

// clock is the node's own.
func (n *node) clock() im.Millis {
	return im.Millis(epochStart + (n.w.now + n.skew).Milliseconds())
}

// healthy reports whether the failure detector hears of the node.
func (n *node) healthy() bool { return n.up && !n.cutOff && n.stalled <= n.w.now }

// boot starts the process with what the placement says.
func (n *node) boot() {
	n.up = true
	n.view = n.w.placement.snapshot()
	n.acquiring = make([]bool, len(n.w.slots))
	n.epochs = make([]im.Epoch, len(n.w.slots))
	n.known = make([]im.Owner, len(n.w.slots))
	n.cores = nil
	for i := range n.w.plan.cores {
		n.cores = append(n.cores, newCore(n, i))
	}
	n.w.logf("node %d: starts", n.id)
	n.acquireMissing()
	n.audit(n.cores)
	n.sweep(n.cores)
}

// audit asks the store now and then whether the node's slots are still its
// own. A node that has nothing to commit would not learn that another one had
// a slot in between, and left messages in it that nobody sends.
func (n *node) audit(cores []*core) {
	n.w.after(n.w.between(time.Second, 3*time.Second), func() {
		if cores[0].dead {
			return
		}
		n.w.store.read(n, func() error {
			for pos, slot := range n.w.slots {
				if c := n.coreOf(slot); c.core.Owns(slot) && n.epochs[pos] != n.w.store.slot(slot).safe {
					n.w.logf("node %d: has lost slot %d without notice", n.id, slot)
					n.drop(slot)
				}
			}
			n.acquireMissing()
			return nil
		}, func(error) { n.audit(cores) })
	})
}

// drop stops serving a slot.
func (n *node) drop(slot im.Slot) {
	c := n.coreOf(slot)
	c.forget([]im.Slot{slot})
	c.core.Drop([]im.Slot{slot}, &im.Error{Kind: im.Unavailable, RetryAfterMS: 100, Detail: "moved"})
	c.wake()
}

// crash ends the process: everything in memory is gone.
func (n *node) crash() {
	n.w.logf("node %d: crashes", n.id)
	n.up = false
	n.count()
	for _, c := range n.cores {
		c.dead = true
	}
}

// count adds what the process did to the report.
func (n *node) count() {
	for _, c := range n.cores {
		if !c.dead {
			n.w.stats.count(&c.core.Stats)
		}
	}
}

func (n *node) coreOf(slot im.Slot) *core { return n.cores[int(slot)%len(n.cores)] }

// receive takes a link message off the network.
func (n *node) receive(m *entity.Message) {
	if n.up {
		n.coreOf(m.To.Slot()).enqueue(shard.Input{To: m.To, Msg: m})
	}
}

// learn hears of a change of the placement.
func (n *node) learn(pos int, version uint64, owner int) {
	if !n.up {
		return
	}
	if !n.w.calm && (n.cutOff || n.stalled > n.w.now) {
		n.w.after(n.w.between(10*time.Millisecond, 200*time.Millisecond), func() { n.learn(pos, version, owner) })
		return
	}
	if !n.view.learn(pos, version, owner) {
		return
	}
	slot := n.w.slots[pos]
	if owner == n.id {
		n.acquireMissing()
		return
	}
	if n.coreOf(slot).core.Owns(slot) {
		n.give(slot)
	}
}

// give hands a slot over in order, or drops it, as a node does that finds out
// that it is another's.
func (n *node) give(slot im.Slot) {
	n.w.logf("node %d: gives up slot %d", n.id, slot)
	if n.w.chance(0.2) {
		n.drop(slot)
		return
	}
	c := n.coreOf(slot)
	c.core.Leave(n.clock(), []im.Slot{slot}, func() {
		if c.dead || c.core.Owns(slot) {
			return
		}
		n.w.logf("node %d: has handed over slot %d", n.id, slot)
		c.forget([]im.Slot{slot})
		n.acquireLater(n.cores)
	})
	c.wake()
}

// announce tells the other nodes and the gateways which slots this one serves,
// unless that is lost on the way.
func (n *node) announce(slots []im.Slot, epochs []im.Epoch) {
	w := n.w
	tell := func(f func()) {
		if !w.fault(w.plan.drop) {
			w.after(w.between(0, w.plan.delay), f)
		}
	}
	for _, to := range w.nodes {
		tell(func() {
			if to.up && !w.net.cut[n.id][to.id] {
				to.heard(n, slots, epochs)
				to.hurry(slots)
			}
		})
	}
	for _, g := range w.gateways {
		tell(func() {
			if g.up && g.ties[n.id] != nil {
				g.route.Learn(w.members[n.id].Node, slots, epochs)
			}
		})
	}
}

// heard remembers who has acquired slots.
func (n *node) heard(owner *node, slots []im.Slot, epochs []im.Epoch) {
	for i, slot := range slots {
		if pos := n.w.slotPos[slot]; epochs[i] > n.known[pos].Epoch {
			n.known[pos] = im.Owner{Node: n.w.members[owner.id].Node, Epoch: epochs[i]}
		}
	}
}

// ownerOf is who has acquired a slot last; nil: the node has not heard.
func (n *node) ownerOf(slot im.Slot) *im.Owner {
	o := n.known[n.w.slotPos[slot]]
	if o.Epoch == 0 {
		return nil
	}
	return &o
}

// reached hears that there is a way to another node again.
func (n *node) reached(peer *node) {
	if !n.up {
		return
	}
	var slots []im.Slot
	for pos, slot := range n.w.slots {
		if n.view.owner[pos] == peer.id {
			slots = append(slots, slot)
		}
	}
	n.hurry(slots)
}

// hurry sends again what waits for slots.
func (n *node) hurry(slots []im.Slot) {
	for _, c := range n.cores {
		c.answer(func() { c.core.Hurry(n.clock(), slots) })
	}
}

// acquireMissing acquires the slots that are to be this node's.
func (n *node) acquireMissing() {
	var slots []im.Slot
	for pos, slot := range n.w.slots {
		if n.view.owner[pos] == n.id && !n.acquiring[pos] && !n.coreOf(slot).core.Owns(slot) {
			n.acquiring[pos] = true
			slots = append(slots, slot)
		}
	}
	if len(slots) > 0 {
		n.acquire(slots)
	}
}

// acquire takes slots in the store, finds who owes messages, and serves.
func (n *node) acquire(slots []im.Slot) {
	cores := n.cores
	n.w.store.acquire(n, slots, func(epochs []im.Epoch, err error) {
		if err != nil {
			n.acquired(cores, slots, nil, nil, err)
			return
		}
		n.w.store.pending(n, slots, func(pending []im.Addr, err error) {
			n.acquired(cores, slots, epochs, pending, err)
		})
	})
}

func (n *node) acquired(cores []*core, slots []im.Slot, epochs []im.Epoch, pending []im.Addr, err error) {
	if len(cores) == 0 || cores[0].dead {
		return
	}
	n.w.logf("node %d: acquired slots %v with epochs %v, pending %v, err %v", n.id, slots, epochs, pending, err)
	for i, slot := range slots {
		pos := n.w.slotPos[slot]
		n.acquiring[pos] = false
		if err == nil && n.view.owner[pos] == n.id {
			n.epochs[pos] = epochs[i]
			n.coreOf(slot).core.Own(slot, epochs[i])
		}
	}
	for _, a := range pending {
		c := n.coreOf(a.Slot())
		c.core.Wake(n.clock(), a)
		c.wake()
	}
	if err != nil {
		n.acquireLater(cores)
		return
	}
	n.heard(n, slots, epochs)
	n.announce(slots, epochs)
}

// acquireLater tries again what could not be acquired or was lost.
func (n *node) acquireLater(cores []*core) {
	n.w.after(n.w.between(50*time.Millisecond, time.Second), func() {
		if !cores[0].dead {
			n.acquireMissing()
		}
	})
}

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
		c.forget(lost)
		c.n.acquireLater(c.n.cores)
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
