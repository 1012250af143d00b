package redis

import (
	"context"
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
	life      store.Life
	// ctx ends with the store, and tasks then.
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	// elections is why replicas that are promoted may have old data, with
	// ElectableReplicas; nil: as far as is known they do not.
	elections atomic.Pointer[unfit]
}

var _ store.Store = (*Store)(nil)

// Close waits for running calls and closes the connections.
func (s *Store) Close() error {
	s.cancel()
	s.tasks.Wait()
	return s.life.End(func() error {
		s.topology.close()
		return nil
	})
}
