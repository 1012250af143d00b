package pebble

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/storetest"
)

// fault makes operations of a file system fail from the at-th on.
type fault struct {
	match func(errorfs.Op) bool
	err   error
	at    int64
	once  bool
	n     atomic.Int64
	hits  atomic.Int64
}

func (f *fault) String() string { return "fault" }

func (f *fault) MaybeError(op errorfs.Op) error {
	if !f.match(op) {
		return nil
	}
	if n := f.n.Add(1); n < f.at || f.at == 0 || f.once && n > f.at {
		return nil
	}
	f.hits.Add(1)
	return f.err
}

func writes(op errorfs.Op) bool { return op.Kind.ReadOrWrite() == errorfs.OpIsWrite }

// reads leaves out opening directories, which Pebble and the store do to sync
// them.
func reads(op errorfs.Op) bool { return !writes(op) && op.Kind != errorfs.OpOpenDir }

// faultRun is a store on a failing disk.
type faultRun struct {
	fault *fault
	mem   *vfs.MemFS
	p     *progress
	seed  uint64
}

func newFaultRun(seed uint64, f *fault) *faultRun {
	return &faultRun{fault: f, mem: vfs.NewCrashableMem(), p: newProgress(crashOwners), seed: seed}
}

const faultBatches = 40

// run opens a store, writes, and checks how it fails. It returns the error of
// Open.
func (r *faultRun) run(t *testing.T) error {
	t.Helper()
	s, err := Open("data", Options{FS: errorfs.Wrap(r.mem, r.fault), Logger: quiet(), tune: small})
	if err != nil {
		return err
	}
	epochs, err := acquireScripts(s, crashOwners)
	errs := []error{err}
	if err == nil {
		errs = write(s, epochs, r.seed, make([]int, crashOwners), faultBatches, r.p)
	}
	failed := false
	for _, err := range errs {
		failed = failed || err != nil
		if err != nil && !errors.Is(err, store.ErrFailed) {
			t.Fatalf("fault at operation %d: commit: %v", r.fault.at, err)
		}
	}
	if failed {
		r.checkFailed(t, s)
	}
	if err := s.Close(); err == nil && s.Err() != nil {
		t.Fatal("Close of a failed store does not say why it failed")
	}
	return nil
}

// checkFailed: a failed store says so, and takes nothing more, although the
// disk may be well again.
func (r *faultRun) checkFailed(t *testing.T, s *Store) {
	t.Helper()
	select {
	case <-s.Failed():
	default:
		t.Fatal("a commit failed, and the store has not")
	}
	if err := s.Err(); !errors.Is(err, store.ErrFailed) || !errors.Is(err, r.fault.err) || !strings.Contains(err.Error(), "restart") {
		t.Fatalf("Err: %v", err)
	}
	ctx := context.Background()
	for name, call := range map[string]func() error{
		"Commit":  func() error { return s.Commit(ctx, &store.Batch{}) },
		"Acquire": func() error { _, err := s.Acquire(ctx, "x", []im.Slot{1}); return err },
		"ReadLog": func() error { _, err := s.ReadLog(ctx, im.User(1), 1, 1, 1); return err },
	} {
		if err := call(); !errors.Is(err, store.ErrFailed) {
			t.Fatalf("%s after the failure: %v", name, err)
		}
	}
}

// checkDisk opens what the disk holds and checks it: all of it, as after a
// repair and a restart of the process, and what was synced, as after a crash.
func (r *faultRun) checkDisk(t *testing.T) error {
	t.Helper()
	for _, percent := range []int{0, 50, 100} {
		fs := r.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(r.seed, 3))})
		s, err := Open("data", Options{FS: fs, Logger: quiet(), tune: small})
		if err != nil {
			return fmt.Errorf("open with %d%% of what was not synced: %w", percent, err)
		}
		_, err = verify(s, r.seed, values(r.p.acked), values(r.p.begun))
		if err := errors.Join(err, s.Close()); err != nil {
			return fmt.Errorf("with %d%% of what was not synced: %w", percent, err)
		}
	}
	return nil
}

// countOps is how many operations a run without faults takes.
func countOps(t *testing.T, match func(errorfs.Op) bool) int {
	t.Helper()
	r := newFaultRun(1, &fault{match: match})
	if err := r.run(t); err != nil {
		t.Fatal(err)
	}
	if err := r.checkDisk(t); err != nil {
		t.Fatal(err)
	}
	return int(r.fault.n.Load())
}

// TestWriteFaults makes every single write operation of a run fail, once or
// from then on, with one of several errors. Never is a batch acknowledged
// that the disk does not hold; never does anything panic or hang.
func TestWriteFaults(t *testing.T) {
	total := countOps(t, writes)
	step := max(1, total/(100**rounds))
	causes := []error{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS}
	opened := 0
	for i := 1; i <= total; i++ {
		if i > 60 && i%step != 0 {
			continue
		}
		r := newFaultRun(uint64(i), &fault{match: writes, err: causes[i%len(causes)], at: int64(i), once: i%2 == 0})
		if err := r.run(t); err == nil {
			opened++
		} else if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrLocked) || !errors.Is(err, r.fault.err) {
			t.Fatalf("fault at operation %d: open: %v", i, err)
		}
		if err := r.checkDisk(t); err != nil {
			t.Fatalf("fault at operation %d (%v, once %v): %v", i, r.fault.err, r.fault.once, err)
		}
	}
	t.Logf("%d write operations; %d stores opened and failed later", total, opened)
	if opened < 50 {
		t.Fatalf("only %d stores failed after they were opened", opened)
	}
}

// TestWriteFaultKinds makes the operations of one kind on one kind of file
// fail, from the n-th on.
func TestWriteFaultKinds(t *testing.T) {
	kinds := map[string]errorfs.OpKind{
		"create": errorfs.OpCreate, "reuse": errorfs.OpReuseForWrite, "write": errorfs.OpFileWrite,
		"sync": errorfs.OpFileSync, "syncdata": errorfs.OpFileSyncData, "close": errorfs.OpFileClose,
		"stat": errorfs.OpFileStat,
	}
	for name, kind := range kinds {
		for _, suffix := range []string{".log", ".sst", "MANIFEST-", "data"} {
			match := func(op errorfs.Op) bool {
				return op.Kind == kind && (strings.HasSuffix(op.Path, suffix) || strings.Contains(op.Path, suffix+"0"))
			}
			t.Run(name+suffix, func(t *testing.T) {
				total := countOps(t, match)
				for _, at := range []int{1, total / 2, total - 1} {
					if at < 1 {
						continue
					}
					r := newFaultRun(7, &fault{match: match, err: syscall.ENOSPC, at: int64(at)})
					if err := r.run(t); err != nil && !errors.Is(err, syscall.ENOSPC) {
						t.Fatalf("open: %v", err)
					}
					if err := r.checkDisk(t); err != nil {
						t.Fatalf("fault %d of %d: %v", at, total, err)
					}
				}
			})
		}
	}
}

// TestFaultTestNoticesDefects: were failed syncs simply forgotten, the tests
// above would fail.
func TestFaultTestNoticesDefects(t *testing.T) {
	for seed := range uint64(20) {
		r := newFaultRun(seed, &fault{match: func(op errorfs.Op) bool {
			return op.Kind == errorfs.OpFileSyncData && strings.HasSuffix(op.Path, ".log")
		}, err: syscall.EIO, at: 20})
		deaf := forgetful{errorfs.Wrap(r.mem, r.fault)}
		s := mustOpen(t, "data", Options{FS: deaf, tune: small})
		if err := errors.Join(write(s, storetest.AcquireAll(t, s), seed, make([]int, crashOwners), faultBatches, r.p)...); err != nil {
			t.Fatal(err)
		}
		if err := r.checkDisk(t); err != nil {
			return
		}
	}
	t.Fatal("nothing was lost")
}

// forgetful hides the errors of syncs.
type forgetful struct{ vfs.FS }

func (f forgetful) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	return forgetfulFile{file}, err
}

func (f forgetful) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(old, name, c)
	return forgetfulFile{file}, err
}

type forgetfulFile struct{ vfs.File }

func (f forgetfulFile) SyncData() error {
	_ = f.File.SyncData()
	return nil
}

// TestReadFaults makes reads fail while the store is opened and used. A read
// that fails says so, and is not taken for damage; writing goes on.
func TestReadFaults(t *testing.T) {
	r := newFaultRun(1, &fault{match: reads})
	if err := r.run(t); err != nil {
		t.Fatal(err)
	}
	failedOpens, failedReads := 0, 0
	for at := int64(1); at < 400; at += 1 + at/20 {
		f := &fault{match: reads, err: syscall.EIO, at: at, once: at%2 == 0}
		s, err := Open("data", Options{FS: errorfs.Wrap(r.mem.CrashClone(vfs.CrashCloneCfg{}), f), Logger: quiet(), tune: small, CacheBytes: 1})
		if err != nil {
			failedOpens++
			if !errors.Is(err, syscall.EIO) || errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("fault at operation %d: open: %v", at, err)
			}
			continue
		}
		_, err = verify(s, r.seed, values(r.p.acked), values(r.p.begun))
		if err != nil {
			failedReads++
			if !errors.Is(err, syscall.EIO) || errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrFailed) {
				t.Fatalf("fault at operation %d: read: %v", at, err)
			}
		}
		storetest.AcquireAll(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d failed to open, %d to read", failedOpens, failedReads)
	if failedOpens == 0 || failedReads == 0 {
		t.Fatal("not enough happened")
	}
}

// TestReadFaultAnywhere makes each single read of a Load fail: it returns
// everything or an error, never a part.
func TestReadFaultAnywhere(t *testing.T) {
	r := newFaultRun(1, &fault{match: reads})
	if err := r.run(t); err != nil {
		t.Fatal(err)
	}
	var armed atomic.Int64 // reads until the one that fails
	f := &fault{match: func(op errorfs.Op) bool {
		return op.Kind == errorfs.OpFileReadAt && armed.Add(-1) == 0
	}, err: syscall.EIO, at: 1}
	s := mustOpen(t, "data", Options{FS: errorfs.Wrap(r.mem.CrashClone(vfs.CrashCloneCfg{}), f), tune: small, CacheBytes: 1})
	failed := 0
	for owner := range crashOwners {
		for a, want := range newScript(r.seed, owner, crashOwners).skip(faultBatches) {
			for read := int64(1); read < 30; read++ {
				armed.Store(read)
				got, err := readContents(s, a)
				armed.Store(0)
				if err != nil {
					failed++
				}
				if err != nil && !errors.Is(err, syscall.EIO) || err == nil && !want.equal(got) {
					t.Fatalf("read %d of %v fails: error %v, and the contents are whole: %v", read, a, err, err == nil && want.equal(got))
				}
			}
		}
	}
	if failed < 20 {
		t.Fatalf("only %d reads failed", failed)
	}
}
