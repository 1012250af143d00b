package link

import (
	"sync/atomic"

	"github.com/skein-im/skein/internal/im"
)

// counters are what a Server counts.
type counters struct {
	accepted, refused, handshakeFailed atomic.Uint64
	slow, idle, bad, overloaded        atomic.Uint64
	reads, writes                      atomic.Uint64
}

// closed counts goodbyes by the reasons that tell of trouble.
func (c *counters) closed(code im.CloseCode) {
	switch code {
	case im.CloseSlow:
		c.slow.Add(1)
	case im.CloseIdle:
		c.idle.Add(1)
	case im.CloseProtocol, im.CloseTooLarge:
		c.bad.Add(1)
	}
}

// Stats are a Server's counters, and how many connections are open.
type Stats struct {
	Open int
	// Accepted counts connections, Refused those over a limit,
	// HandshakeFailed those that did not get as far as frames.
	Accepted, Refused, HandshakeFailed uint64
	// Slow, Idle and Bad count connections closed for not reading, for
	// silence, and for malformed, unexpected or oversized frames.
	Slow, Idle, Bad uint64
	// Overloaded counts connections closed because all together held too
	// much; Held is how many bytes they hold.
	Overloaded uint64
	Held       int
	// Reads and Writes count operations on sockets.
	Reads, Writes uint64
}

// Stats returns the counters now.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	open, loops := len(s.conns), s.loops
	s.mu.Unlock()
	c := &s.stats
	st := Stats{
		Open:            open,
		Accepted:        c.accepted.Load(),
		Refused:         c.refused.Load(),
		HandshakeFailed: c.handshakeFailed.Load(),
		Slow:            c.slow.Load(),
		Idle:            c.idle.Load(),
		Bad:             c.bad.Load(),
		Overloaded:      c.overloaded.Load(),
		Held:            s.budget.Used(),
		Reads:           c.reads.Load(),
		Writes:          c.writes.Load(),
	}
	if loops != nil {
		loops.addStats(&st)
	}
	return st
}
