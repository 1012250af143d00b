package tenure

import (
	"sync/atomic"

	"github.com/skein-im/skein/internal/telemetry"
)

// Metrics are what became of a store's commits since it was opened.
type Metrics struct {
	// CommitTimes are those of commits that were acknowledged, in whole or in
	// part.
	CommitTimes telemetry.Counts
	Fenced      uint64 // slots refused
	// Unconfirmed counts the times that too few copies of a server confirmed a
	// write in time.
	Unconfirmed uint64
	// Unknown counts commits whose fate is unknown.
	Unknown uint64
	// Holes counts commits that were refused because a log did not end where
	// its owner had written to: acknowledged entries are gone.
	Holes uint64
	// Retries counts what a server refused for a reason that passes, and was
	// tried again.
	Retries uint64
}

// Counts are the same while they grow. A Book counts commits and fenced slots;
// the rest is the engine's to count.
type Counts struct {
	Unconfirmed, Unknown, Holes, Retries atomic.Uint64

	commits telemetry.Histogram
	fenced  atomic.Uint64
}

// Metrics returns the numbers.
func (c *Counts) Metrics() Metrics {
	return Metrics{
		CommitTimes: c.commits.Counts(),
		Fenced:      c.fenced.Load(),
		Unconfirmed: c.Unconfirmed.Load(),
		Unknown:     c.Unknown.Load(),
		Holes:       c.Holes.Load(),
		Retries:     c.Retries.Load(),
	}
}
