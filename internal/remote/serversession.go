package remote

import (
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// remoteSession is the mailbox's end of a session: a Sink.
type remoteSession struct {
	link *serverLink
	id   im.SessionID
	to   im.Addr
}

// Deliver implements im.Sink.
func (s *remoteSession) Deliver(first, last im.Seq, entries [][]byte) {
	l := s.link
	l.srv.stats.deliveries.Add(1)
	l.srv.stats.entries.Add(uint64(len(entries)))
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	before := len(l.out)
	for len(entries) > 0 {
		n := fitting(entries)
		h := deliverHead{s.id, first, first + im.Seq(n) - 1}
		if n == len(entries) {
			h.last = last
		}
		l.out = appendDeliver(l.out, &h, entries[:n])
		first, entries = h.last+1, entries[n:]
	}
	l.queued(before)
}

// fitting is how many of the entries go into one frame; at least one.
func fitting(entries [][]byte) int {
	n, size := 0, 0
	for n < len(entries) {
		size += wire.SizeDelivered(len(entries[n]))
		if n > 0 && size > maxDeliverBytes {
			break
		}
		n++
	}
	return n
}

// Kick implements im.Sink.
func (s *remoteSession) Kick(code im.CloseCode, reason string) {
	l := s.link
	l.srv.stats.kicks.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgetLocked(s.id, s)
	if l.ended {
		return
	}
	before := len(l.out)
	l.out = (&kick{s.id, code, reason}).append(l.out)
	l.queued(before)
}
