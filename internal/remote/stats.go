package remote

import (
	"sync/atomic"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/telemetry"
)

type serverCounters struct {
	accepted, refused, handshakesFailed, wrongSecrets atomic.Uint64
	commands, answers, deliveries, entries, kicks     atomic.Uint64
	unknown, slow, broken, forwarded                  atomic.Uint64
	sessions                                          atomic.Int64
}

// ServerStats are a Server's counters and gauges.
type ServerStats struct {
	// Links and Sessions are those that there are now.
	Links, Sessions int
	// Accepted links; Refused connections, because there were too many;
	// HandshakesFailed, WrongSecrets among them.
	Accepted, Refused, HandshakesFailed, WrongSecrets uint64
	// Commands taken and Answers given; Deliveries and the Entries in them.
	Commands, Answers, Deliveries, Entries, Kicks uint64
	// Forwarded link messages came from other nodes.
	Forwarded uint64
	// Unknown commands and frames, of a later version.
	Unknown, Skipped uint64
	// Slow links were cut because too much waited to be read, Broken ones
	// because what they sent is not acceptable.
	Slow, Broken uint64

	BytesIn, BytesOut uint64
}

// Stats returns the counters.
func (s *Server) Stats() ServerStats {
	s.mu.Lock()
	links := len(s.links)
	s.mu.Unlock()
	c := &s.stats
	return ServerStats{
		Links: links, Sessions: int(c.sessions.Load()),
		Accepted: c.accepted.Load(), Refused: c.refused.Load(),
		HandshakesFailed: c.handshakesFailed.Load(), WrongSecrets: c.wrongSecrets.Load(),
		Commands: c.commands.Load(), Answers: c.answers.Load(),
		Deliveries: c.deliveries.Load(), Entries: c.entries.Load(), Kicks: c.kicks.Load(),
		Forwarded: c.forwarded.Load(),
		Unknown:   c.unknown.Load(), Skipped: s.traffic.skipped.Load(),
		Slow: c.slow.Load(), Broken: c.broken.Load(),
		BytesIn: s.traffic.bytesIn.Load(), BytesOut: s.traffic.bytesOut.Load(),
	}
}

type clientCounters struct {
	connects, losses                              atomic.Uint64
	submitted, completed, repeated, expired, busy atomic.Uint64
	deliveries, entries, kicks, unwanted          atomic.Uint64
}

// ClientStats are a Client's counters and gauges.
type ClientStats struct {
	Up bool
	// Queued commands wait to be sent, InFlight ones for their answers.
	Queued, QueuedBytes, InFlight int
	Sessions                      int
	Level                         im.Level
	// Connects and Losses of links.
	Connects, Losses uint64
	// Repeated commands were sent over another link, because their fate was
	// unknown; Expired ones waited too long; Busy ones were not queued.
	Submitted, Completed, Repeated, Expired, Busy uint64
	// Unwanted are deliveries for sessions that have ended.
	Deliveries, Entries, Kicks, Unwanted uint64
	// Forwarded link messages were handed to a link, Dropped ones found none,
	// or no room.
	Forwarded, Dropped uint64
	// Skipped are frames of a later version.
	Skipped           uint64
	BytesIn, BytesOut uint64
	// Trips is how long it took from Submit to the answer of the mailbox.
	Trips telemetry.Counts
	// MaxQueued and MaxQueuedBytes bound the queue.
	MaxQueued, MaxQueuedBytes int
}

// Add makes st the sum of several clients'. They are up if one is, and admit what
// one does.
func (st *ClientStats) Add(o ClientStats) {
	st.Up = st.Up || o.Up
	st.Level = max(st.Level, o.Level)
	st.Queued, st.QueuedBytes = st.Queued+o.Queued, st.QueuedBytes+o.QueuedBytes
	st.InFlight, st.Sessions = st.InFlight+o.InFlight, st.Sessions+o.Sessions
	st.MaxQueued, st.MaxQueuedBytes = st.MaxQueued+o.MaxQueued, st.MaxQueuedBytes+o.MaxQueuedBytes
	telemetry.AddCounters(st, &o)
}

// Stats returns the counters.
func (c *Client) Stats() ClientStats {
	s := &c.stats
	st := ClientStats{
		Level:    c.Level(),
		Connects: s.connects.Load(), Losses: s.losses.Load(),
		Submitted: s.submitted.Load(), Completed: s.completed.Load(),
		Repeated: s.repeated.Load(), Expired: s.expired.Load(), Busy: s.busy.Load(),
		Deliveries: s.deliveries.Load(), Entries: s.entries.Load(), Kicks: s.kicks.Load(),
		Forwarded: c.outbound.forwarded.Load(), Dropped: c.outbound.dropped.Load(),
		Unwanted: s.unwanted.Load(), Skipped: c.traffic.skipped.Load(),
		BytesIn: c.traffic.bytesIn.Load(), BytesOut: c.traffic.bytesOut.Load(),
		Trips: c.trips.Counts(), MaxQueued: c.cfg.MaxQueued, MaxQueuedBytes: c.cfg.MaxQueuedBytes,
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	st.Up = c.link != nil
	st.Queued, st.QueuedBytes = c.queue.len(), c.queue.weight
	st.InFlight = len(c.inFlight) - len(c.free)
	st.Sessions = c.sessions.len()
	return st
}
