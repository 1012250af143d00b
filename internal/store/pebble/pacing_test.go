package pebble

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	pebbledb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/storetest"
)

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var depth, looks atomic.Int64
		g := newGate(func() int { looks.Add(1); return int(depth.Load()) })
		failed := make(chan struct{})
		pass := func(ctx context.Context) (bool, error) { return g.pass(ctx, failed) }
		for range 3 {
			if waited, err := pass(t.Context()); waited || err != nil || looks.Load() != 0 {
				t.Fatalf("open gate: waited %v, %v, %d looks", waited, err, looks.Load())
			}
		}
		depth.Store(stopSublevels)
		g.grew()
		ctx, cancel := context.WithCancel(t.Context())
		gone := start(func() error { _, err := pass(ctx); return err })
		var wg sync.WaitGroup
		var through atomic.Int64
		for range 3 {
			wg.Go(func() {
				if waited, err := pass(t.Context()); !waited || err != nil {
					t.Errorf("waited %v, %v", waited, err)
				}
				through.Add(1)
			})
		}
		synctest.Wait()
		g.shrank() // not enough
		synctest.Wait()
		if through.Load() != 0 || !g.closed() {
			t.Fatalf("%d went through a closed gate", through.Load())
		}
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled: %v", err)
		}
		depth.Store(stopSublevels - 1)
		g.shrank()
		wg.Wait()
		if g.closed() {
			t.Fatal("the gate is still closed")
		}
		depth.Store(stopSublevels)
		g.grew()
		stuck := start(func() error { _, err := pass(t.Context()); return err })
		synctest.Wait()
		close(failed)
		if err := <-stuck; err != nil {
			t.Fatal(err)
		}
	})
}

// TestGateHoldsCommits: commits wait while too many tables wait for
// compaction, and when compactions fail meanwhile, so do they.
func TestGateHoldsCommits(t *testing.T) {
	s := mustOpen(t, "data", Options{FS: vfs.NewMem()})
	asked := make(chan struct{}, 10)
	s.gate.depth = func() int { asked <- struct{}{}; return stopSublevels }
	s.gate.grew()
	commit := start(func() error { return s.Commit(context.Background(), &store.Batch{}) })
	<-asked
	for !s.gate.closed() {
		idle()
	}
	idle()
	select {
	case err := <-commit:
		t.Fatalf("a commit did not wait: %v", err)
	default:
	}
	s.backgroundError(syscall.EIO)
	if err := <-commit; !errors.Is(err, store.ErrFailed) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("commit: %v", err)
	}
}

// TestCompactionsThatFail are tried again after a pause, not at once, and do
// not keep anybody from writing.
func TestCompactionsThatFail(t *testing.T) {
	f := &fault{match: func(op errorfs.Op) bool {
		return op.Kind == errorfs.OpFileReadAt && strings.HasSuffix(op.Path, ".sst")
	}, err: syscall.EIO, at: 1}
	s := mustOpen(t, "data", Options{FS: errorfs.Wrap(vfs.NewMem(), f), tune: small})
	p := newProgress(crashOwners)
	if err := errors.Join(write(s, storetest.AcquireAll(t, s), 1, make([]int, crashOwners), 100, p)...); err != nil {
		t.Fatal(err)
	}
	for s.Metrics().BackgroundErrors == 0 {
		idle()
	}
	if m := s.Metrics(); m.BackgroundErrors > 20 || s.Err() != nil {
		t.Fatalf("%d background errors, store failed: %v", m.BackgroundErrors, s.Err())
	}
}

// fakeDB is a database that wants compactions.
type fakeDB struct {
	s       *scheduler
	allowed atomic.Int64
	waiting atomic.Int64
	started atomic.Int64
}

func (d *fakeDB) GetAllowedWithoutPermission() int { return int(d.allowed.Load()) }

func (d *fakeDB) GetWaitingCompaction() (bool, pebbledb.WaitingCompaction) {
	return d.waiting.Load() > 0, pebbledb.WaitingCompaction{}
}

func (d *fakeDB) Schedule(pebbledb.CompactionGrantHandle) bool {
	d.waiting.Add(-1)
	d.started.Add(1)
	return true
}

func TestScheduler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailure(quiet())
		s := newScheduler(f, time.Now)
		db := &fakeDB{s: s}
		db.allowed.Store(2)
		s.Register(1, db)
		if ok, _ := s.TrySchedule(); ok {
			t.Fatal("a compaction runs before the store is open")
		}
		s.begin()
		ok, first := s.TrySchedule()
		if !ok {
			t.Fatal("no compaction runs")
		}
		db.waiting.Store(3)
		expect := func(started, running int64) {
			t.Helper()
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			if db.started.Load() != started || int64(s.running) != running {
				t.Fatalf("%d started and %d run, want %d and %d", db.started.Load(), s.running, started, running)
			}
		}
		time.Sleep(compactionPoll) // on the bubble's clock
		expect(1, 2)
		first.Done()
		expect(2, 2)
		db.allowed.Store(3)
		s.UpdateGetAllowedWithoutPermission()
		expect(3, 3)
		s.Done()
		s.Done()
		s.Done()
		expect(3, 0)

		s.pause()
		db.waiting.Store(1)
		time.Sleep(compactionPause - 2*compactionPoll)
		expect(3, 0)
		time.Sleep(4 * compactionPoll)
		expect(4, 1)
		s.Done()

		f.set("write", "x", syscall.EIO)
		db.waiting.Store(1)
		time.Sleep(2 * compactionPoll)
		expect(4, 0)
		s.Unregister()
		if ok, _ := s.TrySchedule(); ok {
			t.Fatal("a compaction runs on a dead disk")
		}
	})
}
