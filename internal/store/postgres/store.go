package postgres

import (
	"crypto/rand"
	"encoding/binary"
	"log/slog"

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
	life store.Life
}

var _ store.Store = (*Store)(nil)

// newWriter makes a number that no other store has, and no slot is without.
func newWriter() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])>>1 | 1
}

// Close waits for running calls and closes the connections.
func (s *Store) Close() error {
	return s.life.End(func() error {
		s.writes.close()
		s.reads.close()
		return nil
	})
}
