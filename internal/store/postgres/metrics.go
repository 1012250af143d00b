package postgres

import "github.com/skein-im/skein/internal/store/tenure"

// Metrics are the store's numbers since it was opened. A write is unconfirmed if
// too few standbys had it in time; retries are transactions that were run again.
type Metrics struct {
	tenure.Metrics
	// Looks counts how often the primary was looked for.
	Looks uint64
}

// Metrics returns the store's numbers.
func (s *Store) Metrics() Metrics { return Metrics{s.book.Metrics(), s.servers.looks.Load()} }
