package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Advancer is a store whose engine takes the time from a clock that the test
// holds. Run moves the clock of such a store, and waits for others.
type Advancer interface {
	Advance(d time.Duration)
}

// Staller is a store of which the test can hold back what makes commits
// durable: they wait until resume is called. Run tests reads of such a store.
type Staller interface {
	Stall() (resume func())
}

// Run tests a store engine. open returns a new, empty store; Run closes it.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	tests := []struct {
		name string
		run  func(*env)
	}{
		{"Acquire", testAcquire},
		{"Owners", testOwners},
		{"AcquireAll", testAcquireAll},
		{"ZeroEpoch", testZeroEpoch},
		{"Fencing", testFencing},
		{"Records", testRecords},
		{"RecordOrder", testRecordOrder},
		{"ReadLog", testReadLog},
		{"ReadLogBytes", testReadLogBytes},
		{"Load", testLoad},
		{"ChangeOrder", testChangeOrder},
		{"Pending", testPending},
		{"List", testList},
		{"Isolation", testIsolation},
		{"Trim", testTrim},
		{"Begin", testBegin},
		{"DurableReads", testDurableReads},
		{"LargeValues", testLargeValues},
		{"ManyEntries", testManyEntries},
		{"EmptyBatch", testEmptyBatch},
		{"Ownership", testOwnership},
		{"Concurrent", testConcurrent},
		{"Members", testMembers},
		{"MemberExpiry", testMemberExpiry},
		{"Model", testModel},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			test.run(&env{TB: t, t: t, s: s, epochs: map[im.Slot]im.Epoch{}})
		})
	}
}

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
	Context() context.Context
}

// env is a store under test and one owner of slots in it.
type env struct {
	TB     fataler
	t      *testing.T
	s      store.Store
	epochs map[im.Slot]im.Epoch
}

// own acquires the slots of entities.
func (e *env) own(addrs ...im.Addr) {
	e.TB.Helper()
	var slots []im.Slot
	for _, a := range addrs {
		if !slices.Contains(slots, a.Slot()) {
			slots = append(slots, a.Slot())
		}
	}
	for i, epoch := range e.acquire("owner", slots...) {
		e.epochs[slots[i]] = epoch
	}
}

func (e *env) acquire(owner string, slots ...im.Slot) []im.Epoch {
	e.TB.Helper()
	epochs, err := e.s.Acquire(e.TB.Context(), owner, slots)
	if err != nil {
		e.TB.Fatalf("Acquire: %v", err)
	}
	if len(epochs) != len(slots) {
		e.TB.Fatalf("Acquire of %d slots returned %d epochs", len(slots), len(epochs))
	}
	return epochs
}

// change begins a change under the epoch that own got.
func (e *env) change(a im.Addr) store.Change {
	return store.Change{Addr: a, Epoch: e.epochs[a.Slot()]}
}

func (e *env) commit(changes ...store.Change) {
	e.TB.Helper()
	if err := e.s.Commit(e.TB.Context(), &store.Batch{Changes: changes}); err != nil {
		e.TB.Fatalf("Commit: %v", err)
	}
}

// commitFenced commits and expects exactly the given slots to be refused.
func (e *env) commitFenced(want []im.Slot, changes ...store.Change) {
	e.TB.Helper()
	err := e.s.Commit(e.TB.Context(), &store.Batch{Changes: changes})
	var fenced *store.SlotError
	if !errors.As(err, &fenced) {
		e.TB.Fatalf("Commit: got error %v, want a *store.SlotError", err)
	}
	got := slices.Sorted(slices.Values(fenced.Slots))
	if !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		e.TB.Fatalf("Commit refused slots %v, want %v", got, want)
	}
}

// records are all records of an entity.
func (e *env) records(a im.Addr) []store.Record {
	e.TB.Helper()
	ent, err := e.s.Load(e.TB.Context(), a, func([]store.Record) im.Seq { return 1 << 62 })
	if err != nil {
		e.TB.Fatalf("Load(%v): %v", a, err)
	}
	return ent.Records
}

func (e *env) readLog(a im.Addr, from im.Seq, limit, maxBytes int) []store.Entry {
	e.TB.Helper()
	entries, err := e.s.ReadLog(e.TB.Context(), a, from, limit, maxBytes)
	if err != nil {
		e.TB.Fatalf("ReadLog(%v, %d): %v", a, from, err)
	}
	return entries
}

// log is a whole log, read in one call.
func (e *env) log(a im.Addr) []store.Entry {
	e.TB.Helper()
	return e.readLog(a, 1, 1<<30, 1<<30)
}

func (e *env) pending(slot im.Slot) []im.Addr {
	e.TB.Helper()
	addrs, err := e.s.Pending(e.TB.Context(), slot)
	if err != nil {
		e.TB.Fatalf("Pending(%d): %v", slot, err)
	}
	slices.SortFunc(addrs, im.Addr.Compare)
	return addrs
}

// wholeBytes compares values in one step; cmp looks at every byte by itself.
var wholeBytes = cmp.FilterValues(func(a, b []byte) bool { return len(a)+len(b) > 0 }, cmp.Comparer(bytes.Equal))

// equal fails unless got and want are the same; nil and empty are.
func (e *env) equal(what string, got, want any) {
	e.TB.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), wholeBytes); diff != "" {
		if len(diff) > 2000 {
			diff = diff[:2000] + "..."
		}
		e.TB.Fatalf("%s: -want +got\n%s", what, diff)
	}
}

// rec makes a record.
func rec(key, value string) store.Record {
	return store.Record{Key: key, Value: []byte(value)}
}

// entries makes the entries first, first+1, ... of a log.
func entries(first im.Seq, values ...string) []store.Entry {
	var es []store.Entry
	for i, v := range values {
		es = append(es, store.Entry{Seq: first + im.Seq(i), Value: []byte(v)})
	}
	return es
}

// bodies makes the argument of Change.Append.
func bodies(values ...string) [][]byte {
	var bs [][]byte
	for _, v := range values {
		bs = append(bs, []byte(v))
	}
	return bs
}

// numbered makes n bodies that differ.
func numbered(prefix string, n int) []string {
	vs := make([]string, n)
	for i := range vs {
		vs[i] = fmt.Sprintf("%s%d", prefix, i+1)
	}
	return vs
}

// otherSlots returns users, from an ID on, that live in n different slots.
func otherSlots(from uint64, n int) []im.Addr {
	var addrs []im.Addr
	for id := from; len(addrs) < n; id++ {
		a := im.Addr{Kind: im.KindUser, ID: id}
		if !slices.ContainsFunc(addrs, func(b im.Addr) bool { return a.Slot() == b.Slot() }) {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// sameSlot returns n users, from an ID on, that live in one slot.
func sameSlot(from uint64, n int) []im.Addr {
	addrs := []im.Addr{{Kind: im.KindUser, ID: from}}
	for id := from + 1; len(addrs) < n; id++ {
		if a := (im.Addr{Kind: im.KindUser, ID: id}); a.Slot() == addrs[0].Slot() {
			addrs = append(addrs, a)
		}
	}
	return addrs
}
