package clientcore

import (
	"fmt"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// Receivers that stand for what becomes of a message.
const (
	friend   im.UserID = 9
	stranger im.UserID = 10
	// impossible is refused without using the number up.
	impossible im.UserID = 11
)

// fakeServer is the other end as docs/PROTOCOL.md describes it, with all the
// liberties a server has: it refuses for the moment, in any order, skips
// deliveries, and takes frames of a broken connection late.
type fakeServer struct {
	clientSeq im.ClientSeq
	answers   map[im.ClientSeq]wire.SendAck
	bodies    map[im.ClientSeq]string
	log       []wire.Entry
	// next is the next entry for the connection, 0: there is none.
	next   im.Seq
	cursor im.Seq
	// accepted lists bodies in order.
	accepted []string
}

func newFakeServer() *fakeServer {
	return &fakeServer{answers: map[im.ClientSeq]wire.SendAck{}, bodies: map[im.ClientSeq]string{}}
}

func (s *fakeServer) head() im.Seq { return im.Seq(len(s.log)) }

func (s *fakeServer) append(e wire.Entry) im.Seq {
	e.Seq = s.head() + 1
	s.log = append(s.log, e)
	return e.Seq
}

// send is what the mailbox does with a send. live: the sender's connection is
// the current one.
func (s *fakeServer) send(m wire.Send, live bool) wire.SendAck {
	body := fmt.Sprintf("%d:%s", m.To, m.Content.Body)
	switch {
	case m.To == impossible:
		return wire.SendAck{ClientSeq: m.ClientSeq, Error: &im.Error{Kind: im.Invalid}}
	case m.ClientSeq <= s.clientSeq && s.clientSeq-m.ClientSeq >= im.AnswerWindow:
		return wire.SendAck{ClientSeq: m.ClientSeq, Error: &im.Error{Kind: im.Stale}}
	case m.ClientSeq <= s.clientSeq && s.bodies[m.ClientSeq] != body:
		return wire.SendAck{ClientSeq: m.ClientSeq, Error: &im.Error{Kind: im.Conflict}}
	case m.ClientSeq <= s.clientSeq:
		return s.answers[m.ClientSeq]
	case m.ClientSeq != s.clientSeq+1:
		return wire.SendAck{ClientSeq: m.ClientSeq, Error: &im.Error{Kind: im.SequenceGap, Expected: s.clientSeq + 1}}
	}
	s.clientSeq++
	a := wire.SendAck{ClientSeq: m.ClientSeq}
	if m.To != friend {
		s.append(wire.Entry{})
		a.Error = &im.Error{Kind: im.NotContact}
	} else {
		a.Seq = s.append(wire.Entry{Kind: wire.EntryMessage, Peer: m.To, Outgoing: true, ClientSeq: m.ClientSeq})
		s.accepted = append(s.accepted, string(m.Content.Body))
	}
	s.answers[m.ClientSeq], s.bodies[m.ClientSeq] = a, body
	if live && a.Seq != 0 && s.next == a.Seq {
		s.next++
		a.InTimeline = true
	}
	return a
}
