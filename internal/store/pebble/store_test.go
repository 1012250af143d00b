package pebble

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/storetest"
)

// slowDisk makes syncs of the write-ahead log wait for the test, and fail if
// it says so.
type slowDisk struct {
	on     atomic.Bool
	asked  chan struct{} // one value per sync that waits
	answer chan error    // one value lets one go
	once   sync.Once
}

// release lets all syncs go, for good.
func (d *slowDisk) release() { d.once.Do(func() { close(d.answer) }) }

func newSlowDisk() *slowDisk {
	return &slowDisk{asked: make(chan struct{}, 100), answer: make(chan error)}
}

func (d *slowDisk) String() string { return "slow disk" }

func (d *slowDisk) MaybeError(op errorfs.Op) error {
	if !d.on.Load() || op.Kind != errorfs.OpFileSyncData || !strings.HasSuffix(op.Path, ".log") {
		return nil
	}
	d.asked <- struct{}{}
	return <-d.answer
}

// slowStore is a store on a slow disk, all of whose slots the test owns.
func slowStore(t *testing.T) (*Store, *slowDisk, []im.Epoch) {
	t.Helper()
	d := newSlowDisk()
	s := mustOpen(t, "data", Options{FS: errorfs.Wrap(vfs.NewMem(), d)})
	epochs := storetest.AcquireAll(t, s)
	t.Cleanup(d.release) // before the store is closed
	d.on.Store(true)
	return s, d, epochs
}

// start runs f in a goroutine and returns where its error will be.
func start(f func() error) <-chan error {
	ch := make(chan error, 1)
	go func() { ch <- f() }()
	return ch
}

// idle gives every other goroutine the chance to do what it should not.
func idle() {
	for range 1000 {
		runtime.Gosched()
	}
}

// TestReadsAreDurable: a reader does not see what a crash could take back; it
// waits for the commit, and fails with it.
func TestReadsAreDurable(t *testing.T) {
	for _, fate := range []error{nil, syscall.EIO} {
		s, d, epochs := slowStore(t)
		ctx, a := context.Background(), im.User(1)
		b := storetest.One(a, epochs[a.Slot()], 1, "x")
		b.Changes[0].Pending = store.Set
		commit := start(func() error { return s.Commit(ctx, b) })
		<-d.asked
		// Pebble shows what it has not synced.
		key := make([]byte, logKeyLen)
		putLogKey(key, a, 1)
		for {
			if _, closer, err := s.db.Get(key); err == nil {
				_ = closer.Close()
				break
			}
			runtime.Gosched()
		}
		reads := map[string]<-chan error{
			"ReadLog": start(func() error {
				entries, err := s.ReadLog(ctx, a, 1, 1, 1)
				if err == nil && len(entries) != 1 {
					t.Errorf("read %v", entries)
				}
				return err
			}),
			"Load": start(func() error {
				_, err := s.Load(ctx, a, func([]store.Record) im.Seq { return 0 })
				return err
			}),
			"Pending": start(func() error {
				addrs, err := s.Pending(ctx, a.Slot())
				if err == nil && len(addrs) != 1 {
					t.Errorf("pending: %v", addrs)
				}
				return err
			}),
		}
		other := im.User(2)
		if _, err := s.ReadLog(ctx, other, 1, 1, 1); err != nil {
			t.Fatal(err) // another slot has nothing to wait for
		}
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := s.ReadLog(cancelled, a, 1, 1, 1); !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled read: %v", err)
		}
		idle()
		for name, read := range reads {
			select {
			case err := <-read:
				t.Fatalf("%s did not wait for the commit: %v", name, err)
			default:
			}
		}
		d.answer <- fate
		d.on.Store(false)
		reads["Commit"] = commit
		for name, call := range reads {
			if err := <-call; fate == nil && err != nil || fate != nil && !errors.Is(err, store.ErrFailed) {
				t.Fatalf("%s of a commit with fate %v: %v", name, fate, err)
			}
		}
		if err := s.Close(); (err == nil) != (fate == nil) {
			t.Fatal(err)
		}
	}
}

// TestAcquireWaitsForCommits: when Acquire returns, nothing that was checked
// against the epoch before is still to come.
func TestAcquireWaitsForCommits(t *testing.T) {
	s, d, epochs := slowStore(t)
	ctx, a := context.Background(), im.User(1)
	commit := start(func() error { return s.Commit(ctx, storetest.One(a, epochs[a.Slot()], 1, "old")) })
	<-d.asked
	acquire := start(func() error {
		_, err := s.Acquire(ctx, "new", []im.Slot{a.Slot()})
		return err
	})
	for s.own.TryRLock() { // until Acquire waits for the lock
		s.own.RUnlock()
		runtime.Gosched()
	}
	late := start(func() error { return s.Commit(ctx, storetest.One(a, epochs[a.Slot()], 2, "late")) })
	idle()
	select {
	case <-acquire:
		t.Fatal("Acquire did not wait for a commit")
	default:
	}
	d.on.Store(false)
	d.answer <- nil
	if err := errors.Join(<-commit, <-acquire); err != nil {
		t.Fatal(err)
	}
	var fenced *store.SlotError
	if err := <-late; !errors.As(err, &fenced) {
		t.Fatalf("commit with the old epoch: %v", err)
	}
}

// TestGroupCommit: commits that come while the disk is busy share a sync.
func TestGroupCommit(t *testing.T) {
	s, d, epochs := slowStore(t)
	const n = 20
	users := make([]im.Addr, 0, n)
	for id := im.UserID(1); len(users) < n; id++ {
		if a := im.User(id); !slices.ContainsFunc(users, func(b im.Addr) bool { return a.Slot() == b.Slot() }) {
			users = append(users, a)
		}
	}
	ctx := context.Background()
	before := s.Metrics()
	first := start(func() error { return s.Commit(ctx, storetest.One(users[0], epochs[users[0].Slot()], 1, "x")) })
	<-d.asked
	var rest []<-chan error
	for _, a := range users[1:] {
		rest = append(rest, start(func() error { return s.Commit(ctx, storetest.One(a, epochs[a.Slot()], 1, "x")) }))
	}
	for _, a := range users[1:] { // until all are in Pebble
		key := make([]byte, logKeyLen)
		putLogKey(key, a, 1)
		for {
			if _, closer, err := s.db.Get(key); err == nil {
				_ = closer.Close()
				break
			}
			runtime.Gosched()
		}
	}
	d.release()
	for _, call := range append(rest, first) {
		if err := <-call; err != nil {
			t.Fatal(err)
		}
	}
	after := s.Metrics()
	if syncs, commits := after.Syncs-before.Syncs, after.Commits-before.Commits; commits != n || syncs > 3 {
		t.Fatalf("%d commits took %d syncs", commits, syncs)
	}
}

// TestCloseWaits: Close waits for running calls, and calls after it fail.
func TestCloseWaits(t *testing.T) {
	s, d, epochs := slowStore(t)
	ctx, a := context.Background(), im.User(1)
	commit := start(func() error { return s.Commit(ctx, storetest.One(a, epochs[a.Slot()], 1, "x")) })
	<-d.asked
	closing := start(s.Close)
	idle()
	select {
	case <-closing:
		t.Fatal("Close did not wait for a commit")
	default:
	}
	d.release()
	if err := errors.Join(<-commit, <-closing, s.Close()); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Acquire":      func() error { _, err := s.Acquire(ctx, "x", []im.Slot{1}); return err },
		"Commit":       func() error { return s.Commit(ctx, &store.Batch{}) },
		"Load":         func() error { _, err := s.Load(ctx, a, nil); return err },
		"ReadLog":      func() error { _, err := s.ReadLog(ctx, a, 1, 1, 1); return err },
		"Pending":      func() error { _, err := s.Pending(ctx, 1); return err },
		"PutMember":    func() error { return s.PutMember(ctx, store.Member{}, 1) },
		"DeleteMember": func() error { return s.DeleteMember(ctx, "x") },
		"Members":      func() error { _, err := s.Members(ctx); return err },
	} {
		if err := call(); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
	if m := s.Metrics(); m.Commits == 0 {
		t.Error("the metrics of a closed store are gone")
	}
}

// TestCancelled: a call whose caller has gone does nothing.
func TestCancelled(t *testing.T) {
	s := mustOpen(t, "data", Options{FS: vfs.NewMem()})
	epochs := storetest.AcquireAll(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	a := im.User(1)
	for name, call := range map[string]func() error{
		"Acquire":   func() error { _, err := s.Acquire(ctx, "x", []im.Slot{a.Slot()}); return err },
		"Commit":    func() error { return s.Commit(ctx, storetest.One(a, epochs[a.Slot()], 1, "x")) },
		"PutMember": func() error { return s.PutMember(ctx, store.Member{Node: "x"}, 1<<40) },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx = context.Background()
	if err := s.Commit(ctx, storetest.One(a, epochs[a.Slot()], 1, "y")); err != nil {
		t.Fatal(err)
	}
	entries, err := s.ReadLog(ctx, a, 1, 10, 10)
	if err != nil || len(entries) != 1 || string(entries[0].Value) != "y" {
		t.Fatalf("log %v, %v", entries, err)
	}
}

// TestSlotIsRefusedWhole: one change with an old epoch takes the others of its
// slot with it.
func TestSlotIsRefusedWhole(t *testing.T) {
	s := mustOpen(t, "data", Options{FS: vfs.NewMem()})
	epochs := storetest.AcquireAll(t, s)
	ctx, a := context.Background(), im.User(1)
	good := storetest.One(a, epochs[a.Slot()], 1, "x").Changes[0]
	for _, wrong := range []im.Epoch{0, epochs[a.Slot()] + 1} {
		bad := good
		bad.Epoch, bad.First = wrong, 2
		var fenced *store.SlotError
		err := s.Commit(ctx, &store.Batch{Changes: []store.Change{good, bad}})
		if !errors.As(err, &fenced) || !fenced.Fenced(a.Slot()) || len(fenced.Slots) != 1 {
			t.Fatalf("commit: %v", err)
		}
	}
	if entries, err := s.ReadLog(ctx, a, 1, 10, 10); err != nil || len(entries) != 0 {
		t.Fatalf("log %v, %v", entries, err)
	}
	if m := s.Metrics(); m.Fenced != 2 || m.Commits != 0 {
		t.Fatalf("%d slots fenced, %d commits", m.Fenced, m.Commits)
	}
}

// TestNoSuchSlot: slots that do not exist are refused, with those beside them.
func TestNoSuchSlot(t *testing.T) {
	s := mustOpen(t, "data", Options{FS: vfs.NewMem()})
	ctx := context.Background()
	if _, err := s.Acquire(ctx, "x", []im.Slot{1, im.Slots}); im.KindOf(err) != im.Invalid {
		t.Fatalf("acquire: %v", err)
	}
	if _, err := s.Pending(ctx, im.Slots); im.KindOf(err) != im.Invalid {
		t.Fatalf("pending: %v", err)
	}
	if epochs, err := s.Acquire(ctx, "x", []im.Slot{1}); err != nil || epochs[0] != 1 {
		t.Fatalf("acquire: %v, %v", epochs, err)
	}
}

// TestHole: a log that lacks entries is damaged, not shorter.
func TestHole(t *testing.T) {
	s := mustOpen(t, "data", Options{FS: vfs.NewMem()})
	epochs := storetest.AcquireAll(t, s)
	ctx, a := context.Background(), im.User(1)
	for _, first := range []im.Seq{3, 4, 6} { // a breach of the caller's duties
		if err := s.Commit(ctx, storetest.One(a, epochs[a.Slot()], first, "x")); err != nil {
			t.Fatal(err)
		}
	}
	load := func(tail im.Seq) error {
		_, err := s.Load(ctx, a, func([]store.Record) im.Seq { return tail })
		return err
	}
	for tail, damaged := range map[im.Seq]bool{0: true, 1: true, 2: true, 3: true, 4: true, 5: false, 6: false} {
		if err := load(tail); errors.Is(err, store.ErrCorrupt) != damaged {
			t.Errorf("load after %d: %v", tail, err)
		}
	}
	if entries, err := s.ReadLog(ctx, a, 3, 2, 100); err != nil || len(entries) != 2 {
		t.Errorf("what is before the hole: %v, %v", entries, err)
	}
	if _, err := s.ReadLog(ctx, a, 3, 3, 100); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("across the hole: %v", err)
	}
}

// TestFatalf: what Pebble calls fatal ends the store, not the process.
func TestFatalf(t *testing.T) {
	s := mustOpen(t, "data", Options{FS: vfs.NewMem()})
	logger{log: quiet(), failure: s.failure}.Fatalf("oh %s", "no")
	if err := s.Commit(context.Background(), &store.Batch{}); !errors.Is(err, store.ErrFailed) || !strings.Contains(err.Error(), "oh no") {
		t.Fatalf("commit: %v", err)
	}
	if err := s.Close(); !errors.Is(err, store.ErrFailed) {
		t.Fatalf("close: %v", err)
	}
}

// TestMetrics: the counters count.
func TestMetrics(t *testing.T) {
	s := mustOpen(t, "data", Options{FS: vfs.NewMem(), tune: small})
	p := newProgress(crashOwners)
	if err := errors.Join(write(s, storetest.AcquireAll(t, s), 1, make([]int, crashOwners), 60, p)...); err != nil {
		t.Fatal(err)
	}
	m := s.Metrics()
	if m.Commits != 2*60 || m.CommitBytes < 100_000 || m.CommitTime <= 0 || m.Syncs < 30 || m.SyncMax <= 0 || m.SyncTime < m.SyncMax {
		t.Errorf("%+v", m)
	}
	if m.BytesFlushed == 0 || m.DiskBytes == 0 || m.WALBytes == 0 || m.MemTableBytes == 0 {
		t.Errorf("%+v", m)
	}
}

// TestConcurrentEverything lets the race detector look at calls of all kinds.
func TestConcurrentEverything(t *testing.T) {
	s := mustOpen(t, "data", Options{FS: vfs.NewMem(), tune: small})
	epochs := storetest.AcquireAll(t, s)
	ctx := context.Background()
	var wg sync.WaitGroup
	for owner := range 4 {
		wg.Go(func() {
			sc := newScript(1, owner, 4)
			for range 30 {
				if err := s.Commit(ctx, sc.next(epochs)); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 30 {
				for _, a := range newScript(1, owner, 4).addrs {
					if _, err := readContents(s, a); err != nil && !strings.Contains(err.Error(), "disagree") {
						t.Error(err) // the log grows between the two reads of it
					}
				}
				s.Metrics()
				if _, err := s.Members(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
