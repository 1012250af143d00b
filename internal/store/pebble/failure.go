package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/skein-im/skein/internal/store"
)

// failure is the sticky failed state of a store.
type failure struct {
	log  *slog.Logger
	err  atomic.Pointer[error]
	once sync.Once
	ch   chan struct{}
}

func newFailure(log *slog.Logger) *failure {
	return &failure{log: log, ch: make(chan struct{})}
}

// get returns nil while the store is well. Whoever may be lied to by a dead
// disk must ask again after Pebble returned.
func (f *failure) get() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

// set makes the store fail, unless it already has. It may be called with any
// lock held.
func (f *failure) set(op, name string, cause error) {
	f.once.Do(func() {
		err := fmt.Errorf("%w: %s %s: %w; %s", store.ErrFailed, op, name, cause, remedy(cause))
		f.err.Store(&err)
		close(f.ch)
		f.log.Error("the store has failed and takes no more writes; everything acknowledged is safe",
			"op", op, "file", name, "err", cause, "do", remedy(cause))
	})
}

// remedy tells the operator what to do about a failed write.
func remedy(cause error) string {
	switch {
	case errors.Is(cause, syscall.ENOSPC), errors.Is(cause, syscall.EDQUOT):
		return "free space on the disk, then restart"
	case errors.Is(cause, syscall.EMFILE), errors.Is(cause, syscall.ENFILE):
		return "raise the limit of open files, then restart"
	case errors.Is(cause, syscall.EROFS), errors.Is(cause, syscall.EACCES), errors.Is(cause, syscall.EPERM):
		return "make the directory writable for this user, then restart"
	case errors.Is(cause, syscall.ENOTDIR):
		return "give a directory, not a file"
	default:
		return "check the disk and the kernel log, then restart"
	}
}

// corruptf describes damaged data that was found while reading.
func corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format+"; check the disk, and restore a backup or run on another copy",
		append([]any{store.ErrCorrupt}, args...)...)
}
