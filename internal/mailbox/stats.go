package mailbox

import (
	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/shard"
)

// Stats sums the shards' counters.
func (m *Mailbox) Stats() Stats {
	var st Stats
	for _, s := range m.shards {
		st.add(s)
	}
	st.QueueSize = m.cfg.QueueSize * len(m.shards)
	st.QueueBytes = m.cfg.QueueBytes * len(m.shards)
	st.Admission = m.control.Stats()
	st.Unserved = int(m.slots.missing.Load())
	st.Stray = m.stray.Load()
	return st
}

// Stats are a mailbox's counters and gauges.
type Stats struct {
	shard.Stats
	// Busy and Dropped count commands refused and link messages dropped
	// because a queue was full; Queued is how many wait now in all queues,
	// QueuedBytes what they hold, QueueSize and QueueBytes the bounds. What
	// a shard works off at the moment is not counted; it has the same bounds.
	Busy, Dropped         uint64
	Queued, QueuedBytes   int
	QueueSize, QueueBytes int
	// Admission says what is admitted and what was shed.
	Admission admit.Stats
	// Unserved is how many slots are to be served and are not.
	Unserved int
	// Stray counts link messages that came for entities of other nodes.
	Stray uint64
}

func (st *Stats) add(s *shard.Shard) {
	c := s.Stats()
	st.Commands += c.Commands
	st.Messages += c.Messages
	st.Acks += c.Acks
	st.Commits += c.Commits
	st.CommitErrors += c.CommitErrors
	st.Fenced += c.Fenced
	st.Entries += c.Entries
	st.Records += c.Records
	st.Delivered += c.Delivered
	st.Retransmitted += c.Retransmitted
	st.Loads += c.Loads
	st.LoadErrors += c.LoadErrors
	st.Evictions += c.Evictions
	st.Hot += c.Hot
	st.Sessions += c.Sessions
	st.Busy += s.Busy.Load()
	st.Dropped += s.Dropped.Load()
	queued, bytes := s.QueueLen()
	st.Queued += queued
	st.QueuedBytes += bytes
}
