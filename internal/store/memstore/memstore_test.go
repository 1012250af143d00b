package memstore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/storetest"
)

// clocked is a store whose clock the conformance suite moves.
type clocked struct {
	*Store
	now *time.Time
}

func (c clocked) Advance(d time.Duration) { *c.now = c.now.Add(d) }

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		now := time.Unix(1e9, 0)
		return clocked{New(func() time.Time { return now }), &now}
	})
}

// TestConformanceSplit runs the suite with commits that are split in three.
func TestConformanceSplit(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		now := time.Unix(1e9, 0)
		return split{clocked{New(func() time.Time { return now }), &now}, new(sync.RWMutex)}
	})
}

// split is a store whose commits can be held back before they take effect.
type split struct {
	clocked
	stalled *sync.RWMutex
}

func (s split) Commit(_ context.Context, b *store.Batch) error {
	op := s.Begin(b)
	s.stalled.RLock()
	defer s.stalled.RUnlock()
	op.Apply()
	op.Apply()
	return op.Finish()
}

// Stall implements storetest.Staller.
func (s split) Stall() func() {
	s.stalled.Lock()
	return s.stalled.Unlock
}

// owned is a store whose slots a test owns, and two users of two slots.
func owned(t testing.TB) (s *Store, change func(a im.Addr, first im.Seq, text string) store.Change, a, b im.Addr) {
	t.Helper()
	s = New(func() time.Time { return time.Unix(1e9, 0) })
	a, b = im.User(1), im.User(2)
	epochs, err := s.Acquire(context.Background(), "test", []im.Slot{a.Slot(), b.Slot()})
	if err != nil {
		t.Fatal(err)
	}
	change = func(addr im.Addr, first im.Seq, text string) store.Change {
		epoch := epochs[0]
		if addr == b {
			epoch = epochs[1]
		}
		return store.Change{Addr: addr, Epoch: epoch, First: first, Append: [][]byte{[]byte(text)}}
	}
	return s, change, a, b
}

func batch(changes ...store.Change) *store.Batch { return &store.Batch{Changes: changes} }

// texts is a log as one string.
func texts(t testing.TB, s *Store, a im.Addr) string {
	t.Helper()
	entries, err := s.ReadLog(context.Background(), a, 1, 1000, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, string(e.Value))
	}
	return strings.Join(all, " ")
}

func TestSplitCommit(t *testing.T) {
	s, change, a, b := owned(t)
	op := s.Begin(batch(change(a, 1, "x")))
	other := s.Begin(batch(change(b, 1, "y")))
	if got := texts(t, s, a); got != "" {
		t.Fatalf("a commit under way is visible: %q", got)
	}
	op.Apply()
	if got := texts(t, s, a); got != "x" {
		t.Fatalf("an applied commit is not visible: %q", got)
	}
	if err := other.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := op.Finish(); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, s, a) + texts(t, s, b); got != "xy" || s.Unfinished() != 0 {
		t.Fatalf("logs %q, %d unfinished", got, s.Unfinished())
	}
}

// TestLateFencing: what counts is the owner when the commit takes effect.
func TestLateFencing(t *testing.T) {
	s, change, a, b := owned(t)
	late := s.Begin(batch(change(a, 1, "late"), change(b, 1, "mine")))
	epochs, err := s.Acquire(context.Background(), "thief", []im.Slot{a.Slot()})
	if err != nil {
		t.Fatal(err)
	}
	stolen := change(a, 1, "stolen")
	stolen.Epoch = epochs[0]
	early := s.Begin(batch(stolen)) // same slot, another owner: no overlap
	if err := early.Finish(); err != nil {
		t.Fatal(err)
	}
	var fenced *store.SlotError
	if err := late.Finish(); !errors.As(err, &fenced) || !slices.Equal(fenced.Slots, []im.Slot{a.Slot()}) {
		t.Fatalf("late commit: %v", err)
	}
	if got := texts(t, s, a) + " " + texts(t, s, b); got != "stolen mine" {
		t.Fatalf("logs %q", got)
	}
}

// TestAckOvertaken: a commit that took effect before the slot changed hands
// stays, although its owner hears of it afterwards.
func TestAckOvertaken(t *testing.T) {
	s, change, a, _ := owned(t)
	op := s.Begin(batch(change(a, 1, "x")))
	op.Apply()
	if _, err := s.Acquire(context.Background(), "thief", []im.Slot{a.Slot()}); err != nil {
		t.Fatal(err)
	}
	if err := op.Finish(); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, s, a); got != "x" {
		t.Fatalf("log %q", got)
	}
}

func TestDrop(t *testing.T) {
	s, change, a, b := owned(t)
	op := s.Begin(batch(change(a, 1, "x"), change(b, 1, "y")))
	if got := op.Slots(); !slices.Equal(got, []im.Slot{a.Slot(), b.Slot()}) {
		t.Fatalf("slots %v", got)
	}
	op.Drop(func(slot im.Slot) bool { return slot == b.Slot() })
	op.Apply()
	op.Drop(func(im.Slot) bool { return true })
	if err := op.Finish(); !errors.Is(err, ErrDropped) {
		t.Fatalf("finish after drop: %v", err)
	}
	if got := texts(t, s, a) + texts(t, s, b); got != "y" {
		t.Fatalf("logs %q, want the part that was kept", got)
	}
	op = s.Begin(batch(change(a, 1, "z")))
	op.Apply()
	op.Drop(nil)
	if got := texts(t, s, a); got != "z" {
		t.Fatalf("log %q: what had taken effect is gone", got)
	}
}

func TestDropIsFenced(t *testing.T) {
	s, change, a, b := owned(t)
	op := s.Begin(batch(change(a, 1, "x"), change(b, 1, "y")))
	if _, err := s.Acquire(context.Background(), "thief", []im.Slot{a.Slot()}); err != nil {
		t.Fatal(err)
	}
	op.Drop(func(im.Slot) bool { return true })
	if got := texts(t, s, a) + texts(t, s, b); got != "y" {
		t.Fatalf("logs %q", got)
	}
}

func TestCrashUnsynced(t *testing.T) {
	s, change, a, b := owned(t)
	if err := s.Commit(context.Background(), batch(change(a, 1, "acked"))); err != nil {
		t.Fatal(err)
	}
	first := s.Begin(batch(change(a, 2, "first")))
	second := s.Begin(batch(change(b, 1, "second")))
	var parts []Part
	s.CrashUnsynced(func(p Part) bool {
		parts = append(parts, p)
		return p.Op < 1
	})
	if diff := cmp.Diff([]Part{{0, a.Slot()}, {1, b.Slot()}}, parts); diff != "" {
		t.Fatal(diff)
	}
	if got := texts(t, s, a) + "," + texts(t, s, b); got != "acked first," {
		t.Fatalf("logs %q", got)
	}
	for _, op := range []*Op{first, second} {
		if err := op.Finish(); !errors.Is(err, ErrDropped) {
			t.Fatalf("finish after a crash: %v", err)
		}
	}
	s.Begin(batch(change(b, 1, "third")))
	s.CrashUnsynced(nil)
	if got := texts(t, s, b); got != "" || s.Unfinished() != 0 {
		t.Fatalf("log %q after a crash that keeps nothing", got)
	}
}

// TestDuties: each breach of the caller's duties panics, and what looks like
// one but is none does not.
func TestDuties(t *testing.T) {
	for _, test := range []struct {
		name   string
		panics bool
		run    func(s *Store, change func(im.Addr, im.Seq, string) store.Change, a, b im.Addr)
	}{
		{"hole in a log", true, func(s *Store, change func(im.Addr, im.Seq, string) store.Change, a, _ im.Addr) {
			_ = s.Begin(batch(change(a, 2, "x"))).Finish()
		}},
		{"entry twice", true, func(s *Store, change func(im.Addr, im.Seq, string) store.Change, a, _ im.Addr) {
			_ = s.Begin(batch(change(a, 1, "x"), change(a, 1, "x"))).Finish()
		}},
		{"hole, but fenced", false, func(s *Store, change func(im.Addr, im.Seq, string) store.Change, a, _ im.Addr) {
			c := change(a, 2, "x")
			c.Epoch = 0
			_ = s.Begin(batch(c)).Finish()
		}},
		{"overlap", true, func(s *Store, change func(im.Addr, im.Seq, string) store.Change, a, b im.Addr) {
			s.Begin(batch(change(b, 1, "x"), change(a, 1, "x")))
			s.Begin(batch(change(a, 2, "x")))
		}},
		{"overlap after it was applied", true, func(s *Store, change func(im.Addr, im.Seq, string) store.Change, a, _ im.Addr) {
			s.Begin(batch(change(a, 1, "x"))).Apply()
			s.Begin(batch(change(a, 2, "x")))
		}},
		{"one after the other", false, func(s *Store, change func(im.Addr, im.Seq, string) store.Change, a, b im.Addr) {
			_ = s.Begin(batch(change(a, 1, "x"))).Finish()
			s.Begin(batch(change(a, 2, "x"))).Drop(nil)
			s.Begin(batch(change(a, 2, "x")))
			s.Begin(batch(change(b, 1, "x")))
		}},
		{"empty key", true, func(s *Store, change func(im.Addr, im.Seq, string) store.Change, a, _ im.Addr) {
			c := change(a, 1, "x")
			c.Put = []store.Record{{}}
			_ = s.Begin(batch(c)).Finish()
		}},
		{"long key", true, func(s *Store, change func(im.Addr, im.Seq, string) store.Change, a, _ im.Addr) {
			c := change(a, 1, "x")
			c.Delete = []string{strings.Repeat("k", 65)}
			_ = s.Begin(batch(c)).Finish()
		}},
		{"finish twice", true, func(s *Store, change func(im.Addr, im.Seq, string) store.Change, a, _ im.Addr) {
			op := s.Begin(batch(change(a, 1, "x")))
			_ = op.Finish()
			_ = op.Finish()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, change, a, b := owned(t)
			defer func() {
				if p := recover(); (p != nil) != test.panics {
					t.Fatalf("panic: %v", p)
				}
			}()
			test.run(s, change, a, b)
		})
	}
}

func TestClose(t *testing.T) {
	s, change, a, _ := owned(t)
	op := s.Begin(batch(change(a, 1, "x")))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := op.Finish(); !errors.Is(err, store.ErrClosed) {
		t.Fatalf("finish after close: %v", err)
	}
	if err := s.Commit(context.Background(), batch()); !errors.Is(err, store.ErrClosed) {
		t.Fatalf("commit after close: %v", err)
	}
	if _, err := s.ReadLog(context.Background(), a, 1, 1, 1); !errors.Is(err, store.ErrClosed) {
		t.Fatalf("read after close: %v", err)
	}
}

// TestInterleavings: whatever two owners of a slot do, and whatever is lost,
// the log is what took effect, in that order, and what was acknowledged is in
// it.
func TestInterleavings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(func() time.Time { return time.Unix(1e9, 0) })
		a := im.User(1)
		acked := map[string]bool{}
		begun := map[string]bool{}
		type owner struct {
			epoch im.Epoch
			next  im.Seq
			op    *Op
			text  string
		}
		owners := make([]owner, 2)
		pick := func() *owner { return &owners[rapid.IntRange(0, 1).Draw(t, "owner")] }
		t.Repeat(map[string]func(*rapid.T){
			"acquire": func(t *rapid.T) {
				o := pick()
				if o.op != nil {
					o.op.Drop(nil)
				}
				epochs, _ := s.Acquire(t.Context(), "o", []im.Slot{a.Slot()})
				ent, _ := s.Load(t.Context(), a, func([]store.Record) im.Seq { return 0 })
				*o = owner{epoch: epochs[0], next: im.Seq(len(ent.Tail) + 1)}
			},
			"begin": func(t *rapid.T) {
				o := pick()
				if o.op != nil || o.epoch == 0 {
					t.Skip()
				}
				o.text = string(rune('a'+len(begun)%26)) + strings.Repeat("'", len(begun)/26)
				begun[o.text] = true
				o.op = s.Begin(batch(store.Change{Addr: a, Epoch: o.epoch, First: o.next, Append: [][]byte{[]byte(o.text)}}))
			},
			"apply": func(t *rapid.T) {
				if o := pick(); o.op != nil {
					o.op.Apply()
				}
			},
			"finish": func(t *rapid.T) {
				o := pick()
				if o.op == nil {
					t.Skip()
				}
				if err := o.op.Finish(); err == nil {
					acked[o.text] = true
					o.next++
				} else {
					*o = owner{}
				}
				o.op = nil
			},
			"crash": func(t *rapid.T) {
				s.CrashUnsynced(func(Part) bool { return rapid.Bool().Draw(t, "keep") })
				owners = make([]owner, 2)
			},
			"": func(t *rapid.T) {
				entries, _ := s.ReadLog(t.Context(), a, 1, 1<<20, 1<<20)
				seen := map[string]bool{}
				for _, e := range entries {
					text := string(e.Value)
					if seen[text] || !begun[text] {
						t.Fatalf("entry %q twice or from nowhere", text)
					}
					seen[text] = true
				}
				for text := range acked {
					if !seen[text] {
						t.Fatalf("entry %q was acknowledged and is gone", text)
					}
				}
			},
		})
	})
}
