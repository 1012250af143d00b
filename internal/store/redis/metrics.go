package redis

import "github.com/skein-im/skein/internal/store/tenure"

// Metrics are the store's numbers since it was opened. A commit's fate is unknown
// if a server did not answer, and unconfirmed if too few replicas did.
type Metrics struct {
	tenure.Metrics
	// Moved counts those of the retries that another server has now.
	Moved uint64
}

// Metrics returns the store's numbers.
func (s *Store) Metrics() Metrics { return Metrics{s.book.Metrics(), s.moved.Load()} }
