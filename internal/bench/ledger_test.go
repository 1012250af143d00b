package bench

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/skein-im/skein/internal/im"
)

func userIDs(ids ...im.UserID) []im.UserID { return ids }

// receive hands a ledger of user 9, whose friends are 3 and 5, a message.
func receive(l *ledger, from im.UserID, s stamp) bool {
	body := make([]byte, MinBody)
	s.encode(body)
	_, ok := l.take(from, body, 7)
	return ok
}

func newTestLedger() *ledger { return newLedger(1, 9, userIDs(103, 105), []int{3, 5}) }

func TestLedgerFindsWhatIsWrong(t *testing.T) {
	l := newTestLedger()
	for _, n := range []uint32{1, 2, 2, 5, 4, 3, 5, 1, 7} {
		receive(l, 103, stamp{Run: 1, From: 3, To: 9, Ordinal: n})
	}
	receive(l, 105, stamp{Run: 1, From: 5, To: 9, Ordinal: 1})
	if d := l.delivered.Load(); d != 7 || l.duplicated != 3 || l.reordered != 1 {
		t.Errorf("%d delivered, %d duplicated, %d reordered", d, l.duplicated, l.reordered)
	}
	if l.last.Load() != 7 {
		t.Errorf("last arrival at %d", l.last.Load())
	}
	for name, s := range map[string]stamp{
		"no ordinal":       {Run: 1, From: 3, To: 9},
		"another receiver": {Run: 1, From: 3, To: 8, Ordinal: 9},
		"another sender":   {Run: 1, From: 5, To: 9, Ordinal: 9},
		"a stranger":       {Run: 1, From: 4, To: 9, Ordinal: 9},
	} {
		before := l.damaged
		if receive(l, 103, s) || l.damaged != before+1 {
			t.Errorf("%s: accepted", name)
		}
	}
	if receive(l, 103, stamp{Run: 2, From: 3, To: 9, Ordinal: 9}) || l.foreign != 1 {
		t.Error("a message of another run counts")
	}
	if _, ok := l.take(103, []byte("hello"), 0); ok || l.damaged != 5 {
		t.Error("a message without stamp counts")
	}
}

// TestLedgerCounts compares the ledger with a list of all that arrived.
func TestLedgerCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newTestLedger()
		var seen []uint32
		var duplicated, late uint64
		for _, n := range rapid.SliceOf(rapid.Uint32Range(1, 12)).Draw(t, "ordinals") {
			first := receive(l, 103, stamp{Run: 1, From: 3, To: 9, Ordinal: n})
			if first == slices.Contains(seen, n) {
				t.Fatalf("%d after %v: first is %v", n, seen, first)
			}
			if !first {
				duplicated++
				continue
			}
			if len(seen) > 0 && n < slices.Max(seen) {
				late++
			}
			seen = append(seen, n)
		}
		if l.delivered.Load() != uint64(len(seen)) || l.duplicated != duplicated {
			t.Fatalf("%v: %d delivered, %d duplicated", seen, l.delivered.Load(), l.duplicated)
		}
		// How many are late is a matter of counting; whether any is, is not.
		if complete := len(seen) > 0 && int(slices.Max(seen)) == len(seen); complete && (l.reordered > 0) != (late > 0) {
			t.Fatalf("%v: %d reordered, %d late", seen, l.reordered, late)
		}
	})
}
