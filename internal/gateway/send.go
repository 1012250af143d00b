package gateway

import (
	"bytes"

	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// windowRetryMS is what a client is told that ignores its window.
const windowRetryMS = 100

// send takes a Send. An error means that it cannot even be read.
func (s *session) send(payload []byte) error {
	var m wire.Send
	if err := m.Unmarshal(payload); err != nil {
		return err
	}
	t := s.follow(s.g.stats.sends.Add(1), m.Trace)
	now := s.g.cfg.Now()
	taken := ticks(now.Sub(s.g.began))
	err := check(&m)
	if err == nil {
		err = s.admit(s.g.cfg.Sends, admit.Live, now)
	}
	if err != nil {
		s.answerTraced(m.ClientSeq, taken, t, nil, err)
		return nil
	}
	cmd := &im.Send{To: m.To, Device: s.device, Taken: taken, ClientSeq: m.ClientSeq, Content: m.Content, Trace: t}
	submit, err := s.accept(cmd)
	switch {
	case err != nil:
		s.answerTraced(m.ClientSeq, taken, t, nil, err)
	case submit:
		s.submit(cmd)
	}
	return nil
}

func check(m *wire.Send) error {
	if m.ClientSeq == 0 {
		return im.Errorf(im.Invalid, "client_seq starts at 1")
	}
	if m.To == 0 {
		return im.Errorf(im.Invalid, "the message has no receiver")
	}
	return m.Content.Check()
}

// accept takes a send on, and reports whether it is to be submitted: otherwise
// it waits behind others for the mailbox.
func (s *session) accept(cmd *im.Send) (submit bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.is(live) && !s.is(resuming) {
		return false, nil
	}
	if s.sends >= im.SendWindow || !s.book(cmd) {
		return false, &im.Error{Kind: im.Busy, RetryAfterMS: windowRetryMS, Detail: "too many sends without an answer"}
	}
	cmd.Session = s.id
	// The payload is the link's; the command outlives it.
	cmd.Content.Body = bytes.Clone(cmd.Content.Body)
	if w := s.work; s.is(resuming) || w != nil && (w.replaying || len(w.queue) > 0) {
		w.queue = append(w.queue, cmd)
		return false, nil
	}
	return true, nil
}

// book takes a send onto the books, if there is room. The caller has the
// mutex.
func (s *session) book(cmd *im.Send) bool {
	n := pieces(cmd.Content.Body)
	if (int(s.load)+n)*piece > s.g.cfg.MaxConnBytes || !s.g.freight.take(s.user, n) {
		return false
	}
	s.sends++
	s.load += uint16(n)
	return true
}

// strike takes it off. The caller has the mutex.
func (s *session) strike(cmd *im.Send) {
	n := pieces(cmd.Content.Body)
	s.sends--
	s.load -= uint16(n)
	s.g.freight.give(s.user, n)
}

// sent is the mailbox's word on a Send.
func (s *session) sent(cmd *im.Send, res im.Result, err error) {
	sent, ok := res.(*im.Sent)
	if err == nil && !ok {
		err = im.Errorf(im.Internal, "Send was answered with %T", res)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.is(left) {
		s.strike(cmd)
		return
	}
	if s.unknown(err) {
		w := s.busy()
		w.queue = append(w.queue, cmd)
		s.lose()
		s.proceed()
		return
	}
	s.strike(cmd)
	if err == nil && sent.InTimeline {
		sent = s.shown(sent)
	}
	s.answerTraced(cmd.ClientSeq, cmd.Taken, cmd.Trace, sent, err)
	s.proceed()
}

// unknown reports whether an error leaves open what became of a send, or comes
// from one before it whose fate is open. The caller has the mutex.
func (s *session) unknown(err error) bool {
	kind := im.KindOf(err)
	return kind == im.Unavailable || kind == im.SequenceGap && s.is(resuming)
}

// shown accounts for an answer that stands for its entry. When deliveries from
// the same session do not count any more, the answer must not either: entries
// before this one may be among them. The caller has the mutex.
func (s *session) shown(sent *im.Sent) *im.Sent {
	if s.is(live) {
		s.after = sent.Seq
		return sent
	}
	plain := *sent
	plain.InTimeline = false
	return &plain
}

// answer sends the SendAck for what was taken at a time.
func (s *session) answer(seq im.ClientSeq, taken uint32, sent *im.Sent, err error) {
	s.g.stats.took[OpSend].Observe(uint64(s.user), since(taken, ticks(s.g.uptime())))
	ack := wire.SendAck{ClientSeq: seq}
	if err != nil {
		ack.Error = im.AsError(err)
		s.g.stats.refused[kindIndex(ack.Error.Kind)].Add(1)
		if ack.Error.Kind == im.Internal {
			s.defect("send", err)
		}
	} else {
		ack.ClientSeq, ack.Seq, ack.PairID = sent.ClientSeq, sent.Seq, sent.PairID
		ack.Time, ack.InTimeline = sent.Time, sent.InTimeline
	}
	_ = s.g.send(s.conn, wire.TypeSendAck, func(dst []byte) []byte {
		return wire.AppendSendAckFrame(dst, &ack)
	})
}
