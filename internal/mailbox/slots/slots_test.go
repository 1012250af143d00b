package slots

import (
	"slices"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// A slot counts as served when its shard has been told, and not before: who waits
// for that asks at once, and is refused by a shard that does not know. One that is
// lost again meanwhile is not served.
func TestSlotsAreServedOnceShardsKnow(t *testing.T) {
	s := New(true)
	list, epochs := []im.Slot{4, 5}, []im.Epoch{1, 1}
	s.Assign(list)
	s.Plan(time.Now())
	s.Acquired("here", list, epochs)
	if ok, _ := s.Settled(); ok || s.Serves(4) {
		t.Fatal("slots are served before their shards have them")
	}
	s.Lost(list[1:], time.Time{})
	s.Started(list)
	if !s.Serves(4) || s.Serves(5) {
		t.Fatal("of two slots, the one that was not lost is served")
	}
}

// Slots of a node that hands them over come when it says so, or in the end; those of
// others at once.
func TestAwait(t *testing.T) {
	s := New(true)
	now := time.Unix(1000, 0)
	until := now.Add(time.Second)
	hands := func(node string) bool { return node == "b" }
	list := []im.Slot{1, 2, 3, 4}
	owners := []im.Owner{{Node: "b", Epoch: 7}, {Node: "b", Epoch: 7}, {Node: "gone", Epoch: 7}, {}}
	s.Assign(list)
	await := func(want ...im.Slot) {
		t.Helper()
		acquire, _, _ := s.Plan(now)
		var of []im.Owner
		for _, slot := range acquire {
			of = append(of, owners[slot-1])
		}
		if free := s.Await("a", acquire, of, hands, until); !slices.Equal(free, want) {
			t.Fatalf("%v are free, not %v", free, want)
		}
	}
	await(3, 4)
	if acquire, _, again := s.Plan(now); len(acquire) > 0 || !again.Equal(until) {
		t.Fatalf("%v are to be acquired, others at %v", acquire, again)
	}
	s.Released([]im.Slot{1, 2}, []im.Epoch{7, 6})
	await(1)
	now = until
	await(2)
	if o := s.OwnerOf(2); o == nil || *o != owners[1] {
		t.Errorf("the owner was %v", o)
	}
}
