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

// write appends an entry to a log under a new epoch, as a node without a standby.
func write(t *testing.T, st store.Store, a im.Addr, seq im.Seq) {
	t.Helper()
	epochs, err := st.Acquire(t.Context(), "bare", []im.Slot{a.Slot()})
	if err != nil {
		t.Fatal(err)
	}
	c := store.Change{Addr: a, Epoch: epochs[0], First: seq, Append: [][]byte{{byte(seq)}}}
	if err := st.Commit(t.Context(), &store.Batch{Changes: []store.Change{c}}); err != nil {
		t.Fatal(err)
	}
}

// overtaken is a store in which something happens before an entity is first read.
type overtaken struct {
	*memstore.Store
	once sync.Once
	by   func()
}

func (o *overtaken) Load(ctx context.Context, a im.Addr, tail func([]store.Record) im.Seq) (store.Entity, error) {
	if a.Kind != im.KindPosition {
		o.once.Do(o.by)
	}
	return o.Store.Load(ctx, a, tail)
}

// What a node without a standby writes while its slot is copied has no number: the
// copy is not whole with it.
func TestOvertakenCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		original, replica, a := memstore.New(time.Now), memstore.New(time.Now), im.User(1)
		f := startFollower(t, replica)
		write(t, original, a, 1)
		src := NewSource(Config{
			Engine: &overtaken{Store: original, by: func() { write(t, original, a, 2) }},
			Region: "home", Node: "a", Snapshot: snapshot, Logger: slog.New(slog.DiscardHandler),
			Dial: func(context.Context) (net.Conn, error) {
				near, far := net.Pipe()
				f.start(far)
				return near, nil
			},
		})
		defer src.Close()
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
