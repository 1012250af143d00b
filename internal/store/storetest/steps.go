package storetest

import (
	"context"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// One is a batch that appends one entry.
func One(a im.Addr, epoch im.Epoch, first im.Seq, text string) *store.Batch {
	return &store.Batch{Changes: []store.Change{{Addr: a, Epoch: epoch, First: first, Append: [][]byte{[]byte(text)}}}}
}

// Acquire makes a store the owner of an entity's slot.
func Acquire(t testing.TB, s store.Store, a im.Addr) im.Epoch {
	t.Helper()
	return acquire(t, s, []im.Slot{a.Slot()})[0]
}

// AcquireAll makes a store the owner of every slot.
func AcquireAll(t testing.TB, s store.Store) []im.Epoch {
	t.Helper()
	return acquire(t, s, store.AllSlots())
}

func acquire(t testing.TB, s store.Store, slots []im.Slot) []im.Epoch {
	t.Helper()
	epochs, err := s.Acquire(context.Background(), "test", slots)
	if err != nil {
		t.Fatal(err)
	}
	return epochs
}

// Texts is a log.
func Texts(t testing.TB, s store.Store, a im.Addr) []string {
	t.Helper()
	es, err := s.ReadLog(context.Background(), a, 1, 1000, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range es {
		all = append(all, string(e.Value))
	}
	return all
}
