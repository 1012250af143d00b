package postgres

import (
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/telemetry"
)

// Metrics are the store's numbers since it was opened.
type Metrics struct {
	Commits    uint64 // that were acknowledged, in whole or in part
	CommitTime time.Duration
	CommitMax  time.Duration
	// CommitTimes are those of the same commits.
	CommitTimes telemetry.Counts
	Fenced      uint64 // slots refused
	// Unconfirmed counts the times that too few standbys confirmed in time.
	Unconfirmed uint64
	// Unknown counts commits whose fate is unknown.
	Unknown uint64
	// Holes counts commits that were refused because a log did not end where
	// its owner had written to: acknowledged entries are gone.
	Holes uint64
	// Retries counts transactions that were run again.
	Retries uint64
	// Looks counts how often the primary was looked for.
	Looks uint64
}

type counts struct {
	fenced, unconfirmed, unknown, holes, retries atomic.Uint64
	commits                                      telemetry.Histogram
	commitMax                                    atomic.Int64
}

func (c *counts) committed(took time.Duration) {
	c.commits.Observe(took)
	for m := c.commitMax.Load(); int64(took) > m && !c.commitMax.CompareAndSwap(m, int64(took)); {
		m = c.commitMax.Load()
	}
}

// Metrics returns the store's numbers.
func (s *Store) Metrics() Metrics {
	c := &s.counts
	commits := c.commits.Counts()
	return Metrics{
		Commits:     commits.Total(),
		CommitTime:  time.Duration(commits.Sum),
		CommitTimes: commits,
		CommitMax:   time.Duration(c.commitMax.Load()),
		Fenced:      c.fenced.Load(),
		Unconfirmed: c.unconfirmed.Load(),
		Unknown:     c.unknown.Load(),
		Holes:       c.holes.Load(),
		Retries:     c.retries.Load(),
		Looks:       s.servers.looks.Load(),
	}
}
