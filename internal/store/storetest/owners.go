package storetest

import (
	"fmt"
	"sync"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

func testAcquire(e *env) {
	first := e.acquire("a", 7, 3, 4095)
	again := e.acquire("b", 3)
	for i, epoch := range first {
		if epoch == 0 {
			e.TB.Fatalf("slot %d got epoch 0", []im.Slot{7, 3, 4095}[i])
		}
	}
	if again[0] <= first[1] {
		e.TB.Fatalf("slot 3 got epoch %d after %d", again[0], first[1])
	}
	if same := e.acquire("b", 3); same[0] <= again[0] {
		e.TB.Fatalf("acquiring one's own slot got epoch %d after %d", same[0], again[0])
	}
	if none := e.acquire("a"); len(none) != 0 {
		e.TB.Fatalf("acquiring nothing got %v", none)
	}
}

// testOwners: who acquired a slot last is known.
func testOwners(e *env) {
	slots := []im.Slot{7, 3, 4095, 9}
	first := e.acquire("a", 7, 3, 4095)
	again := e.acquire("b b", 3)
	want := []store.Owner{{Node: "a", Epoch: first[0]}, {Node: "b b", Epoch: again[0]}, {Node: "a", Epoch: first[2]}, {}}
	owners, err := e.s.Owners(e.TB.Context(), slots)
	if err != nil {
		e.TB.Fatalf("Owners: %v", err)
	}
	e.equal("owners", owners, want)
	if none, err := e.s.Owners(e.TB.Context(), nil); err != nil || len(none) != 0 {
		e.TB.Fatalf("asking for no slot got %v, %v", none, err)
	}
}

func testAcquireAll(e *env) {
	slots := make([]im.Slot, im.Slots)
	for i := range slots {
		slots[i] = im.Slot(i)
	}
	for i, epoch := range e.acquire("a", slots...) {
		e.epochs[slots[i]] = epoch
	}
	var changes []store.Change
	for id := range uint64(1000) {
		c := e.change(im.Addr{Kind: im.KindUser, ID: id})
		c.First, c.Append = 1, bodies(fmt.Sprint(id))
		changes = append(changes, c)
	}
	e.commit(changes...)
	for _, c := range changes {
		e.equal("log", e.log(c.Addr), entries(1, string(c.Append[0])))
	}
}

// testZeroEpoch: epoch 0 is never current, not even before the first Acquire.
func testZeroEpoch(e *env) {
	a := im.User(1)
	c := store.Change{Addr: a, Put: []store.Record{rec("k", "v")}}
	e.commitFenced([]im.Slot{a.Slot()}, c)
	e.own(a)
	e.commitFenced([]im.Slot{a.Slot()}, c)
	e.equal("records", e.records(a), []store.Record(nil))
}

// testFencing: of a batch, the slots somebody else has acquired are refused,
// with all their entities, and the others are committed.
func testFencing(e *env) {
	addrs := append(otherSlots(1, 3), sameSlot(1, 2)[1])
	kept, lost1, lost2 := addrs[1], addrs[0], addrs[3] // the last two share a slot
	alone := addrs[2]
	e.own(addrs...)
	full := func(a im.Addr, first im.Seq, text string) store.Change {
		c := e.change(a)
		c.First, c.Append, c.Put, c.Pending = first, bodies(text), []store.Record{rec("k", text)}, store.Set
		return c
	}
	e.commit(full(kept, 1, "old"), full(lost1, 1, "old"), full(lost2, 1, "old"), full(alone, 1, "old"))

	thief := e.acquire("thief", lost1.Slot(), alone.Slot())
	e.commitFenced([]im.Slot{lost1.Slot(), alone.Slot()},
		full(lost1, 2, "new"), full(kept, 2, "new"), full(lost2, 2, "new"), full(alone, 2, "new"))

	e.equal("kept log", e.log(kept), entries(1, "old", "new"))
	e.equal("kept records", e.records(kept), []store.Record{rec("k", "new")})
	for _, a := range []im.Addr{lost1, lost2, alone} {
		e.equal("fenced log", e.log(a), entries(1, "old"))
		e.equal("fenced records", e.records(a), []store.Record{rec("k", "old")})
	}

	e.epochs[lost1.Slot()] = thief[0]
	e.commit(full(lost1, 2, "thief"), full(lost2, 2, "thief"), full(kept, 3, "more"))
	e.equal("log of the new owner", e.log(lost1), entries(1, "old", "thief"))
	e.equal("log of the new owner", e.log(lost2), entries(1, "old", "thief"))
	e.equal("kept log", e.log(kept), entries(1, "old", "new", "more"))
}

// testOwnership: two owners fight for one slot while they write; each sees a
// prefix of what was acknowledged to it, and nothing is written twice.
func testOwnership(e *env) {
	a := im.User(42)
	const rounds = 20
	var want []string
	for round := range rounds {
		owner := fmt.Sprintf("owner%d", round%2)
		old := e.epochs[a.Slot()]
		e.epochs[a.Slot()] = e.acquire(owner, a.Slot())[0]
		if round > 0 {
			c := store.Change{Addr: a, Epoch: old, First: im.Seq(len(want) + 1), Append: bodies("late")}
			e.commitFenced([]im.Slot{a.Slot()}, c)
		}
		c := e.change(a)
		c.First, c.Append = im.Seq(len(want)+1), bodies(owner)
		e.commit(c)
		want = append(want, owner)
	}
	e.equal("log", e.log(a), entries(1, want...))
}

// testConcurrent: commits for different slots run at the same time, with
// reads of all of them.
func testConcurrent(e *env) {
	const shards, batches = 8, 30
	addrs := otherSlots(1, 2*shards)
	e.own(addrs...)
	var wg sync.WaitGroup
	errs := make(chan error, 2*shards)
	for shard := range shards {
		mine := addrs[2*shard : 2*shard+2]
		wg.Go(func() { errs <- e.writeMany(mine, batches) })
		wg.Go(func() { errs <- e.readMany(mine, batches) })
	}
	wg.Wait()
	for range 2 * shards {
		if err := <-errs; err != nil {
			e.TB.Fatalf("%v", err)
		}
	}
	for _, a := range addrs {
		e.equal("log", e.log(a), entries(1, numbered("n", 2*batches)...))
		e.equal("records", e.records(a), []store.Record{rec("n", fmt.Sprint(2*batches))})
	}
}

// writeMany appends two entries a batch to each of some entities.
func (e *env) writeMany(addrs []im.Addr, batches int) error {
	all := bodies(numbered("n", 2*batches)...)
	for i := range batches {
		var b store.Batch
		for _, a := range addrs {
			c := e.change(a)
			c.First, c.Append = im.Seq(2*i+1), all[2*i:2*i+2]
			c.Put = []store.Record{rec("n", fmt.Sprint(2*i+2))}
			b.Changes = append(b.Changes, c)
		}
		if err := e.s.Commit(e.TB.Context(), &b); err != nil {
			return fmt.Errorf("commit %d: %w", i, err)
		}
	}
	return nil
}

// readMany reads logs while they grow: what there is must be dense, and may
// not shrink.
func (e *env) readMany(addrs []im.Addr, times int) error {
	seen := make([]int, len(addrs))
	for range times {
		for i, a := range addrs {
			es, err := e.s.ReadLog(e.TB.Context(), a, 1, 1<<30, 1<<30)
			if err != nil {
				return err
			}
			if len(es) < seen[i] {
				return fmt.Errorf("log of %v had %d entries and now %d", a, seen[i], len(es))
			}
			seen[i] = len(es)
			for j, entry := range es {
				if entry.Seq != im.Seq(j+1) || string(entry.Value) != fmt.Sprintf("n%d", j+1) {
					return fmt.Errorf("entry %d of %v is %d %q", j+1, a, entry.Seq, entry.Value)
				}
			}
		}
	}
	return nil
}
