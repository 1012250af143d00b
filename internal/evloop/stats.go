//go:build linux

package evloop

import "sync/atomic"

// counters are what a loop counts.
type counters struct {
	accepted, refused, failed atomic.Uint64
	reads, writes             atomic.Uint64
	turns, stale              atomic.Uint64
}

// Stats are an engine's counters, and what it holds now.
type Stats struct {
	// Open is how many connections there are, those being dialed included;
	// Inbox how many functions of other goroutines wait.
	Open, Inbox int
	// Held is how many bytes are held for connections.
	Held int
	// Accepted counts connections, Refused those over Config.MaxConns or
	// not wanted by Config.Accept, Failed those that were dialed or accepted and did not get as far as
	// Open.
	Accepted, Refused, Failed uint64
	// Reads and Writes count operations on sockets, Turns those of the
	// loops, Stale events for connections that were gone.
	Reads, Writes, Turns, Stale uint64
}

// Stats returns the counters now.
func (e *Engine) Stats() Stats {
	s := Stats{Open: e.Open()}
	for _, l := range e.loops {
		s.Inbox += l.waiting()
		s.Held += l.budget.Used()
		s.Accepted += l.stats.accepted.Load()
		s.Refused += l.stats.refused.Load()
		s.Failed += l.stats.failed.Load()
		s.Reads += l.stats.reads.Load()
		s.Writes += l.stats.writes.Load()
		s.Turns += l.stats.turns.Load()
		s.Stale += l.stats.stale.Load()
	}
	return s
}
