package pebble

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	pebbledb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Options configure a store. The zero value is ready for use.
type Options struct {
	// FS is where the directory is; nil: the operating system's.
	FS vfs.FS
	// Clock tells when members expire; nil: time.Now.
	Clock func() time.Time
	// Logger gets what the operator should know; nil: slog.Default.
	Logger *slog.Logger
	// CacheBytes is the memory for blocks read from the disk; 0:
	// DefaultCacheBytes. Write buffers take up to 192 MiB besides.
	CacheBytes int64
	// Compress makes what has come to rest take a quarter to a half less
	// disk, for a tenth more CPU per message and twice as much per read of
	// what no cache holds. It applies to what is written from now on.
	Compress bool
	// Beside are how the names of files begin that others may have put into a
	// new directory. Any other file there means that the data is lost.
	Beside []string

	// unsafeNoSync acknowledges commits that are not durable. Tests set it
	// to prove that they would notice.
	unsafeNoSync bool
	// tune lets tests change what Pebble is opened with.
	tune func(*pebbledb.Options)
}

// DefaultCacheBytes is the default of Options.CacheBytes.
const DefaultCacheBytes = 64 << 20

// Store is the engine. Make one with Open.
type Store struct {
	dir     string
	log     *slog.Logger
	clock   func() time.Time
	lock    *pebbledb.Lock
	disk    *disk
	db      *pebbledb.DB
	sync    *pebbledb.WriteOptions
	failure *failure
	counts  counts
	members members

	gate      *gate
	scheduler *scheduler

	life store.Life

	// own is held for reading by commits and taken by Acquire, so that an
	// epoch holds for as long as a commit that was checked against it runs.
	own sync.RWMutex
	// format is what the directory is marked as.
	format int
	epochs [im.Slots]im.Epoch
	owners [im.Slots]string

	// inflight is the commit that is about to change a slot and not yet
	// durable. Reads wait for it.
	inflight [im.Slots]atomic.Pointer[inflight]
}

var _ store.Store = (*Store)(nil)

// inflight is a commit under way.
type inflight struct{ done chan struct{} }

// Failed is closed when the store has failed: it takes no more writes, and
// the process should end, or close the store and open it again.
func (s *Store) Failed() <-chan struct{} { return s.failure.ch }

// Err says why the store has failed, in words for the operator; nil: it has
// not.
func (s *Store) Err() error { return s.failure.get() }

// Close waits for running calls. It returns why the store failed, if it did;
// whatever was acknowledged is safe all the same.
func (s *Store) Close() error {
	return s.life.End(func() error {
		err := errors.Join(s.db.Close(), s.lock.Close())
		if failed := s.Err(); failed != nil {
			return failed
		}
		return err
	})
}

// Owners implements store.Store.
func (s *Store) Owners(ctx context.Context, slots []im.Slot) ([]store.Owner, error) {
	if err := s.life.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.Exit()
	if err := store.CheckSlots(slots...); err != nil {
		return nil, err
	}
	s.own.RLock()
	defer s.own.RUnlock()
	owners := make([]store.Owner, len(slots))
	for i, slot := range slots {
		owners[i] = store.Owner{Node: s.owners[slot], Epoch: s.epochs[slot]}
	}
	return owners, nil
}

// Acquire implements store.Store. It waits for commits that are under way.
func (s *Store) Acquire(ctx context.Context, owner string, slots []im.Slot) ([]im.Epoch, error) {
	if err := s.life.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.Exit()
	if err := store.CheckSlots(slots...); err != nil {
		return nil, err
	}
	s.own.Lock()
	defer s.own.Unlock()
	if err := errors.Join(s.Err(), ctx.Err()); err != nil {
		return nil, err
	}
	if err := s.raiseFormat(); err != nil {
		return nil, err
	}
	b := s.db.NewBatch()
	defer b.Close()
	epochs := make([]im.Epoch, len(slots))
	for i, slot := range slots {
		epochs[i] = s.epochs[slot] + 1
		putEpoch(b, slot, epochs[i], owner)
	}
	if err := s.apply(b); err != nil {
		return nil, err
	}
	for i, slot := range slots {
		s.epochs[slot], s.owners[slot] = epochs[i], owner
	}
	return epochs, nil
}

// apply makes a Pebble batch durable. When the disk has died meanwhile, nobody
// knows whether it is.
func (s *Store) apply(b *pebbledb.Batch) error {
	err := s.db.Apply(b, s.sync)
	if failed := s.Err(); failed != nil {
		return failed
	}
	return err
}
