package cluster

import (
	"cmp"
	"math"
	"slices"

	"github.com/skein-im/skein/internal/im"
)

// nobody owns a slot when there is no node.
const nobody = math.MaxUint16

// MaxNodes is how many mailbox nodes a table can tell apart.
const MaxNodes = nobody

// Table says which node owns which slot.
type Table struct {
	// nodes by name.
	nodes  []Member
	owners [im.Slots]uint16
}

// NewTable places the slots on those of the members that have mailboxes, as the
// policy among them wants it. The order of the members does not matter.
func NewTable(members []Member) *Table {
	t := &Table{nodes: eligible(members)}
	policy := PolicyOf(members)
	keys := make([]uint64, len(t.nodes))
	for i := range t.nodes {
		keys[i] = nameHash(t.nodes[i].Node)
	}
	canary, others := t.split(policy.Canary.Version)
	for slot := range t.owners {
		candidates := others
		if policy.Canary.Includes(im.Slot(slot)) {
			candidates = canary
		}
		t.owners[slot] = t.place(uint64(slot), keys, candidates)
	}
	t.pin(policy.Pins)
	return t
}

// split are the nodes of a version and all others; where there are only ones or
// only others, everybody is both.
func (t *Table) split(version string) (canary, others []uint16) {
	var all []uint16
	for i := range t.nodes {
		all = append(all, uint16(i))
		if version != "" && t.nodes[i].Version == version {
			canary = append(canary, uint16(i))
		} else {
			others = append(others, uint16(i))
		}
	}
	if len(canary) == 0 || len(others) == 0 {
		return all, all
	}
	return canary, others
}

// pin puts slots where the operator wants them, if that node may own slots.
func (t *Table) pin(pins []Pin) {
	for _, p := range pins {
		i := slices.IndexFunc(t.nodes, func(m Member) bool { return m.Node == p.Node })
		if i < 0 {
			continue
		}
		for slot := p.First; slot <= p.Last; slot++ {
			t.owners[slot] = uint16(i)
		}
	}
}

// eligible are the nodes that may own slots, by name.
func eligible(members []Member) []Member {
	var up, draining []Member
	for _, m := range members {
		switch {
		case m.Roles == "":
		case m.State == Draining:
			draining = append(draining, m)
		default:
			up = append(up, m)
		}
	}
	if len(up) == 0 {
		up = draining
	}
	slices.SortFunc(up, func(a, b Member) int { return cmp.Compare(a.Node, b.Node) })
	return up[:min(len(up), MaxNodes)]
}

// place finds the one of some nodes with the highest score for a slot: weighted rendezvous
// hashing, where a node's score is -weight/ln(u) for a number u in (0, 1) that
// depends on node and slot alone.
func (t *Table) place(slot uint64, keys []uint64, candidates []uint16) uint16 {
	best, top := uint16(nobody), math.Inf(-1)
	for _, i := range candidates {
		u := (float64(mix(keys[i]^mix(slot+1))>>11) + 0.5) / (1 << 53)
		if score := -t.nodes[i].weight() / math.Log(u); score > top {
			best, top = i, score
		}
	}
	return best
}

// nameHash is FNV-1a, which every version has to agree on.
func nameHash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Owner is the node that owns a slot; false: there is none.
func (t *Table) Owner(slot im.Slot) (Member, bool) {
	i := t.owners[slot]
	if i == nobody {
		return Member{}, false
	}
	return t.nodes[i], true
}

// SlotsOf are the slots of a node, ascending.
func (t *Table) SlotsOf(node string) []im.Slot {
	i := slices.IndexFunc(t.nodes, func(m Member) bool { return m.Node == node })
	var slots []im.Slot
	for slot, owner := range t.owners {
		if int(owner) == i && i >= 0 {
			slots = append(slots, im.Slot(slot))
		}
	}
	return slots
}

// Nodes are the nodes that may own slots, by name.
func (t *Table) Nodes() []Member { return slices.Clone(t.nodes) }
