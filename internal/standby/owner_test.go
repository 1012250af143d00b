package standby

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/memstore"
)

// write appends an entry to a log and marks it, under a new epoch, as a node
// without a standby.
func write(t *testing.T, st store.Store, a im.Addr, seq im.Seq) {
	t.Helper()
	epochs, err := st.Acquire(t.Context(), "bare", []im.Slot{a.Slot()})
	if err != nil {
		t.Fatal(err)
	}
	c := store.Change{Addr: a, Epoch: epochs[0], First: seq, Append: [][]byte{{byte(seq)}}, Pending: store.Set}
	if err := st.Commit(t.Context(), &store.Batch{Changes: []store.Change{c}}); err != nil {
		t.Fatal(err)
	}
}

// overtaken is a store in which something happens before an entity, or its log, is
// first read.
type overtaken struct {
	*memstore.Store
	once      sync.Once
	load, log func()
}

func (o *overtaken) Load(ctx context.Context, a im.Addr, tail func([]store.Record) im.Seq) (store.Entity, error) {
	if a.Kind != im.KindPosition && o.load != nil {
		o.once.Do(o.load)
	}
	return o.Store.Load(ctx, a, tail)
}

func (o *overtaken) ReadLog(ctx context.Context, a im.Addr, from im.Seq, limit, maxBytes int) ([]store.Entry, error) {
	if o.log != nil {
		o.once.Do(o.log)
	}
	return o.Store.ReadLog(ctx, a, from, limit, maxBytes)
}

// piped is a Source with a Follower, in a bubble of synctest.
func piped(t *testing.T, engine Engine, replica Engine) *Source {
	t.Helper()
	f := startFollower(t, replica)
	src := NewSource(Config{
		Engine: engine, Region: "home", Node: "a", Snapshot: snapshot, Logger: slog.New(slog.DiscardHandler),
		Dial: func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			f.start(far)
			return near, nil
		},
	})
	t.Cleanup(src.End)
	return src
}

// What a node without a standby writes while its slot is copied has no number: the
// copy is not whole with it.
func TestOvertakenCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		original, replica, a := memstore.New(time.Now), memstore.New(time.Now), im.User(1)
		write(t, original, a, 1)
		src := piped(t, &overtaken{Store: original, load: func() { write(t, original, a, 2) }}, replica)
		for _, whole := range []bool{false, true} {
			if _, err := src.Acquire(t.Context(), "a", []im.Slot{a.Slot()}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * pingEvery)
			p, err := readPosition(t.Context(), replica, a.Slot())
			if err != nil || p.whole() != whole {
				t.Errorf("the copy is at %+v, %v", p, err)
			}
		}
		if log, err := replica.ReadLog(t.Context(), a, 1, 10, 1<<10); err != nil || len(log) != 2 {
			t.Errorf("in the end, the copy has %d entries, %v", len(log), err)
		}
	})
}

// An entity that is marked keeps its mark when its log, all that it had, is
// exchanged for records while it is copied.
func TestMarkOfATrimmedLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		original, replica, a := memstore.New(time.Now), memstore.New(time.Now), im.User(1)
		write(t, original, a, 1)
		var src *Source
		src = piped(t, &overtaken{Store: original, log: func() {
			c := store.Change{Addr: a, Epoch: original.Epoch(a.Slot()), Trim: 2, Put: []store.Record{{Key: "s", Value: []byte("1")}}}
			if err := src.Commit(t.Context(), &store.Batch{Changes: []store.Change{c}}); err != nil {
				t.Error(err)
			}
		}}, replica)
		if _, err := src.Acquire(t.Context(), "a", []im.Slot{a.Slot()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * pingEvery)
		p, err := readPosition(t.Context(), replica, a.Slot())
		if err != nil || !p.whole() || p.number != 2 {
			t.Errorf("the copy is at %+v, %v", p, err)
		}
		if marked, err := replica.Pending(t.Context(), a.Slot()); err != nil || len(marked) != 1 {
			t.Errorf("in the copy, %v are marked, %v", marked, err)
		}
	})
}

// A mark of which the entity is gone goes with the next copy.
func TestMarkOfNothing(t *testing.T) {
	replica, a := memstore.New(time.Now), im.User(1)
	c := connected(t, startFollower(t, replica))
	slot := uint32(a.Slot())
	for _, listed := range [][]*storev1.Addr{{addrToProto(a)}, nil} {
		go func() {
			_ = c.send(frameCopyBegin, &storev1.StandbyCopy{Slot: slot, Epoch: 1})
			for _, l := range listed {
				_ = c.send(frameEntity, &storev1.StandbyEntity{Slot: slot, Addr: l, First: 1, Whole: true, Pending: true})
			}
			_ = c.send(frameCopyEnd, &storev1.StandbyCopy{Slot: slot, Entities: listed})
		}()
		for whole := false; !whole; {
			_, m, err := c.receive(maxFrame)
			if err != nil {
				t.Fatal(err)
			}
			whole = !m.(*storev1.StandbyPositions).Slots[0].Broken
		}
		if marked, err := replica.Pending(t.Context(), a.Slot()); err != nil || len(marked) != len(listed) {
			t.Errorf("%v are marked, %v", marked, err)
		}
	}
}

// A node does not keep what it has queued for a slot that a newer owner has taken
// further in the copy.
func TestQueueOfAFormerOwner(t *testing.T) {
	for what, broken := range map[string]bool{"whole": false, "being copied": true} {
		t.Run(what, func(t *testing.T) {
			original, a := memstore.New(time.Now), im.User(1)
			src := NewSource(Config{
				Engine: original, Region: "home", Node: "a", Snapshot: snapshot, Logger: slog.New(slog.DiscardHandler),
				Dial: func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() },
			})
			defer src.Close()
			epochs, err := src.Acquire(t.Context(), "a", []im.Slot{a.Slot()})
			if err != nil {
				t.Fatal(err)
			}
			src.slots[a.Slot()].phase = following
			b := &store.Batch{Changes: []store.Change{{Addr: a, Epoch: epochs[0], First: 1, Append: [][]byte{{1}}}}}
			if err := src.Commit(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			write(t, original, a, 2)
			b.Changes[0].First = 3
			var fenced *store.SlotError
			if err := src.Commit(t.Context(), b); !errors.As(err, &fenced) {
				t.Fatal(err)
			}
			said := &storev1.StandbyPosition{Slot: uint32(a.Slot()), Position: 7, Broken: broken}
			if err := src.heard(&storev1.StandbyPositions{Slots: []*storev1.StandbyPosition{said}}); err != nil {
				t.Fatal(err)
			}
			if _, err := src.collect(nil, nil); err != nil {
				t.Fatal(err)
			}
			if st := src.Stats(); st.QueuedBytes != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}
