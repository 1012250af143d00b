package tenure

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// users are so many of each of some slots, slot by slot.
func users(slots, each int) [][]im.Addr {
	found := make([][]im.Addr, slots)
	bySlot := map[im.Slot]int{}
	for id, full := im.UserID(1), 0; full < slots; id++ {
		a := im.User(id)
		i, ok := bySlot[a.Slot()]
		if !ok {
			i = len(bySlot)
			bySlot[a.Slot()] = i
		}
		if i < slots && len(found[i]) < each {
			if found[i] = append(found[i], a); len(found[i]) == each {
				full++
			}
		}
	}
	return found
}

// batch changes entities, all under one epoch.
func batch(epoch im.Epoch, addrs ...im.Addr) *store.Batch {
	b := &store.Batch{}
	for _, a := range addrs {
		b.Changes = append(b.Changes, store.Change{Addr: a, Epoch: epoch})
	}
	return b
}

// begin has a book's slots acquired.
func begin(b *Book, epoch im.Epoch, addrs ...im.Addr) {
	for _, a := range addrs {
		b.Begin(a.Slot(), Tenure{Epoch: epoch})
	}
}

func mustCut(t *testing.T, b *Book, batch *store.Batch) *Commit {
	t.Helper()
	c, err := b.Cut(batch)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// written is a write that succeeds.
func written() ([]im.Slot, error) { return nil, nil }

var errLost = errors.New("the connection is gone")

// lost is a write whose fate is unknown.
func lost() ([]im.Slot, error) { return nil, errLost }

// refused are the slots that an error lists.
func refused(t *testing.T, err error) []im.Slot {
	t.Helper()
	var fenced *store.SlotError
	if !errors.As(err, &fenced) {
		t.Fatalf("error %v; slots should have been refused", err)
	}
	return fenced.Slots
}

// TestCut: every slot is a part, with its changes in their order.
func TestCut(t *testing.T) {
	var b Book
	u := users(3, 3)
	begin(&b, 7, u[0][0], u[1][0], u[2][0])
	order := []im.Addr{u[1][0], u[0][0], u[1][1], u[2][0], u[1][2], u[0][1], u[1][0]}
	all := batch(7, order...)
	c := mustCut(t, &b, all)
	want := []struct {
		slot    im.Slot
		changes []int
	}{{u[1][0].Slot(), []int{0, 2, 4, 6}}, {u[0][0].Slot(), []int{1, 5}}, {u[2][0].Slot(), []int{3}}}
	if len(c.Parts) != len(want) {
		t.Fatalf("%d parts", len(c.Parts))
	}
	for i, p := range c.Parts {
		var changes []*store.Change
		for _, n := range want[i].changes {
			changes = append(changes, &all.Changes[n])
		}
		if p.Slot != want[i].slot || p.Tenure.Epoch != 7 || !slices.Equal(p.Changes, changes) {
			t.Errorf("part %d is %+v", i, p)
		}
	}
	if err := c.Write(written); err != nil {
		t.Error(err)
	}
}

// TestStale: a slot is refused as a whole if it was never acquired, or any of its
// changes has another epoch; the others are written.
func TestStale(t *testing.T) {
	var b Book
	u := users(4, 2)
	begin(&b, 2, u[0][0], u[1][0], u[2][0])
	all := batch(2, u[0][0], u[1][0], u[2][0], u[3][0], u[0][1], u[1][1])
	all.Changes[1].Epoch = 1 // from before the last acquisition
	all.Changes[2].Epoch = 3 // from nowhere
	c := mustCut(t, &b, all)
	if len(c.Parts) != 1 || c.Parts[0].Slot != u[0][0].Slot() || len(c.Parts[0].Changes) != 2 {
		t.Fatalf("parts %+v", c.Parts)
	}
	want := []im.Slot{u[1][0].Slot(), u[2][0].Slot(), u[3][0].Slot()}
	if got := refused(t, c.Write(written)); !slices.Equal(got, want) {
		t.Errorf("refused %v, not %v", got, want)
	}
	none := mustCut(t, &b, batch(0, u[3]...))
	err := none.Write(func() ([]im.Slot, error) {
		t.Error("there was nothing to write")
		return nil, nil
	})
	if got := refused(t, err); len(got) != 1 {
		t.Errorf("refused %v", got)
	}
	if m := b.Metrics(); m.Fenced != 4 || m.CommitTimes.Total() != 1 {
		t.Errorf("%d slots fenced, %d commits", m.Fenced, m.CommitTimes.Total())
	}
}

// TestFenced: slots that the servers refuse are reported with those that needed no
// question, and stay the store's own to ask about: only the servers know better.
func TestFenced(t *testing.T) {
	var b Book
	u := users(3, 1)
	begin(&b, 1, u[0][0], u[1][0])
	c := mustCut(t, &b, batch(1, u[0][0], u[1][0], u[2][0]))
	err := c.Write(func() ([]im.Slot, error) { return []im.Slot{u[1][0].Slot()}, nil })
	if got := refused(t, err); !slices.Equal(got, []im.Slot{u[2][0].Slot(), u[1][0].Slot()}) {
		t.Errorf("refused %v", got)
	}
	if err := mustCut(t, &b, batch(1, u[1][0])).Write(written); err != nil {
		t.Error(err)
	}
}

// TestDoubt: after a commit whose fate is unknown, its slots and no others must be
// acquired again.
func TestDoubt(t *testing.T) {
	var b Book
	u := users(3, 1)
	one, other, old := u[0][0], u[1][0], u[2][0]
	begin(&b, 1, one, other, old)
	if err := mustCut(t, &b, batch(1, one, old)).Write(lost); !errors.Is(err, errLost) {
		t.Fatal(err)
	}
	if _, err := b.Cut(batch(1, other, one)); err == nil || errors.As(err, new(*store.SlotError)) {
		t.Fatalf("a commit after one whose fate is unknown: %v", err)
	}
	if b.Sure(one.Slot()) != nil || b.Sure(other.Slot()) == nil {
		t.Error("the wrong slot is in doubt")
	}
	if b.Epoch(one.Slot()) != 1 {
		t.Errorf("the epoch is %d", b.Epoch(one.Slot()))
	}
	// Who comes with an older epoch is fenced, doubt or not.
	if got := refused(t, mustCut(t, &b, batch(0, old)).Write(written)); len(got) != 1 {
		t.Errorf("refused %v", got)
	}
	begin(&b, 2, one)
	if err := mustCut(t, &b, batch(2, one)).Write(written); err != nil {
		t.Error(err)
	}
	if m := b.Metrics(); m.CommitTimes.Total() != 1 {
		t.Errorf("%d commits were acknowledged", m.CommitTimes.Total())
	}
}

// TestDoubtIsOfOneTenure: a commit that fails when its slot has been acquired again
// casts no doubt on what came after it.
func TestDoubtIsOfOneTenure(t *testing.T) {
	var b Book
	a := im.User(1)
	begin(&b, 1, a)
	_ = mustCut(t, &b, batch(1, a)).Write(func() ([]im.Slot, error) {
		begin(&b, 2, a)
		return nil, errLost
	})
	if now := b.Sure(a.Slot()); now == nil || now.Epoch != 2 {
		t.Fatalf("the tenure is %+v", now)
	}
}

// TestSettled: what was read is durable when the commit under way is, and is not
// when the slot is in doubt or was acquired meanwhile.
func TestSettled(t *testing.T) {
	for name, test := range map[string]struct {
		write   func() ([]im.Slot, error)
		acquire bool
		want    bool
	}{
		"durable":  {written, false, true},
		"in doubt": {lost, false, false},
		"acquired": {written, true, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			var b Book
			a := im.User(1)
			begin(&b, 1, a)
			seen := b.Sure(a.Slot())
			settled := make(chan bool, 1)
			_ = mustCut(t, &b, batch(1, a)).Write(func() ([]im.Slot, error) {
				go func() {
					ok, err := b.Settled(t.Context(), a.Slot(), seen)
					settled <- ok && err == nil
				}()
				synctest.Wait()
				if len(settled) > 0 {
					t.Errorf("%s: a read did not wait for the commit", name)
				}
				if test.acquire {
					begin(&b, 2, a)
				}
				return test.write()
			})
			if got := <-settled; got != test.want {
				t.Errorf("%s: settled %v", name, got)
			}
			if ok, err := b.Settled(t.Context(), a.Slot(), b.Sure(a.Slot())); err != nil || ok != (b.Sure(a.Slot()) != nil) {
				t.Errorf("%s: with nothing under way: %v, %v", name, ok, err)
			}
		})
	}
}

// TestSettledGivesUp: a reader waits as long as it likes.
func TestSettledGivesUp(t *testing.T) {
	var b Book
	a := im.User(1)
	begin(&b, 1, a)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = mustCut(t, &b, batch(1, a)).Write(func() ([]im.Slot, error) {
		if ok, err := b.Settled(ctx, a.Slot(), b.Sure(a.Slot())); ok || !errors.Is(err, context.Canceled) {
			t.Errorf("settled %v, %v", ok, err)
		}
		return nil, nil
	})
}

// BenchmarkCommit takes batches through a book: a message changes two users.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{2, 128} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			var book Book
			var all []im.Addr
			for id := range im.UserID(n) {
				all = append(all, im.User(id+1))
			}
			begin(&book, 1, all...)
			changes := batch(1, all...)
			b.ReportAllocs()
			for b.Loop() {
				c, err := book.Cut(changes)
				if err == nil {
					err = c.Write(written)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
