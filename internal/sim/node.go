package sim

import (
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/mailbox/slots"
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
	// held is what the node is to serve, and does; keeping: it is to be looked at.
	held    *slots.Set
	keeping bool
	// waits are those for hand-overs, by slot position.
	waits []wait
	// saidAt is when what was said last arrives, by role link.
	saidAt []time.Duration
}

// epochStart is the wall clock at the beginning of every run.
const epochStart = 1_700_000_000_000

// clock is the node's own.
func (n *node) clock() im.Millis {
	return im.Millis(epochStart + (n.w.now + n.skew).Milliseconds())
}

// name is the node's, as the store and the others know it.
func (n *node) name() string { return n.w.members[n.id].Node }

// healthy reports whether the failure detector hears of the node.
func (n *node) healthy() bool { return n.up && !n.cutOff && n.stalled <= n.w.now }

// boot starts the process with what the placement says.
func (n *node) boot() {
	n.up = true
	n.view = n.w.placement.snapshot()
	n.held, n.keeping, n.waits = slots.New(true), false, make([]wait, len(n.w.slots))
	n.saidAt = make([]time.Duration, len(n.w.nodes)+n.w.plan.gateways)
	n.cores = nil
	for i := range n.w.plan.cores {
		n.cores = append(n.cores, newCore(n, i))
	}
	n.w.logf("node %d: starts", n.id)
	n.assign()
	n.audit(n.cores)
	n.sweep(n.cores)
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

// receive takes a link message off the network, for what is served here.
func (n *node) receive(m *entity.Message) {
	if n.up && n.held.Serves(m.To.Slot()) {
		n.coreOf(m.To.Slot()).enqueue(shard.Input{To: m.To, Msg: m})
	}
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
