package standby

import (
	"time"

	"github.com/skein-im/skein/internal/im"
)

// Stats are a Source's counters.
type Stats struct {
	// Links is how often it was connected, Copies how many slots were copied
	// anew, Dropped how many commits were dropped from the queue for want of
	// room.
	Links, Copies, Dropped uint64
	// Connected: there is a link.
	Connected bool
	// Behind is how many commits' parts the copy is not known to have, of
	// QueuedBytes; slots that are being copied count what came since. Since is
	// how old the oldest of them is. Copying is how many slots' copies are not
	// whole.
	Behind      uint64
	QueuedBytes int
	Since       time.Duration
	Copying     int
}

// Stats are the counters as they are now.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Connected, st.QueuedBytes = s.cause == nil, s.queued
	now := time.Now()
	for i := range s.slots {
		sl := &s.slots[i]
		if sl.epoch == 0 {
			continue
		}
		if sl.copied < sl.position {
			st.Behind += sl.position - sl.copied
		}
		if sl.phase == behind || sl.phase == copying {
			st.Copying++
		}
		if len(sl.queue) > 0 {
			st.Since = max(st.Since, now.Sub(sl.queue[0].at))
		}
	}
	return st
}

// Health is nil while there is a link.
func (s *Source) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil {
		return nil
	}
	return im.Errorf(im.Unavailable, "the standby is out of reach: %w", s.cause)
}

// FollowerStats are a Follower's counters.
type FollowerStats struct {
	// Changes is how many commits' parts were applied, with Commits commits of
	// its own; Copies how many slots were copied anew.
	Changes, Commits, Copies uint64
	// Broken is how many slots are not whole, Nodes how many are connected.
	Broken, Nodes int
}

// Stats are the counters as they are now.
func (f *Follower) Stats() FollowerStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.stats
	f.connsMu.Lock()
	st.Nodes = len(f.conns)
	f.connsMu.Unlock()
	for i := range f.copies {
		if !f.copies[i].whole() {
			st.Broken++
		}
	}
	return st
}
