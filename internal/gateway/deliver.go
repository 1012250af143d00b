package gateway

import (
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// successor is the sink of a session that was attached again. What the sinks
// before it are told does not reach the connection any more. The first sink is
// the session itself, so that those that never lose their mailbox need none.
type successor struct {
	s  *session
	id im.SessionID
}

// Deliver implements im.Sink.
func (r *successor) Deliver(_, last im.Seq, entries [][]byte) { r.s.deliver(r.id, last, entries) }

// Kick implements im.Sink.
func (r *successor) Kick(code im.CloseCode, reason string) { r.s.kick(r.id, code, reason) }

// Deliver implements im.Sink.
func (s *session) Deliver(_, last im.Seq, entries [][]byte) { s.deliver(0, last, entries) }

// Kick implements im.Sink.
func (s *session) Kick(code im.CloseCode, reason string) { s.kick(0, code, reason) }

// current reports whether what a sink is told counts; 0 is the first one. The
// caller has the mutex.
func (s *session) current(id im.SessionID) bool {
	return id == s.id || id == 0 && !s.succeeded
}

// kick ends the session, or what the mailbox had of it.
func (s *session) kick(id im.SessionID, code im.CloseCode, reason string) {
	s.mu.Lock()
	st := state(s.state.Load())
	switch {
	case st == left || !s.current(id):
	case code != im.CloseUnavailable:
		s.close(code, &im.Error{Detail: reason})
	case st == live:
		s.lose()
	default:
		s.work.lost = true
	}
	s.mu.Unlock()
}

// maxDeliver is about how many bytes of entries a Deliver carries.
const maxDeliver = 256 << 10

// deliver hands entries to the connection. It keeps the mutex meanwhile: a
// resumption begins with an entry that has been handed over, and the next.
func (s *session) deliver(id im.SessionID, last im.Seq, entries [][]byte) {
	traced := s.g.tracedIn(entries)
	s.mu.Lock()
	if !s.is(live) || !s.current(id) {
		s.mu.Unlock()
		return
	}
	err := s.sendEntries(entries)
	if traced != nil && err == nil {
		s.delivered(traced)
	}
	s.after = last
	s.mu.Unlock()
	if err != nil {
		// Closed comes only when the goodbye is over; until then the
		// mailbox need not go on.
		s.leave()
	}
}

func (s *session) sendEntries(entries [][]byte) error {
	for len(entries) > 0 {
		n := fitting(entries)
		err := s.g.send(s.conn, wire.TypeDeliver, func(dst []byte) []byte {
			return wire.AppendDeliverFrame(dst, entries[:n])
		})
		if err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// fitting is how many of the entries go into one Deliver; at least one.
func fitting(entries [][]byte) int {
	n, size := 0, 0
	for n < len(entries) {
		size += wire.SizeDelivered(len(entries[n]))
		if n > 0 && size > maxDeliver {
			break
		}
		n++
	}
	return n
}
