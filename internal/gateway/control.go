package gateway

import (
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// lane lets one command at a time through to the mailbox. Of those that come
// meanwhile the latest replaces the others, which is all that cumulative
// commands need. It is guarded by the session's mutex.
type lane struct {
	busy, waiting bool
	next          im.Seq
}

// enter reports whether seq may go; otherwise it waits.
func (l *lane) enter(seq im.Seq) bool {
	if l.busy {
		l.waiting, l.next = true, seq
		return false
	}
	l.busy = true
	return true
}

// leave returns what waited and goes now.
func (l *lane) leave() (seq im.Seq, ok bool) {
	ok = l.waiting
	l.busy, l.waiting = ok, false
	return l.next, ok
}

// ack takes an Ack.
func (s *session) ack(payload []byte) error {
	var m wire.Ack
	if err := m.Unmarshal(payload); err != nil {
		return err
	}
	if s.enter(&s.acks, m.Seq) {
		s.submit(&im.AckDelivered{Device: s.device, Session: s.id, Seq: m.Seq})
	}
	return nil
}

func (s *session) acked(cmd *im.AckDelivered, err error) {
	if !s.settled("ack", cmd, err) {
		return
	}
	if seq, ok := s.next(&s.acks); ok {
		s.submit(&im.AckDelivered{Device: s.device, Session: s.id, Seq: seq})
	}
}

// pull takes a Pull.
func (s *session) pull(payload []byte) error {
	var m wire.Pull
	if err := m.Unmarshal(payload); err != nil {
		return err
	}
	if s.enter(&s.pulls, m.Seq) {
		s.submit(&im.Redeliver{Session: s.id, Seq: m.Seq})
	}
	return nil
}

func (s *session) pulled(cmd *im.Redeliver, err error) {
	if !s.settled("pull", cmd, err) {
		return
	}
	if seq, ok := s.next(&s.pulls); ok {
		s.submit(&im.Redeliver{Session: s.id, Seq: seq})
	}
}

func (s *session) enter(l *lane, seq im.Seq) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.enter(seq)
}

func (s *session) next(l *lane) (im.Seq, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.leave()
}

// submit sends a command of a session that has not left.
func (s *session) submit(cmd im.Command) {
	if s.is(live) {
		s.g.cfg.Mailbox.Submit(s.addr(), cmd, s)
	}
}

// settled reports whether a command that the client gets no answer to went
// through. One that found the mailbox busy goes again: a lost ack could stop
// deliveries for good. Any other error ends the connection.
func (s *session) settled(what string, cmd im.Command, err error) bool {
	if err == nil {
		return true
	}
	if im.KindOf(err) == im.Busy {
		s.g.stats.busy.Add(1)
		time.AfterFunc(s.g.retryAfter(im.AsError(err)), func() { s.submit(cmd) })
		return false
	}
	if s.is(live) {
		s.close(s.closeCode(what, err), err)
	}
	return false
}

// detached sees to it that a busy mailbox does not keep the session.
func (s *session) detached(cmd *im.Detach, err error) {
	if im.KindOf(err) == im.Busy {
		s.g.stats.busy.Add(1)
		time.AfterFunc(s.g.retryAfter(im.AsError(err)), func() {
			s.g.cfg.Mailbox.Submit(s.addr(), cmd, s)
		})
	}
}
