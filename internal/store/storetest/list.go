package storetest

import (
	"slices"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// testList is for stores that are a store.Lister.
func testList(e *env) {
	lister, ok := e.s.(store.Lister)
	if !ok {
		e.t.Skip("the store does not list entities")
	}
	// Neighbours in keys, of one slot and of others.
	slot := im.User(1).Slot()
	var inSlot, all []im.Addr
	for id := uint64(1); len(inSlot) < 6; id++ {
		for _, kind := range []im.Kind{im.KindUser, im.KindEnvelope, 255} {
			a := im.Addr{Kind: kind, ID: id - 2}
			if a.Slot() == slot {
				inSlot = append(inSlot, a)
			} else if len(all) < 20 {
				all = append(all, a)
			}
		}
	}
	all = append(all, inSlot...)
	e.own(all...)
	for i, a := range all {
		c := e.change(a)
		if i%3 != 0 {
			c.First, c.Append = 1, [][]byte{[]byte("x"), []byte("y")}
		}
		if i%3 != 1 {
			c.Put = []store.Record{{Key: "a", Value: []byte("1")}, {Key: "b"}}
		}
		e.commit(c)
	}
	slices.SortFunc(inSlot, func(a, b im.Addr) int {
		if a.Kind != b.Kind {
			return int(a.Kind) - int(b.Kind)
		}
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	if got := listed(e, lister, slot, all[0].Slot()); !slices.Equal(got, inSlot) {
		e.TB.Fatalf("List: %v; want %v", got, inSlot)
	}
	// Gone with its last record.
	if i := slices.IndexFunc(all, func(a im.Addr) bool { return a == inSlot[0] }); i%3 == 0 {
		c := e.change(inSlot[0])
		c.Delete = []string{"a", "b"}
		e.commit(c)
		if got := listed(e, lister, slot); !slices.Equal(got, inSlot[1:]) {
			e.TB.Fatalf("List: %v; want %v", got, inSlot[1:])
		}
	}
}

// listed is what the first of some slots has.
func listed(e *env, lister store.Lister, slots ...im.Slot) (first []im.Addr) {
	var visited []im.Slot
	err := lister.List(e.TB.Context(), slots, func(slot im.Slot, held []im.Addr) error {
		if visited = append(visited, slot); len(visited) == 1 {
			first = held
		}
		return nil
	})
	if err != nil || !slices.Equal(visited, slots) {
		e.TB.Fatalf("List visits %v, %v; want %v", visited, err, slots)
	}
	return first
}
