package sim

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/im"
)

// drain lets a node hand over what it has and leave; then it joins again.
func (p *placement) drain(n *node) {
	if !n.up {
		return
	}
	p.w.logf("placement: node %d drains", n.id)
	p.describe(n, func(m *cluster.Member) { m.State = cluster.Draining })
	p.follow()
	p.w.after(p.w.between(100*time.Millisecond, 1500*time.Millisecond), func() { p.w.crashNode(n) })
}

// joined: a node has started.
func (p *placement) joined(n *node) {
	drained := p.w.members[n.id].State == cluster.Draining
	p.describe(n, func(m *cluster.Member) { m.State = cluster.Up })
	if drained || p.w.rng.IntN(2) == 0 {
		p.follow()
	}
}

// describe changes what a node says of itself.
func (p *placement) describe(n *node, change func(*cluster.Member)) {
	p.w.members = slices.Clone(p.w.members)
	change(&p.w.members[n.id])
}

// wish changes what the operator wants: slots on a node, or a share of them on the
// nodes of a version.
func (p *placement) wish() {
	n, slot := p.w.nodes[p.w.rng.IntN(len(p.w.nodes))], p.w.slots[p.w.rng.IntN(len(p.w.slots))]
	switch p.w.rng.IntN(4) {
	case 0:
		p.w.logf("placement: slot %d may be anywhere", slot)
		p.policy.Unpin(slot, slot)
	case 1, 2:
		p.w.logf("placement: slot %d is to be on node %d", slot, n.id)
		p.policy.PinSlots(cluster.Pin{First: slot, Last: slot, Node: p.w.members[n.id].Node})
	default:
		share := float64(p.w.rng.IntN(101))
		p.w.logf("placement: node %d has another version, for %.0f%% of the slots", n.id, share)
		p.describe(n, func(m *cluster.Member) { m.Version = "next" })
		p.policy.Canary = cluster.Canary{Version: "next", Percent: share}
	}
	p.follow()
}

// follow moves the slots to where package cluster, by what there is of nodes and by
// the operator's policy, wants them.
func (p *placement) follow() {
	table := cluster.NewTable(p.records())
	for pos, slot := range p.w.slots {
		m, ok := table.Owner(slot)
		if !ok {
			return
		}
		if to := p.w.nodeNamed(m.Node).id; to != p.owner[pos] {
			p.w.logf("placement: slot %d moves from node %d to node %d, where it belongs", slot, p.owner[pos], to)
			p.move(pos, to)
		}
	}
}

// records are those of the nodes that are there, and that of the policy.
func (p *placement) records() (list []cluster.Member) {
	for _, n := range p.w.nodes {
		if n.up {
			list = append(list, p.w.members[n.id])
		}
	}
	text, err := json.Marshal(&p.policy)
	if err != nil {
		p.w.fail("the policy cannot be written: %v", err)
	}
	if p.w.defect == PolicyForgotten {
		return list
	}
	return append(list, cluster.Member{Node: cluster.PolicyNode, Policy: string(text)})
}

// unheeded is a slot that is not served where the operator wants it; false: none is.
func (p *placement) unheeded() (im.Slot, bool) {
	for _, pin := range p.policy.Pins {
		if n := p.w.nodeNamed(pin.Node); n.up && !n.coreOf(pin.First).core.Owns(pin.First) {
			return pin.First, true
		}
	}
	return 0, false
}
