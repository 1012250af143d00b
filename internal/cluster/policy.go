package cluster

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// PolicyNode is the name of the record that holds the Policy. No node can have
// it.
const PolicyNode = "~policy"

// maxPolicy bounds that record.
const maxPolicy = 64 << 10

// Policy is what an operator wants of the placement beyond weights. It is one
// record among those of the nodes, so everybody who knows these knows it.
type Policy struct {
	// Pins put slots on nodes, as long as these are up; later ones count.
	Pins []Pin `json:"pins,omitempty"`
	// Canary gives nodes of one version a share of the slots.
	Canary Canary `json:"canary,omitzero"`
}

// Pin puts the slots First to Last on a node.
type Pin struct {
	First im.Slot `json:"first"`
	Last  im.Slot `json:"last"`
	Node  string  `json:"node"`
}

// Canary gives Percent of the slots, and so of the users, to the nodes of a
// version, and the others to all others. While there is no node of that version,
// or no other, it changes nothing.
type Canary struct {
	Version string  `json:"version,omitempty"`
	Percent float64 `json:"percent,omitempty"`
}

// Validate reports the first thing that cannot be.
func (p *Policy) Validate() error {
	for _, pin := range p.Pins {
		if pin.First > pin.Last || pin.Last >= im.Slots || pin.Node == "" {
			return im.Errorf(im.Invalid, "slots %d to %d cannot be on node %q: slots go from 0 to %d", pin.First, pin.Last, pin.Node, im.Slots-1)
		}
	}
	if c := p.Canary; !(c.Percent >= 0 && c.Percent <= 100) || c.Percent > 0 && c.Version == "" {
		return im.Errorf(im.Invalid, "a canary has a version, and a share from 0 to 100 percent")
	}
	return nil
}

// PinSlots adds a pin, and leaves out those that it replaces.
func (p *Policy) PinSlots(pin Pin) {
	p.Unpin(pin.First, pin.Last)
	p.Pins = append(p.Pins, pin)
	slices.SortFunc(p.Pins, func(a, b Pin) int { return cmp.Compare(a.First, b.First) })
}

// Unpin lets go of slots.
func (p *Policy) Unpin(first, last im.Slot) {
	var kept []Pin
	for _, old := range p.Pins {
		if old.Last < first || old.First > last {
			kept = append(kept, old)
			continue
		}
		if old.First < first {
			kept = append(kept, Pin{old.First, first - 1, old.Node})
		}
		if old.Last > last {
			kept = append(kept, Pin{last + 1, old.Last, old.Node})
		}
	}
	p.Pins = kept
}

// Record is the policy as the store keeps it.
func (p *Policy) Record() (store.Member, error) {
	if err := p.Validate(); err != nil {
		return store.Member{}, err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return store.Member{}, err
	}
	if len(text) > maxPolicy/2 {
		return store.Member{}, im.Errorf(im.TooLarge, "the policy has %d bytes; at most %d are possible: pin longer ranges of slots", len(text), maxPolicy/2)
	}
	m := Member{Node: PolicyNode, Policy: string(text)}
	return m.record()
}

// PolicyOf is the policy among records; one that cannot be read counts as none.
func PolicyOf(members []Member) Policy {
	var p Policy
	for i := range members {
		if members[i].Node == PolicyNode && json.Unmarshal([]byte(members[i].Policy), &p) == nil && p.Validate() == nil {
			return p
		}
	}
	return Policy{}
}

// Nodes are the records of nodes, without the policy's and those of services.
func Nodes(members []Member) []Member {
	nodes := make([]Member, 0, len(members))
	for _, m := range members {
		if m.Node != PolicyNode && m.Service == "" {
			nodes = append(nodes, m)
		}
	}
	return nodes
}

// shares are units of the hash that decides about a canary.
const shares = 1 << 20

// in reports whether something with a hash belongs to the canary.
func (c *Canary) in(hash uint64) bool {
	return float64(mix(hash^0x5ca1ab1e)%shares) < c.Percent/100*shares
}

// Fits reports whether a node's version is the one for a user's slot; without a
// canary, every version is.
func (c *Canary) Fits(version string, slot im.Slot) bool {
	return c.Version == "" || (version == c.Version) == c.Includes(slot)
}

// Includes reports whether a user belongs to the canary: its mailbox's slot does.
func (c *Canary) Includes(slot im.Slot) bool { return c.Version != "" && c.in(uint64(slot)+1) }
