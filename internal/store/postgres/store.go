package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/tenure"
)

// Store is the engine. Make one with Open.
type Store struct {
	opts Options
	log  *slog.Logger
	// writer is what the owners' table knows this store by.
	writer  uint64
	servers *servers
	// writes has the connections of commits and acquisitions, reads the others:
	// neither kind keeps the other from its turn.
	writes, reads *pool
	// wanted is how many standbys must have a write.
	wanted int
	// book has the slots that this store has acquired, and what became of its
	// commits.
	book tenure.Book

	// life is held for reading by every running call and taken by Close.
	life   sync.RWMutex
	closed bool
}

var _ store.Store = (*Store)(nil)

var errClosed = errors.New("the store is closed")

// newWriter makes a number that no other store has, and no slot is without.
func newWriter() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])>>1 | 1
}

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
	s.life.Lock()
	defer s.life.Unlock()
	if !s.closed {
		s.closed = true
		s.writes.close()
		s.reads.close()
	}
	return nil
}

// corruptf describes data that this engine has not written.
func corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{store.ErrCorrupt}, args...)...)
}
