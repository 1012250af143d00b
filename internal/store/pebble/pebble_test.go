package pebble

import (
	"flag"
	"log/slog"
	"sync"
	"testing"
	"time"

	pebbledb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/storetest"
)

// rounds makes the tests that try things at random try more of them.
var rounds = flag.Int("rounds", 1, "how thorough the crash, fault and damage tests are")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// clocked is a store whose clock the conformance suite moves.
type clocked struct {
	*Store
	*clock
}

// stalling is a clocked store whose disk can be held back.
type stalling struct {
	clocked
	disk *slowDisk
}

// Stall implements storetest.Staller.
func (s stalling) Stall() func() {
	s.disk.on.Store(true)
	return s.disk.release
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// small makes everything happen early that takes megabytes otherwise: log
// rotation, flushes, compactions, manifest rotation.
func small(p *pebbledb.Options) {
	p.MemTableSize = 64 << 10
	p.LBaseMaxBytes = 256 << 10
	p.MaxManifestFileSize = 1 << 10
	p.L0CompactionThreshold = 1
	for i := range p.TargetFileSizes {
		p.TargetFileSizes[i] = 16 << 10
	}
	for i := range p.Levels {
		p.Levels[i].BlockSize = 1 << 10
		p.Levels[i].IndexBlockSize = 1 << 10
	}
}

// mustOpen opens a store and closes it when the test ends.
func mustOpen(t testing.TB, dir string, opts Options) *Store {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = quiet()
	}
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	for _, test := range []struct {
		name string
		opts func(t *testing.T) (dir string, opts Options)
	}{
		{"Disk", func(t *testing.T) (string, Options) { return t.TempDir(), Options{} }},
		{"SmallTables", func(*testing.T) (string, Options) {
			return "data", Options{FS: vfs.NewMem(), Compress: true, tune: small}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) store.Store {
				c := &clock{now: time.Unix(1e9, 0)}
				dir, opts := test.opts(t)
				opts.Clock, opts.Logger = c.Now, quiet()
				disk := newSlowDisk()
				if opts.FS == nil {
					opts.FS = vfs.Default
				}
				opts.FS = errorfs.Wrap(opts.FS, disk)
				s, err := Open(dir, opts)
				if err != nil {
					t.Fatal(err)
				}
				return stalling{clocked{s, c}, disk}
			})
		})
	}
}
