package mailbox

import (
	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/telemetry"
)

// Stats sums the shards' counters.
func (m *Mailbox) Stats() Stats {
	var st Stats
	for _, s := range m.shards {
		st.add(s)
	}
	st.QueueSize = m.cfg.QueueSize * len(m.shards)
	st.QueueBytes = m.cfg.QueueBytes * len(m.shards)
	st.MaxParked = m.cfg.Core.MaxParked * len(m.shards)
	st.Admission = m.control.Stats()
	st.Unserved = int(m.slots.Missing())
	st.Stray = m.stray.Load()
	st.Served = m.slots.Count()
	st.Errors[im.Busy] += st.Busy
	for _, n := range st.Admission.Shed {
		st.Errors[im.Busy] += n
	}
	st.Reads = m.reads.Counts()
	st.Swept = m.swept.Load()
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
	// MaxParked bounds the inputs that wait for entities to be read.
	MaxParked int
	// Reads is how long pages of timelines took to be read.
	Reads telemetry.Counts
	// Admission says what is admitted and what was shed.
	Admission admit.Stats
	// Unserved is how many slots are to be served and are not, Served how
	// many are.
	Unserved, Served int
	// Stray counts link messages that came for entities of other nodes.
	Stray uint64
	// Swept counts the users whom the sweep has looked at.
	Swept uint64
}

func (st *Stats) add(s *shard.Shard) {
	c := s.Stats()
	telemetry.AddCounters(&st.Stats, &c)
	st.Hot += c.Hot
	st.Sessions += c.Sessions
	st.Parked += c.Parked
	st.Owed += c.Owed
	st.OldestOwed = max(st.OldestOwed, c.OldestOwed)
	st.Busy += s.Busy.Load()
	st.Dropped += s.Dropped.Load()
	queued, bytes := s.QueueLen()
	st.Queued += queued
	st.QueuedBytes += bytes
}
