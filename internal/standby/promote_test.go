package standby

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/pebble"
)

func open(t *testing.T) *pebble.Store {
	t.Helper()
	st, err := pebble.Open(t.TempDir(), pebble.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestPromote keeps a copy from disk to disk, of data that was there before and
// of data that came later, and makes it a store of its own.
func TestPromote(t *testing.T) {
	original, replica := open(t), open(t)
	defer replica.Close()
	quiet := slog.New(slog.DiscardHandler)
	a, slots := im.User(1), []im.Slot{im.User(1).Slot()}
	epochs, err := original.Acquire(t.Context(), "before", slots)
	if err != nil {
		t.Fatal(err)
	}
	early := store.Change{Addr: a, Epoch: epochs[0], First: 1, Put: []store.Record{{Key: "k", Value: []byte("v")}}}
	for i := range 1000 {
		early.Append = append(early.Append, fmt.Appendf(nil, "entry %d", i+1))
	}
	if err := original.Commit(t.Context(), &store.Batch{Changes: []store.Change{early}}); err != nil {
		t.Fatal(err)
	}

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFollower(t.Context(), FollowerConfig{Engine: replica, Region: "home", Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = f.Serve(ln) }()
	src := NewSource(Config{
		Engine: original, Region: "home", Node: "a", Sync: true, Snapshot: snapshot, Logger: quiet,
		Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", ln.Addr().String())
		},
	})
	if epochs, err = src.Acquire(t.Context(), "a", slots); err != nil {
		t.Fatal(err)
	}
	late := store.Change{Addr: a, Epoch: epochs[0], First: 1001, Append: [][]byte{[]byte("late")}, Trim: 500}
	if err := src.Commit(t.Context(), &store.Batch{Changes: []store.Change{late}}); err != nil {
		t.Fatal(err)
	}
	log, err := replica.ReadLog(t.Context(), a, 1, 2000, 1<<20)
	if err != nil || len(log) < 502 || log[len(log)-1].Seq != 1001 || string(log[len(log)-1].Value) != "late" {
		t.Fatalf("the copy has %d entries: %v", len(log), err)
	}
	if log[0].Seq+im.Seq(len(log)) != 1002 || string(log[len(log)-2].Value) != "entry 1000" {
		t.Fatalf("the copy begins with entry %d of %d", log[0].Seq, len(log))
	}
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	f.Close()

	if _, err := NewFollower(t.Context(), FollowerConfig{Engine: replica, Region: "elsewhere", Logger: quiet}); im.KindOf(err) != im.Invalid {
		t.Fatalf("it became the copy of another region: %v", err)
	}
	if broken, err := Promote(t.Context(), replica, time.UnixMilli(70), false); err != nil || len(broken) > 0 {
		t.Fatal(broken, err)
	}
	if g, err := GenerationOf(t.Context(), replica); g != 70 || err != nil {
		t.Errorf("its generation is %d, %v", g, err)
	}
	if region, err := CopyOf(t.Context(), replica); region != "" || err != nil {
		t.Fatal(region, err)
	}
	if _, err := NewFollower(t.Context(), FollowerConfig{Engine: replica, Region: "home", Logger: quiet}); im.KindOf(err) != im.Invalid {
		t.Fatalf("a store with data became a copy: %v", err)
	}
}

// TestPromoteWhileItFollows: a standby that nobody has stopped writes nothing to a store
// that has been promoted, and so acknowledges nothing; nor when it looks again at a slot
// of which it does not know what the store has.
func TestPromoteWhileItFollows(t *testing.T) {
	w := newWorld(t, 1, true)
	n, a := w.nodes[0], im.User(1)
	epochs, err := n.Acquire(t.Context(), n.name, []im.Slot{a.Slot()})
	if err != nil {
		t.Fatal(err)
	}
	commit := func(ctx context.Context, first im.Seq, body string) error {
		c := store.Change{Addr: a, Epoch: epochs[0], First: first, Append: [][]byte{[]byte(body)}}
		return n.Commit(ctx, &store.Batch{Changes: []store.Change{c}})
	}
	if err := commit(t.Context(), 1, "in time"); err != nil {
		t.Fatal(err)
	}
	before := contents(t, w.replica, a)
	if broken, err := Promote(t.Context(), w.replica, time.UnixMilli(70), false); err != nil || len(broken) > 0 {
		t.Fatal(broken, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := commit(ctx, 2, "too late"); im.KindOf(err) != im.Unavailable {
		t.Errorf("what comes later is answered with %v", err)
	}
	if after := contents(t, w.replica, a); after != before {
		t.Errorf("the promoted store has\n%s\nand had\n%s", after, before)
	}
	w.follower.Close()
	w.follower.copies[a.Slot()].doubtful = true
	if err := w.follower.recall(a.Slot()); im.KindOf(err) != im.Invalid {
		t.Errorf("the follower goes on with a slot of a promoted store: %v", err)
	}
}
