package pebble

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"syscall"
	"time"

	pebbledb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/skein-im/skein/internal/store"
)

// Open opens the store in a directory, or makes one there. Its errors wrap
// store.ErrLocked, store.ErrNewer or store.ErrCorrupt where one of them is the
// reason.
func Open(dir string, opts Options) (*Store, error) {
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.CacheBytes == 0 {
		opts.CacheBytes = DefaultCacheBytes
	}
	lock, err := lockDir(opts.FS, dir)
	if err != nil {
		return nil, err
	}
	s, err := openLocked(dir, opts, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// lockDir makes the directory and takes its lock.
func lockDir(fsys vfs.FS, dir string) (*pebbledb.Lock, error) {
	if err := makeDir(fsys, dir); err != nil {
		return nil, fmt.Errorf("make the data directory %s: %w", dir, err)
	}
	lock, err := pebbledb.LockDirectory(dir, fsys)
	if err == nil {
		return lock, nil
	}
	if !isLocked(err) {
		return nil, fmt.Errorf("lock the data directory %s: %w; %s", dir, err, remedy(err))
	}
	return nil, fmt.Errorf("%w: %s; stop the other process, or give this one another directory", store.ErrLocked, dir)
}

// isLocked tells a lock that another process has from one that cannot be
// taken. An error with a path comes from making the lock file, and one without
// a number from Pebble, which has locked it in this process.
func isLocked(err error) bool {
	var noFile *fs.PathError
	var number syscall.Errno
	switch {
	case errors.As(err, &noFile):
		return false
	case errors.As(err, &number):
		return number == syscall.EAGAIN || number == syscall.EACCES || runtime.GOOS == "windows"
	}
	return true
}

// makeDir makes a directory and its parents, durably.
func makeDir(fsys vfs.FS, dir string) error {
	if _, err := fsys.Stat(dir); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := fsys.PathDir(dir)
	if parent != dir {
		if err := makeDir(fsys, parent); err != nil {
			return err
		}
	}
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(fsys, parent)
}

func syncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// openLocked opens the store in a directory that this process has locked.
func openLocked(dir string, opts Options, lock *pebbledb.Lock) (*Store, error) {
	state, format, err := readFormat(opts.FS, dir, opts.Beside)
	if err != nil {
		return nil, err
	}
	if state == formatNone {
		if err := writeFormat(opts.FS, dir, formatNew); err != nil {
			return nil, fmt.Errorf("write to the data directory %s: %w; %s", dir, err, remedy(err))
		}
	}
	s := &Store{dir: dir, format: format, log: opts.Logger, clock: opts.Clock, lock: lock, failure: newFailure(opts.Logger)}
	s.disk = newDisk(opts.FS, s.failure)
	s.gate = newGate(s.depth)
	s.scheduler = newScheduler(s.failure, time.Now)
	s.sync = pebbledb.Sync
	if opts.unsafeNoSync {
		s.sync = pebbledb.NoSync
	}
	if err := s.openDB(dir, opts, state == formatReady); err != nil {
		return nil, err
	}
	if state != formatReady {
		s.format = formatVersion
		if err := writeFormat(opts.FS, dir, formatReady); err != nil {
			return nil, errors.Join(fmt.Errorf("write to the data directory %s: %w; %s", dir, err, remedy(err)), s.db.Close())
		}
	}
	return s, nil
}

// openDB opens the Pebble database and loads the epochs.
func (s *Store) openDB(dir string, opts Options, mustExist bool) (err error) {
	popts := s.pebbleOptions(opts)
	popts.ErrorIfNotExists = mustExist
	if err := checkManifest(s.disk, dir); err != nil {
		return s.openError(dir, err)
	}
	if s.db, err = openPebble(dir, popts); err != nil {
		return s.openError(dir, err)
	}
	s.scheduler.begin()
	if err = s.loadEpochs(); err == nil {
		err = s.Err()
	}
	if err != nil {
		return errors.Join(s.openError(dir, err), s.db.Close())
	}
	return nil
}

// openPebble turns panics into errors: damaged files make Pebble panic in
// places.
func openPebble(dir string, opts *pebbledb.Options) (db *pebbledb.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("panic while opening: %v", p)
		}
	}()
	return pebbledb.Open(dir, opts)
}

// openError names the reason why the database did not open. When the disk did
// what it was asked to, what it holds must be wrong.
func (s *Store) openError(dir string, err error) error {
	if failed := s.Err(); failed != nil {
		return fmt.Errorf("open the store in %s: %w", dir, failed)
	}
	if readErr := s.disk.readErr.Load(); readErr != nil {
		return fmt.Errorf("open the store in %s: %w (%v); %s", dir, *readErr, err, remedy(*readErr))
	}
	if errors.Is(err, store.ErrCorrupt) {
		return fmt.Errorf("open the store in %s: %w", dir, err)
	}
	return fmt.Errorf("%w: %s: %v; keep a copy of the directory, check the disk, and restore a backup",
		store.ErrCorrupt, dir, err)
}

func (s *Store) loadEpochs() error {
	it, err := s.db.NewIter(spanOf([]byte{keyEpoch}))
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		slot, epoch, err := epochOf(it.Key(), it.Value())
		if err != nil {
			return errors.Join(err, it.Close())
		}
		s.epochs[slot], s.owners[slot] = epoch, string(it.Value()[8:])
	}
	return errors.Join(it.Error(), it.Close())
}

// depth is how many layers of tables wait for compaction.
func (s *Store) depth() int { return int(s.db.Metrics().Levels[0].Sublevels) }
