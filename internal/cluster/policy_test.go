package cluster

import (
	"math"
	"slices"
	"testing"

	"github.com/skein-im/skein/internal/im"
)

func mailboxes(versions ...string) []Member {
	var list []Member
	for i, v := range versions {
		list = append(list, Member{Node: string(rune('a' + i)), State: Up, Version: v, Roles: "x"})
	}
	return list
}

// under is the table of members with a policy among them.
func under(t *testing.T, p Policy, members []Member) *Table {
	t.Helper()
	r, err := p.Record()
	if err != nil {
		t.Fatal(err)
	}
	m, err := parse(r)
	if err != nil {
		t.Fatal(err)
	}
	return NewTable(append(slices.Clone(members), m))
}

func TestPins(t *testing.T) {
	nodes := mailboxes("1", "1", "1")
	free := NewTable(nodes)
	var p Policy
	p.PinSlots(Pin{100, 199, "b"})
	p.PinSlots(Pin{150, 159, "c"})
	p.PinSlots(Pin{4000, im.Slots - 1, "gone"})
	p.Unpin(190, 300)
	table := under(t, p, nodes)
	for slot := range im.Slot(im.Slots) {
		want, _ := free.Owner(slot)
		switch {
		case slot >= 150 && slot < 160:
			want.Node = "c"
		case slot >= 100 && slot < 190:
			want.Node = "b"
		}
		if got, _ := table.Owner(slot); got.Node != want.Node {
			t.Fatalf("slot %d is at %s, not %s", slot, got.Node, want.Node)
		}
	}
	if n := len(table.Nodes()); n != 3 {
		t.Errorf("the policy made %d nodes", n)
	}
}

// TestCanary raises a canary's share: slots go to the new version only, none
// comes back before the share falls, and at 0 everything is as without one.
func TestCanary(t *testing.T) {
	nodes := mailboxes("1", "1", "2")
	before := map[im.Slot]bool{}
	for _, percent := range []float64{0, 1, 5, 25, 80, 100} {
		table := under(t, Policy{Canary: Canary{"2", percent}}, nodes)
		count := 0
		for slot := range im.Slot(im.Slots) {
			owner, _ := table.Owner(slot)
			if owner.Version == "2" {
				count++
			} else if before[slot] {
				t.Fatalf("slot %d leaves the canary at %v%%", slot, percent)
			}
			before[slot] = owner.Version == "2"
		}
		if share := 100 * float64(count) / im.Slots; math.Abs(share-percent) > 2.5 {
			t.Errorf("at %v%% the canary has %.1f%%", percent, share)
		}
	}
	alone := under(t, Policy{Canary: Canary{"2", 10}}, mailboxes("1", "1"))
	if alone.owners != NewTable(mailboxes("1", "1")).owners {
		t.Error("a canary without nodes changes something")
	}
}

// TestCanaryMovesLittle: between the nodes of a version, nothing moves when the
// share is raised.
func TestCanaryMovesLittle(t *testing.T) {
	nodes := mailboxes("1", "1", "1", "2", "2")
	ten, twenty := under(t, Policy{Canary: Canary{"2", 10}}, nodes), under(t, Policy{Canary: Canary{"2", 20}}, nodes)
	for slot := range im.Slot(im.Slots) {
		a, _ := ten.Owner(slot)
		b, _ := twenty.Owner(slot)
		if a.Node != b.Node && (a.Version != "1" || b.Version != "2") {
			t.Fatalf("slot %d moves from %s to %s", slot, a.Node, b.Node)
		}
	}
}

func TestBadPolicies(t *testing.T) {
	for _, p := range []Policy{
		{Pins: []Pin{{5, 4, "a"}}}, {Pins: []Pin{{0, im.Slots, "a"}}}, {Pins: []Pin{{0, 1, ""}}},
		{Canary: Canary{"", 5}}, {Canary: Canary{"2", 101}}, {Canary: Canary{"2", math.NaN()}}, {Canary: Canary{"2", -1}},
	} {
		if _, err := p.Record(); im.KindOf(err) != im.Invalid {
			t.Errorf("%+v is taken: %v", p, err)
		}
	}
	damaged := append(mailboxes("1", "2"), Member{Node: PolicyNode, Policy: "{"})
	if NewTable(damaged).owners != NewTable(mailboxes("1", "2")).owners {
		t.Error("a damaged policy changes something")
	}
}
