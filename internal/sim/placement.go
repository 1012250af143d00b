package sim

import (
	"time"

	"github.com/skein-im/skein/internal/cluster"
)

// placement decides which node is to own which slot. It moves the slots of
// nodes that seem to be dead, rightly or not, and its decisions spread slowly
// and out of order: nodes and gateways act on old ones.
type placement struct {
	w *world
	// owner and version of each slot, by position in world.slots.
	owner   []int
	version []uint64
	// suspect is since when a node has not been heard of.
	suspect  []time.Duration
	patience time.Duration
	// policy is what the operator wants.
	policy cluster.Policy
}

// view is what somebody knows of the placement.
type view struct {
	w       *world
	owner   []int
	version []uint64
}

func (v *view) learn(pos int, version uint64, owner int) bool {
	if version <= v.version[pos] {
		return false
	}
	v.version[pos], v.owner[pos] = version, owner
	return true
}

func newPlacement(w *world) *placement {
	p := &placement{w: w, patience: w.between(200*time.Millisecond, 3*time.Second)}
	for range w.slots {
		p.owner = append(p.owner, w.rng.IntN(w.plan.nodes))
		p.version = append(p.version, 1)
	}
	p.suspect = make([]time.Duration, w.plan.nodes)
	return p
}

// snapshot is the view of somebody who asks now.
func (p *placement) snapshot() view {
	return view{p.w, append([]int(nil), p.owner...), append([]uint64(nil), p.version...)}
}

// move gives a slot to a node and spreads the news.
func (p *placement) move(pos, to int) {
	p.w.bank.doubt(pos, p.w.nodes[p.owner[pos]])
	p.owner[pos] = to
	p.version[pos]++
	p.spread(pos)
}

func (p *placement) spread(pos int) {
	version, owner := p.version[pos], p.owner[pos]
	for _, n := range p.w.nodes {
		p.w.after(p.w.between(0, p.w.plan.staleness), func() { n.learn(pos, version, owner) })
	}
	for _, g := range p.w.gateways {
		p.w.after(p.w.between(0, p.w.plan.staleness), func() { g.learn(pos, version, owner) })
	}
}

// watch looks after the nodes until the faults are over.
func (p *placement) watch() {
	if p.w.calm {
		return
	}
	for i, n := range p.w.nodes {
		switch {
		case n.healthy():
			p.suspect[i] = 0
		case p.suspect[i] == 0:
			p.suspect[i] = p.w.now
		case p.w.now-p.suspect[i] > p.patience:
			p.evacuate(i)
		}
	}
	p.w.after(100*time.Millisecond, p.watch)
}

// evacuate moves a node's slots to nodes that are heard of.
func (p *placement) evacuate(from int) {
	var healthy []int
	for i, n := range p.w.nodes {
		if n.healthy() {
			healthy = append(healthy, i)
		}
	}
	if len(healthy) == 0 {
		return
	}
	for pos, owner := range p.owner {
		if owner == from {
			to := healthy[p.w.rng.IntN(len(healthy))]
			p.w.logf("placement: slot %d moves from node %d, which is not heard of, to node %d", p.w.slots[pos], from, to)
			p.move(pos, to)
		}
	}
}

// shuffle moves some slots for no reason.
func (p *placement) shuffle() {
	for pos := range p.owner {
		if p.w.chance(0.5) {
			to := p.w.rng.IntN(len(p.w.nodes))
			p.w.logf("placement: slot %d moves from node %d to node %d", p.w.slots[pos], p.owner[pos], to)
			p.move(pos, to)
		}
	}
}

// settle gives every slot to whom it belongs and tells everybody again, at the end.
func (p *placement) settle() {
	p.follow()
	for pos := range p.owner {
		p.spread(pos)
	}
}
