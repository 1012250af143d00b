package gateway

import (
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// lane lets one command at a time through to the mailbox. Of those that come
// meanwhile the latest replaces the others, which is all that cumulative
// commands need. It is guarded by the session's mutex.
type lane struct {
	// flying: the mailbox has one. held: it was too busy for one, which goes
	// again after a while. waiting: next is to go.
	flying, held, waiting bool
	next                  im.Seq
}

// put makes seq the next to go.
func (l *lane) put(seq im.Seq) { l.waiting, l.next = true, seq }

// again makes seq the next to go, unless a later one is.
func (l *lane) again(seq im.Seq) {
	if !l.waiting {
		l.put(seq)
	}
}

// take returns what may go now.
func (l *lane) take() (seq im.Seq, ok bool) {
	if l.flying || l.held || !l.waiting {
		return 0, false
	}
	l.flying, l.waiting = true, false
	return l.next, true
}

// ack takes an Ack.
func (s *session) ack(payload []byte) error {
	var m wire.Ack
	if err := m.Unmarshal(payload); err != nil {
		return err
	}
	s.mu.Lock()
	if s.is(live) || s.is(resuming) {
		s.has = m.Seq
		s.busy().acks.put(m.Seq)
	}
	s.mu.Unlock()
	s.acknowledged(m.Seq)
	s.control()
	return nil
}

// pull takes a Pull.
func (s *session) pull(payload []byte) error {
	var m wire.Pull
	if err := m.Unmarshal(payload); err != nil {
		return err
	}
	s.mu.Lock()
	if s.is(live) || s.is(resuming) {
		s.busy().pulls.put(m.Seq)
	}
	s.mu.Unlock()
	s.control()
	return nil
}

// control submits the ack and the pull that may go.
func (s *session) control() {
	s.mu.Lock()
	if !s.is(live) || s.work == nil {
		s.mu.Unlock()
		return
	}
	id := s.id
	ack, acks := s.work.acks.take()
	pull, pulls := s.work.pulls.take()
	s.mu.Unlock()
	if acks {
		s.g.cfg.Mailbox.Submit(s.addr(), &im.AckDelivered{Device: s.device, Session: id, Seq: ack}, s)
	}
	if pulls {
		s.g.cfg.Mailbox.Submit(s.addr(), &im.Redeliver{Session: id, Seq: pull}, s)
	}
}

// acked is the mailbox's word on an AckDelivered. The session is not delivered
// what it says to have, wherever it has it from.
func (s *session) acked(cmd *im.AckDelivered, err error) {
	s.mu.Lock()
	if s.is(left) {
		s.mu.Unlock()
		return
	}
	if err == nil {
		s.after = max(s.after, cmd.Seq)
	}
	s.settle("ack", &s.work.acks, cmd.Seq, s.disbelieve(cmd.Seq, err))
	s.mu.Unlock()
	s.control()
}

// pulled is the mailbox's word on a Redeliver: deliveries start again.
func (s *session) pulled(cmd *im.Redeliver, err error) {
	s.mu.Lock()
	if s.is(left) {
		s.mu.Unlock()
		return
	}
	if err == nil {
		s.after = cmd.Seq
	}
	s.settle("pull", &s.work.pulls, cmd.Seq, s.disbelieve(cmd.Seq, err))
	s.mu.Unlock()
	s.control()
}

// disbelieve makes a mailbox that does not know the device, or an entry that was
// handed to the connection, one that is gone: it may have lost the entity to
// another without noticing, and these answers, unlike that to an Attach, are
// not confirmed by the store. The caller has the mutex.
func (s *session) disbelieve(seq im.Seq, err error) error {
	kind := im.KindOf(err)
	if kind == im.Unauthenticated || kind == im.Invalid && seq <= s.after {
		return im.Errorf(im.Unavailable, "the mailbox may be out of date: %w", err)
	}
	return err
}

// settle ends a command that the client gets no answer to. One that found the
// mailbox busy or gone goes again: a lost ack could stop deliveries for good.
// Any other error ends the connection. The caller has the mutex.
func (s *session) settle(what string, l *lane, seq im.Seq, err error) {
	l.flying = false
	switch im.KindOf(err) {
	case im.KindUnspecified:
	case im.Busy:
		s.g.stats.busy.Add(1)
		l.again(seq)
		l.held = true
		s.g.cfg.After(s.g.retryAfter(im.AsError(err)), func() { s.release(l) })
	case im.Unavailable:
		l.again(seq)
		s.lose()
	default:
		s.close(s.closeCode(what, err), err)
	}
	s.proceed()
	s.rest()
}

// release lets a lane go on that the mailbox was too busy for.
func (s *session) release(l *lane) {
	s.mu.Lock()
	l.held = false
	s.mu.Unlock()
	s.control()
}

// detached sees to it that a busy mailbox does not keep the session.
func (s *session) detached(cmd *im.Detach, err error) {
	if im.KindOf(err) == im.Busy {
		s.g.stats.busy.Add(1)
		s.g.cfg.After(s.g.retryAfter(im.AsError(err)), func() {
			s.g.cfg.Mailbox.Submit(s.addr(), cmd, s)
		})
	}
}
