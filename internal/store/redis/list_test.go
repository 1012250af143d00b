package redis

import (
	"slices"
	"sync"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Many slots of a server alone, listed at the same time, while others' keys are
// beside.
func TestListManySlots(t *testing.T) {
	servers := single(t)
	opts := options(servers, 0)
	s := mustOpen(t, opts)
	want := map[im.Slot][]im.Addr{}
	for id := im.UserID(1); id <= 200; id++ {
		a := im.User(id)
		c := one(a, acquire(t, s, a), 1, "x")
		c.Changes[0].Put = []store.Record{{Key: "h", Value: []byte("y")}}
		if err := s.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		want[a.Slot()] = append(want[a.Slot()], a)
	}
	if _, err := servers.Servers[0].Do(t.Context(), "SET", opts.Prefix+"{s0001}r:nonsense", "z"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for slot := im.Slot(0); slot < im.Slots; slot += 7 {
		all.Go(func() {
			got, err := s.List(t.Context(), slot)
			if err != nil || !slices.Equal(got, want[slot]) {
				t.Errorf("slot %d: %v, %v; want %v", slot, got, err, want[slot])
			}
		})
	}
	all.Wait()
}
