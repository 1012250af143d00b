package standby

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/memstore"
)

// startFollower makes one whose store is in memory.
func startFollower(t *testing.T, engine Engine) *Follower {
	t.Helper()
	f, err := NewFollower(t.Context(), FollowerConfig{Engine: engine, Region: "home", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// connected is a node's end of a connection to a Follower that has greeted.
func connected(t *testing.T, f *Follower) *conn {
	t.Helper()
	near, far := net.Pipe()
	if !f.start(far) {
		t.Fatal("the standby takes no connection")
	}
	t.Cleanup(func() { near.Close() })
	c := newConn(near)
	if err := c.send(frameHello, &storev1.StandbyHello{Region: "home"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.receive(helloFrame); err != nil {
		t.Fatal(err)
	}
	return c
}

// An idle link lasts.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFollower(t, memstore.New(time.Now))
		src := NewSource(Config{
			Engine: memstore.New(time.Now), Region: "home", Node: "a", Snapshot: snapshot, Logger: slog.New(slog.DiscardHandler),
			Dial: func(context.Context) (net.Conn, error) {
				near, far := net.Pipe()
				f.start(far)
				return near, nil
			},
		})
		defer src.Close()
		time.Sleep(10 * deadAfter)
		if st := src.Stats(); !st.Connected || st.Links != 1 {
			t.Errorf("after a while in which nothing happened: %+v", st)
		}
	})
}

// A node that stops in the middle of a frame does not keep others waiting.
func TestHalfAFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFollower(t, memstore.New(time.Now))
		stopped := connected(t, f)
		frame, err := appendFrame(nil, frameAsk, &storev1.StandbyAsk{Slots: []uint32{1}, Epochs: []uint64{1}})
		if err != nil {
			t.Fatal(err)
		}
		heard := make(chan struct{})
		go func() {
			defer close(heard)
			_, _, _ = stopped.receive(maxFrame)
		}()
		if err := stopped.write(append(frame, frame[:3]...)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !f.mu.TryLock() {
			t.Fatal("the copy is held while the rest of the frame does not come")
		}
		f.mu.Unlock()
		<-heard
	})
}

// A standby that says more than there is does no harm.
func TestStrangePositions(t *testing.T) {
	src := NewSource(Config{
		Engine: memstore.New(time.Now), Region: "home", Node: "a", Snapshot: snapshot, Logger: slog.New(slog.DiscardHandler),
		Dial: func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() },
	})
	defer src.Close()
	slot := im.User(1).Slot()
	epochs, err := src.Acquire(t.Context(), "a", []im.Slot{slot})
	if err != nil {
		t.Fatal(err)
	}
	say := func(position uint64) {
		src.mu.Lock()
		defer src.mu.Unlock()
		src.placeLocked(slot, &storev1.StandbyPosition{Slot: uint32(slot), Position: position, Epoch: uint64(epochs[0])})
	}
	src.slots[slot].phase = asked
	say(0)
	c := store.Change{Addr: im.User(1), Epoch: epochs[0], First: 1, Append: [][]byte{[]byte("x")}}
	if err := src.Commit(t.Context(), &store.Batch{Changes: []store.Change{c}}); err != nil {
		t.Fatal(err)
	}
	say(1<<64 - 1)
	if st := src.Stats(); st.Behind != 1 || st.QueuedBytes == 0 {
		t.Errorf("it is believed: %+v", st)
	}
	src.slots[slot].phase = asked
	say(1)
	if st := src.Stats(); st.Behind != 0 || st.QueuedBytes != 0 {
		t.Errorf("%+v", st)
	}
}

// What a node says of a log's length is not believed before it is seen.
func TestStrangeLogs(t *testing.T) {
	slot := im.User(1).Slot()
	addr := addrToProto(im.User(1))
	for what, strange := range map[string]*storev1.StandbyEntity{
		"no sequence":        {Slot: uint32(slot), Addr: addr, Append: [][]byte{{1}}},
		"the last of all":    {Slot: uint32(slot), Addr: addr, First: 1<<64 - 1, Append: [][]byte{{1}}},
		"far away":           {Slot: uint32(slot), Addr: addr, First: 1 << 50, Append: [][]byte{{1}}},
		"far away, whole":    {Slot: uint32(slot), Addr: addr, First: 1 << 50, Whole: true},
		"everything trimmed": {Slot: uint32(slot), Addr: addr, First: 1<<64 - 1, Whole: true},
	} {
		t.Run(what, func(t *testing.T) {
			st := memstore.New(time.Now)
			c := connected(t, startFollower(t, careful{st}))
			go func() {
				defer c.nc.Close()
				_ = c.send(frameAsk, &storev1.StandbyAsk{Slots: []uint32{uint32(slot)}, Epochs: []uint64{1}})
				_ = c.send(frameCopyBegin, &storev1.StandbyCopy{Slot: uint32(slot), Epoch: 1})
				_ = c.send(frameEntity, &storev1.StandbyEntity{Slot: uint32(slot), Addr: addr, First: 1, Append: [][]byte{{1}}})
				_ = c.send(frameLogs, &storev1.StandbyLogs{Slot: uint32(slot), Logs: []*storev1.StandbyLog{{Addr: addr, Last: 1<<64 - 1}}})
				_ = c.send(frameEntity, strange)
				_ = c.send(frameCopyEnd, &storev1.StandbyCopy{Slot: uint32(slot), Entities: []*storev1.Addr{addr}})
			}()
			for {
				if _, _, err := c.receive(maxFrame); err != nil {
					break
				}
			}
			if log, err := st.ReadLog(t.Context(), im.User(1), 1, 10, 1<<10); err != nil || len(log) > 2 {
				t.Errorf("the log has %d entries, %v", len(log), err)
			}
		})
	}
}

// The copy of a log without entries goes on where the log does, and so does that
// of one of which the copy has the beginning only.
func TestTrimmedLogs(t *testing.T) {
	w := newWorld(t, 1, true)
	n, a := w.nodes[0], im.User(1)
	b := sibling(a)
	own := func(acquire func(context.Context, string, []im.Slot) ([]im.Epoch, error)) im.Epoch {
		t.Helper()
		epochs, err := acquire(t.Context(), n.name, []im.Slot{a.Slot()})
		if err != nil {
			t.Fatal(err)
		}
		return epochs[0]
	}
	grow := func(st store.Store, epoch im.Epoch, first im.Seq, trim im.Seq) {
		t.Helper()
		var batch store.Batch
		for _, addr := range []im.Addr{a, b} {
			c := store.Change{Addr: addr, Epoch: epoch, First: first, Trim: trim, Append: [][]byte{{1}, {2}, {3}}}
			if trim > 0 {
				c.Put = []store.Record{{Key: "s", Value: fmt.Append(nil, first+2)}}
			}
			if addr == b && trim > 0 {
				c.Trim--
			}
			batch.Changes = append(batch.Changes, c)
		}
		if err := st.Commit(t.Context(), &batch); err != nil {
			t.Fatal(err)
		}
	}
	grow(n, own(n.Acquire), 1, 0)
	w.same()
	unseen := own(w.original.Acquire)
	grow(w.original, unseen, 4, 0)
	grow(w.original, unseen, 7, 10)
	epoch := own(n.Acquire)
	w.same()
	grow(n, epoch, 10, 0)
	w.same()
	grow(n, epoch, 13, 16)
	w.same()
}
