package cluster

import (
	"encoding/json"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// State says whether a node takes part.
type State string

// The states of a node.
const (
	// Up: it serves.
	Up State = "up"
	// Draining: it hands over what it has, and will leave.
	Draining State = "draining"
)

// Member is what a node says of itself.
type Member struct {
	// Node is its name, which no other node has.
	Node string `json:"node"`
	// Started tells two lives of a node apart.
	Started im.Millis `json:"started_ms"`
	// Beat counts how often the record has been written.
	Beat    uint64 `json:"beat,omitempty"`
	State   State  `json:"state"`
	Version string `json:"version"`
	// Roles is where gateways reach its mailboxes; empty: it has none.
	Roles string `json:"roles,omitempty"`
	// Weight is its share of the slots, compared with the others'; 0 is 1.
	Weight float64 `json:"weight,omitempty"`
	// Link and HTTP are where clients reach its gateway; empty: it has none.
	Link string `json:"link,omitempty"`
	HTTP string `json:"http,omitempty"`
	// TLS: its HTTP API asks for it.
	TLS bool   `json:"tls,omitempty"`
	Ops string `json:"ops,omitempty"`
	// Router is where others ask it who serves what; empty: it is no router.
	Router string `json:"router,omitempty"`
	// Relay is where mailbox nodes reach its relay, which leads to the Regions,
	// comma-separated, from Region, where Directory is the one that knows where
	// users live; empty: it is no relay for others.
	Relay     string `json:"relay,omitempty"`
	Region    string `json:"region,omitempty"`
	Directory string `json:"directory,omitempty"`
	Regions   string `json:"regions,omitempty"`
	// Links is how many clients are connected, of MaxLinks.
	Links    int64 `json:"links,omitempty"`
	MaxLinks int64 `json:"max_links,omitempty"`
	// Policy is the operator's, in the record that holds it; see PolicyNode.
	Policy string `json:"policy,omitempty"`
	// Service is what a server that is no node of this program is, as somebody
	// registered it: kind/region, at Address.
	Service string `json:"service,omitempty"`
	Address string `json:"address,omitempty"`
	Cell    string `json:"cell,omitempty"`
}

// weight is Weight as it counts.
func (m *Member) weight() float64 {
	if m.Weight <= 0 {
		return 1
	}
	return m.Weight
}

// maxRecord bounds a node's record.
const maxRecord = 4 << 10

// most is how large the record may be.
func (m *Member) most() int {
	if m.Node == PolicyNode {
		return maxPolicy
	}
	return maxRecord
}

// record is the member as the store keeps it.
func (m *Member) record() (store.Member, error) {
	value, err := json.Marshal(m)
	if err != nil {
		return store.Member{}, im.Errorf(im.Invalid, "the node's record cannot be written: %w", err)
	}
	if len(value) > m.most() {
		return store.Member{}, im.Errorf(im.TooLarge, "the node's record has %d bytes; at most %d are possible", len(value), m.most())
	}
	return store.Member{Node: m.Node, Value: value}, nil
}

// parse reads a record; one that cannot be read is of no use to anybody.
func parse(r store.Member) (Member, error) {
	var m Member
	if len(r.Value) > (&Member{Node: r.Node}).most() {
		return m, im.Errorf(im.TooLarge, "the record of node %q has %d bytes", r.Node, len(r.Value))
	}
	if err := json.Unmarshal(r.Value, &m); err != nil {
		return m, im.Errorf(im.Invalid, "the record of node %q cannot be read: %w", r.Node, err)
	}
	if m.Node != r.Node || m.Node == "" {
		return m, im.Errorf(im.Invalid, "the record of node %q says that it is of %q", r.Node, m.Node)
	}
	return m, nil
}
