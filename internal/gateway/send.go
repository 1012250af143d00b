package gateway

import (
	"bytes"

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
	s.g.stats.sends.Add(1)
	if err := check(&m); err != nil {
		s.answer(m.ClientSeq, nil, err)
		return nil
	}
	if s.sends.Add(1) > im.SendWindow {
		s.sends.Add(-1)
		s.answer(m.ClientSeq, nil, &im.Error{
			Kind: im.Busy, RetryAfterMS: windowRetryMS, Detail: "too many sends without an answer",
		})
		return nil
	}
	s.g.cfg.Mailbox.Submit(s.addr(), &im.Send{
		To:        m.To,
		Device:    s.device,
		Session:   s.id,
		ClientSeq: m.ClientSeq,
		// The payload is the link's; the command outlives it.
		Content: im.Content{Type: m.Content.Type, Body: bytes.Clone(m.Content.Body)},
	}, s)
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

// sent is the mailbox's word on a Send.
func (s *session) sent(cmd *im.Send, res im.Result, err error) {
	s.sends.Add(-1)
	sent, ok := res.(*im.Sent)
	if err == nil && !ok {
		err = im.Errorf(im.Internal, "Send was answered with %T", res)
	}
	s.answer(cmd.ClientSeq, sent, err)
}

// answer sends the SendAck.
func (s *session) answer(seq im.ClientSeq, sent *im.Sent, err error) {
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
