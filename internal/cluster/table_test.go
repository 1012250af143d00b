package cluster

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/skein-im/skein/internal/im"
)

func nodes(weights ...float64) []Member {
	var list []Member
	for i, w := range weights {
		list = append(list, Member{Node: fmt.Sprintf("node-%d", i+1), State: Up, Roles: "x:1", Weight: w})
	}
	return list
}

func ownerOf(t *Table, s im.Slot) string {
	m, _ := t.Owner(s)
	return m.Node
}

// The placement is part of what versions must agree on.
func TestPlacementIsPinned(t *testing.T) {
	table := NewTable(nodes(1, 1, 2))
	got := ""
	for slot := range im.Slot(16) {
		got += ownerOf(table, slot)[5:]
	}
	const want = "2313222331123131"
	if got != want {
		t.Errorf("slots 0 to 15 are with %s, not %s", got, want)
	}
}

func TestSharesFollowWeights(t *testing.T) {
	table := NewTable(nodes(1, 1, 2))
	for i, share := range []float64{0.25, 0.25, 0.5} {
		n := float64(len(table.SlotsOf(fmt.Sprintf("node-%d", i+1))))
		// Five standard deviations.
		if off := math.Abs(n - share*im.Slots); off > 5*math.Sqrt(im.Slots*share*(1-share)) {
			t.Errorf("node %d has %v slots of %d", i+1, n, im.Slots)
		}
	}
}

// Who comes takes from all others, who goes leaves to all others, and nothing
// moves between the rest.
func TestOnlySlotsOfWhoComesAndGoesMove(t *testing.T) {
	all := nodes(1, 3, 1, 0, 2)
	before := NewTable(all)
	for gone := range all {
		rest := append(append([]Member(nil), all[:gone]...), all[gone+1:]...)
		rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
		after := NewTable(rest)
		heirs := map[string]bool{}
		for slot := range im.Slot(im.Slots) {
			was, is := ownerOf(before, slot), ownerOf(after, slot)
			if was == all[gone].Node {
				heirs[is] = true
			} else if was != is {
				t.Fatalf("without %s, slot %d moves from %s to %s", all[gone].Node, slot, was, is)
			}
		}
		if len(heirs) != len(rest) {
			t.Errorf("the slots of %s go to %v", all[gone].Node, heirs)
		}
	}
}

func TestDrainingNodesHaveSlotsOnlyWhenAlone(t *testing.T) {
	list := nodes(1, 1)
	list[0].State = Draining
	if n := len(NewTable(list).SlotsOf("node-1")); n != 0 {
		t.Errorf("a draining node has %d slots", n)
	}
	if n := len(NewTable(list[:1]).SlotsOf("node-1")); n != im.Slots {
		t.Errorf("a draining node that is alone has %d slots", n)
	}
}

func TestGatewaysHaveNoSlots(t *testing.T) {
	table := NewTable([]Member{{Node: "gate", State: Up, Link: "x:1"}})
	if m, ok := table.Owner(7); ok {
		t.Errorf("slot 7 is with %s", m.Node)
	}
	if len(table.Nodes()) != 0 || table.SlotsOf("gate") != nil {
		t.Error("a gateway may own slots")
	}
}
