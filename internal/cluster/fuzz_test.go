package cluster

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// FuzzParse reads whatever the store holds as the records of two nodes and a
// policy. Those that can be read make a table, the same in any order, in which
// slots belong to nodes that may own some.
func FuzzParse(f *testing.F) {
	up := []byte(`{"node":"b","state":"up","version":"2","roles":"x"}`)
	f.Add("a", []byte(`{"node":"a","state":"up","weight":1e308,"roles":"x"}`), up, `{"pins":[{"first":0,"last":4095,"node":"a"}]}`)
	f.Add("a", []byte(`{"node":"a","weight":-1}`), up, `{"canary":{"version":"2","percent":30}}`)
	f.Add("a", []byte(`{"node":"a","state":"draining","roles":"x","weight":1e-320}`), []byte("{"), `{"pins":[{"first":7,"last":65535,"node":"a"}]}`)
	f.Fuzz(func(t *testing.T, node string, one, other []byte, policy string) {
		members := []Member{}
		records := []store.Member{{Node: node, Value: one}, {Node: "b", Value: other}}
		if text, err := json.Marshal(Member{Node: PolicyNode, Policy: policy}); err == nil {
			records = append(records, store.Member{Node: PolicyNode, Value: text})
		}
		for _, r := range records {
			known := func(m Member) bool { return m.Node == r.Node }
			if m, err := parse(r); err == nil && !slices.ContainsFunc(members, known) {
				members = append(members, m)
			}
		}
		table := NewTable(members)
		slices.Reverse(members)
		again := NewTable(members)
		for slot := range im.Slot(im.Slots) {
			m, ok := table.Owner(slot)
			if is, _ := again.Owner(slot); is != m {
				t.Fatalf("slot %d belongs to %q, or to %q in another order", slot, m.Node, is.Node)
			}
			if ok == (len(table.nodes) == 0) || ok && m.Roles == "" {
				t.Fatalf("slot %d belongs to %+v, of %d nodes", slot, m, len(table.nodes))
			}
		}
	})
}
