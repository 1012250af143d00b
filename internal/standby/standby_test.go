package standby

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a region's store, the nodes on it, and the standby.
type world struct {
	t        *testing.T
	rng      *rand.Rand
	original *memstore.Store
	replica  *memstore.Store
	follower *Follower
	addr     string
	nodes    []*node

	mu    sync.Mutex
	conns []net.Conn
}

// node is a mailbox node as far as its store sees it.
type node struct {
	*Source
	name   string
	epochs map[im.Slot]im.Epoch
}

func newWorld(t *testing.T, seed uint64, sync bool) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 7)), original: memstore.New(time.Now), replica: memstore.New(time.Now)}
	w.startFollower()
	for i := range 2 {
		n := &node{name: fmt.Sprint("node", i), epochs: map[im.Slot]im.Epoch{}}
		n.Source = NewSource(Config{
			Engine: w.original, Region: "home", Node: n.name, Dial: w.dial, Sync: sync, MaxQueuedBytes: 2000,
			Snapshot: snapshot, Logger: slog.New(slog.DiscardHandler),
		})
		w.nodes = append(w.nodes, n)
	}
	t.Cleanup(func() {
		for _, n := range w.nodes {
			n.stop()
			<-n.done
		}
		w.follower.Close()
	})
	return w
}

// snapshot: the record "s" says how much of the log the records include.
func snapshot(_ im.Addr, recs []store.Record) (im.Seq, error) {
	for _, r := range recs {
		if r.Key == "s" {
			var seq im.Seq
			_, err := fmt.Sscan(string(r.Value), &seq)
			return seq, err
		}
	}
	return 0, nil
}

func (w *world) startFollower() {
	w.t.Helper()
	f, err := NewFollower(w.t.Context(), FollowerConfig{Engine: w.replica, Region: "home", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	go func() { _ = f.Serve(ln) }()
	w.mu.Lock()
	w.follower, w.addr = f, ln.Addr().String()
	w.mu.Unlock()
}

func (w *world) dial(ctx context.Context) (net.Conn, error) {
	w.mu.Lock()
	addr := w.addr
	w.mu.Unlock()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err == nil {
		w.mu.Lock()
		w.conns = append(w.conns, nc)
		w.mu.Unlock()
	}
	return nc, err
}

// cut breaks all connections.
func (w *world) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

// subject is an entity that commits change.
type subject struct {
	addr im.Addr
	last im.Seq
}

// step makes a random commit of one or two entities on the node that owns
// their slots, or acquires these.
func (w *world) step(subjects []*subject) error {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	var b store.Batch
	for _, s := range subjects {
		slot := s.addr.Slot()
		if n.epochs[slot] == 0 || n.epochs[slot] != w.original.Epoch(slot) {
			epochs, err := n.Acquire(w.t.Context(), n.name, []im.Slot{slot})
			if err != nil {
				return err
			}
			n.epochs[slot] = epochs[0]
		}
		b.Changes = append(b.Changes, w.change(s, n.epochs[slot]))
	}
	return n.Commit(w.t.Context(), &b)
}

func (w *world) change(s *subject, epoch im.Epoch) store.Change {
	c := store.Change{Addr: s.addr, Epoch: epoch, First: s.last + 1}
	for range w.rng.IntN(4) {
		s.last++
		c.Append = append(c.Append, fmt.Appendf(nil, "%v %d", s.addr, s.last))
	}
	switch w.rng.IntN(5) {
	case 0:
		c.Put = []store.Record{{Key: "s", Value: fmt.Append(nil, s.last)}}
		if w.rng.IntN(2) == 0 && s.last > 3 {
			c.Trim = s.last - 2
		}
	case 1:
		c.Put = []store.Record{{Key: fmt.Sprint("k", w.rng.IntN(3)), Value: fmt.Append(nil, w.rng.Uint64())}}
	case 2:
		c.Delete = []string{fmt.Sprint("k", w.rng.IntN(3))}
	}
	c.Pending = store.Mark(w.rng.IntN(3))
	return c
}

// same fails unless the copy is the original.
func (w *world) same() {
	w.t.Helper()
	for _, a := range w.original.Entities() {
		if a.Kind == im.KindPosition {
			continue
		}
		want, got := contents(w.t, w.original, a), contents(w.t, w.replica, a)
		if want != got {
			w.t.Fatalf("%v is\n%s\nand its copy\n%s", a, want, got)
		}
	}
}

func contents(t *testing.T, st *memstore.Store, a im.Addr) string {
	t.Helper()
	ctx := context.Background()
	e, err := st.Load(ctx, a, func([]store.Record) im.Seq { return never / 2 })
	if err != nil {
		t.Fatal(err)
	}
	log, err := st.ReadLog(ctx, a, 1, 1<<20, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	pending, err := st.Pending(ctx, a.Slot())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, r := range e.Records {
		fmt.Fprintf(&b, "%s=%s ", r.Key, r.Value)
	}
	for _, l := range log {
		fmt.Fprintf(&b, "%d:%s ", l.Seq, l.Value)
	}
	fmt.Fprint(&b, slices.Contains(pending, a))
	return b.String()
}

// drain waits until the copy of every slot has what its owner committed.
func (w *world) drain() {
	w.t.Helper()
	for _, n := range w.nodes {
		var slots []im.Slot
		for slot, epoch := range n.epochs {
			if epoch == w.original.Epoch(slot) {
				slots = append(slots, slot)
			}
		}
		if err := n.wait(w.t.Context(), slots, nil); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestCopy commits from two nodes that take slots from each other while
// connections break, the queue overflows and the standby restarts.
func TestCopy(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed, false)
			subjects := newSubjects(8)
			for range 400 {
				w.disturb()
				i := w.rng.IntN(len(subjects) - 1)
				err := w.step(subjects[i : i+1+w.rng.IntN(2)])
				if err != nil {
					t.Fatal(err)
				}
			}
			w.drain()
			w.same()
			if s := w.follower.Stats(); s.Broken != 0 {
				t.Errorf("in the end, %d slots are not whole", s.Broken)
			}
		})
	}
}

func newSubjects(n int) []*subject {
	subjects := make([]*subject, n)
	for i := range subjects {
		subjects[i] = &subject{addr: im.User(im.UserID(i/2*1000 + 1))}
		if i%2 == 1 {
			subjects[i].addr = sibling(subjects[i-1].addr)
		}
	}
	return subjects
}

// sibling is another entity of the same slot.
func sibling(a im.Addr) im.Addr {
	for id := uint64(1); ; id++ {
		if b := (im.Addr{Kind: im.KindEnvelope, ID: id}); b.Slot() == a.Slot() {
			return b
		}
	}
}

func (w *world) disturb() {
	switch w.rng.IntN(60) {
	case 0, 1:
		w.cut()
	case 2:
		w.follower.Close()
		w.startFollower()
	}
}

// TestSync checks after every commit that the copy has it.
func TestSync(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed, true)
			subjects := newSubjects(6)
			for range 150 {
				w.disturb()
				i := w.rng.IntN(len(subjects) - 1)
				some := subjects[i : i+1+w.rng.IntN(2)]
				if err := w.step(some); err != nil {
					t.Fatal(err)
				}
				for _, s := range some {
					if want, got := contents(t, w.original, s.addr), contents(t, w.replica, s.addr); want != got {
						t.Fatalf("%v is\n%s\nand its copy\n%s", s.addr, want, got)
					}
				}
			}
		})
	}
}

// TestSyncWithoutStandby commits nothing that nobody else has.
func TestSyncWithoutStandby(t *testing.T) {
	src := NewSource(Config{
		Engine: memstore.New(time.Now), Region: "home", Node: "a", Sync: true, Patience: 20 * time.Millisecond,
		Dial:     func(context.Context) (net.Conn, error) { return nil, errors.New("nobody is there") },
		Snapshot: snapshot, Logger: slog.New(slog.DiscardHandler),
	})
	defer src.Close()
	epochs, err := src.Acquire(t.Context(), "a", []im.Slot{im.User(1).Slot()})
	if err != nil {
		t.Fatal("of a slot that nobody had there is nothing to copy:", err)
	}
	c := store.Change{Addr: im.User(1), Epoch: epochs[0], First: 1, Append: [][]byte{[]byte("x")}}
	if err := src.Commit(t.Context(), &store.Batch{Changes: []store.Change{c}}); im.KindOf(err) != im.Unavailable {
		t.Fatalf("it was committed: %v", err)
	}
	if _, err := src.ReadLog(t.Context(), im.User(1), 1, 10, 1000); im.KindOf(err) != im.Unavailable {
		t.Fatalf("it was shown: %v", err)
	}
}

// TestUnnumbered copies what was written while there was no Source.
func TestUnnumbered(t *testing.T) {
	w := newWorld(t, 1, true)
	s := newSubjects(1)[0]
	for range 5 {
		if err := w.step([]*subject{s}); err != nil {
			t.Fatal(err)
		}
	}
	epochs, err := w.original.Acquire(t.Context(), "without", []im.Slot{s.addr.Slot()})
	if err == nil {
		err = w.original.Commit(t.Context(), &store.Batch{Changes: []store.Change{w.change(s, epochs[0])}})
	}
	if err == nil {
		err = w.step([]*subject{s})
	}
	if err != nil {
		t.Fatal(err)
	}
	w.same()
}
