package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/tenure"
)

// Store is the engine. Make one with Open.
type Store struct {
	opts     Options
	log      *slog.Logger
	keys     *keyspace
	scripts  *scripts
	topology *topology
	// book has the slots that this store has acquired, and what became of its
	// commits; moved counts calls that another server has now.
	book  tenure.Book
	moved atomic.Uint64
	// maxListed is the constant, but for tests.
	maxListed int

	// life is held for reading by every running call and taken by Close.
	life   sync.RWMutex
	closed bool
	// ctx ends with the store, and tasks then.
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	// elections is why replicas that are promoted may have old data, with
	// ElectableReplicas; nil: as far as is known they do not.
	elections atomic.Pointer[unfit]
}

var _ store.Store = (*Store)(nil)

var errClosed = errors.New("the store is closed")

// enter begins a call, which ends with exit.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return errClosed
	}
	return nil
}

func (s *Store) exit() { s.life.RUnlock() }

// Close waits for running calls and closes the connections.
func (s *Store) Close() error {
	s.cancel()
	s.tasks.Wait()
	s.life.Lock()
	defer s.life.Unlock()
	if !s.closed {
		s.closed = true
		s.topology.close()
	}
	return nil
}

// corruptf describes data that this engine has not written.
func corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{store.ErrCorrupt}, args...)...)
}
