package pebble

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/storetest"
)

const (
	crashOwners  = 2
	crashBatches = 80
)

// crash is what was left of a disk when the power failed, and what the owners
// knew at that moment.
type crash struct {
	fs     *vfs.MemFS
	op     int
	acked  []int
	begun  []int
	epochs []im.Epoch
}

// crasher pulls the plug before randomly chosen operations of a file system:
// it keeps a copy of what would be found afterwards, and lets the run go on.
type crasher struct {
	mem    *vfs.MemFS
	p      *progress
	epochs []im.Epoch

	mu      sync.Mutex
	rng     *rand.Rand
	lose    int // percent of unsynced data that is lost; -1: any
	gap     int // operations between crashes, at most
	limit   int // of crashes
	op      int
	next    int
	crashes []*crash
}

func (c *crasher) String() string { return "crasher" }

// MaybeError implements errorfs.Injector; it never makes errors.
func (c *crasher) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.op++; c.op >= c.next && len(c.crashes) < c.limit {
		c.crashes = append(c.crashes, c.crash())
		c.next = c.op + 1 + c.rng.IntN(c.gap)
	}
	return nil
}

func (c *crasher) crash() *crash {
	lose := c.lose
	if lose < 0 {
		lose = c.rng.IntN(101)
	}
	// What is known before the disk stops must be there; what is unknown
	// after it stopped must not.
	found := &crash{op: c.op, acked: values(c.p.acked), epochs: c.epochs}
	found.fs = c.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100 - lose, RNG: c.rng})
	found.begun = values(c.p.begun)
	return found
}

// runCrashes writes to a new store and returns the crashes on the way, of
// which the last is at the end.
func runCrashes(t *testing.T, seed uint64, lose, gap, limit int, opts Options, wrap func(vfs.FS) vfs.FS) []*crash {
	t.Helper()
	mem := vfs.NewCrashableMem()
	c := &crasher{
		mem: mem, p: newProgress(crashOwners), epochs: make([]im.Epoch, im.Slots),
		rng: rand.New(rand.NewPCG(seed, 99)), lose: lose, gap: gap, limit: limit,
	}
	c.next = 1 + c.rng.IntN(gap)
	opts.FS, opts.tune = wrap(errorfs.Wrap(mem, c)), small
	s := mustOpen(t, "data", opts)
	epochs, err := acquireScripts(s, crashOwners)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.epochs = epochs
	c.mu.Unlock()
	for owner, err := range write(s, epochs, seed, make([]int, crashOwners), crashBatches, c.p) {
		if err != nil {
			t.Fatalf("owner %d: %v", owner, err)
		}
	}
	c.mu.Lock()
	c.crashes = append(c.crashes, c.crash())
	c.mu.Unlock()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return c.crashes
}

// recover opens the store after a crash and checks it, writes on, crashes at
// the end, and checks again.
func (c *crash) recover(t *testing.T, seed uint64) error {
	t.Helper()
	s, err := Open("data", Options{FS: c.fs, Logger: quiet(), tune: small})
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer s.Close()
	found, err := verify(s, seed, c.acked, c.begun)
	if err != nil {
		return err
	}
	epochs, err := acquireScripts(s, crashOwners)
	if err != nil {
		return err
	}
	for slot, epoch := range epochs {
		if epoch <= c.epochs[slot] && epoch != 0 {
			return fmt.Errorf("slot %d got epoch %d again after %d", slot, epoch, c.epochs[slot])
		}
	}
	p := newProgress(crashOwners)
	to := max(found[0], found[1]) + 10
	if err := errors.Join(write(s, epochs, seed, found, to, p)...); err != nil {
		return fmt.Errorf("write on: %w", err)
	}
	again, err := Open("data", Options{FS: c.fs.CrashClone(vfs.CrashCloneCfg{}), Logger: quiet(), tune: small})
	if err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	defer again.Close()
	_, err = verify(again, seed, []int{to, to}, []int{to, to})
	return err
}

func noWrap(fs vfs.FS) vfs.FS { return fs }

// TestCrash: whenever the power fails, and whatever part of the data that was
// not synced survives, the store opens and holds all that was acknowledged.
func TestCrash(t *testing.T) {
	crashes := 0
	for seed := range uint64(3 * *rounds) {
		for _, lose := range []int{100, 0, -1} {
			for _, c := range runCrashes(t, seed, lose, 120, 1000, Options{}, noWrap) {
				crashes++
				if err := c.recover(t, seed); err != nil {
					t.Fatalf("seed %d, losing %d%%, crash before operation %d (acked %v, begun %v): %v",
						seed, lose, c.op, c.acked, c.begun, err)
				}
			}
		}
	}
	t.Logf("%d crashes", crashes)
}

// TestCrashWhileOpening crashes at every operation that makes a new store.
func TestCrashWhileOpening(t *testing.T) {
	for _, lose := range []int{100, 0, 50} {
		for _, c := range runCrashes(t, 1, lose, 1, 60, Options{}, noWrap) {
			if err := c.recover(t, 1); err != nil {
				t.Fatalf("losing %d%%, crash before operation %d: %v", lose, c.op, err)
			}
		}
	}
}

// trace records the operations that change a disk.
type trace struct {
	mu  sync.Mutex
	ops []errorfs.Op
}

func (tr *trace) String() string { return "trace" }

func (tr *trace) MaybeError(op errorfs.Op) error {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
		tr.ops = append(tr.ops, op)
	}
	return nil
}

// TestMarkersSettle: the directory is synced between any other change to it
// and one to a marker file in it.
func TestMarkersSettle(t *testing.T) {
	tr := &trace{}
	s := mustOpen(t, "data", Options{FS: errorfs.Wrap(vfs.NewMem(), tr), tune: small})
	p := newProgress(crashOwners)
	if err := errors.Join(write(s, storetest.AcquireAll(t, s), 1, make([]int, crashOwners), 60, p)...); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	markers, dirty := 0, errorfs.Op{}
	for _, op := range tr.ops {
		switch op.Kind {
		case errorfs.OpFileSync:
			if op.Path == "data" {
				dirty = errorfs.Op{}
			}
		case errorfs.OpCreate, errorfs.OpRemove, errorfs.OpRename, errorfs.OpReuseForWrite:
			if strings.Contains(op.Path, "/marker.") {
				markers++
				if dirty.Path != "" && !strings.HasSuffix(dirty.Path, ".sst") {
					t.Fatalf("%v of %s was not synced before %v of %s", dirty.Kind, dirty.Path, op.Kind, op.Path)
				}
			}
			dirty = op
		}
	}
	if markers < 10 {
		t.Fatalf("markers changed %d times", markers)
	}
}

// TestCrashNoticesDefects: the crash test would fail if the store did not
// sync, and if the disk lied about it.
func TestCrashNoticesDefects(t *testing.T) {
	for _, test := range []struct {
		name string
		opts Options
		wrap func(vfs.FS) vfs.FS
	}{
		{"acknowledges without sync", Options{unsafeNoSync: true}, noWrap},
		{"disk that does not sync", Options{}, func(fs vfs.FS) vfs.FS { return lyingFS{fs} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, c := range runCrashes(t, 1, 100, 100, 1000, test.opts, test.wrap) {
				if err := c.recover(t, 1); err != nil {
					return
				}
			}
			t.Fatal("no crash lost anything")
		})
	}
}

// lyingFS drops syncs of the write-ahead log.
type lyingFS struct{ vfs.FS }

func (l lyingFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := l.FS.Create(name, c)
	return lie(f, name), err
}

func (l lyingFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := l.FS.ReuseForWrite(old, name, c)
	return lie(f, name), err
}

func lie(f vfs.File, name string) vfs.File {
	if strings.HasSuffix(name, ".log") {
		return lyingFile{f}
	}
	return f
}

type lyingFile struct{ vfs.File }

func (lyingFile) SyncData() error { return nil }
