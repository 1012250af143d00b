package clientcore

import (
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// sendAck takes the answer to one transmission.
func (c *Core[T]) sendAck(a *wire.SendAck) error {
	if a.ClientSeq == 0 || a.ClientSeq > c.out.last {
		return im.Errorf(im.Invalid, "an answer to send %d, which was never sent", a.ClientSeq)
	}
	if a.InTimeline && a.Error == nil {
		c.in.saw(a.Seq)
	}
	i := c.out.find(a.ClientSeq)
	if i < 0 || c.out.live()[i].done {
		// The answer to a repetition.
		return nil
	}
	switch kind := errorKind(a.Error); {
	case kind == im.SequenceGap:
		return c.gap(i, a)
	case kind.Temporary():
		if c.out.again(i) {
			c.out.hold(a.Error.RetryAfterMS)
		}
		return nil
	case kind == im.KindUnspecified:
		if !c.out.held {
			c.out.holds = 0
		}
	case !settles(kind):
		return c.fill(i, a)
	}
	c.answer(i, a)
	c.out.finish(i)
	return nil
}

func errorKind(e *im.Error) im.ErrorKind {
	if e == nil {
		return im.KindUnspecified
	}
	if e.Kind == im.KindUnspecified {
		return im.Internal
	}
	return e.Kind
}

// settles reports whether a refusal uses the client_seq up: it was recorded,
// or an earlier send under the number was.
func settles(kind im.ErrorKind) bool {
	return kind == im.NotContact || kind == im.Blocked || kind == im.Conflict || kind == im.Stale
}

// gap goes back: an earlier send was refused for the moment or lost, and
// will be transmitted before this one.
func (c *Core[T]) gap(i int, a *wire.SendAck) error {
	if first := c.out.live()[0].send.ClientSeq; i == 0 || a.Error.Expected < first {
		return im.Errorf(im.SequenceGap, "the server waits for send %d, but has answered all before %d", a.Error.Expected, first)
	}
	c.out.again(i)
	return nil
}

// fill answers a send whose refusal left its client_seq free, and puts in its
// place a message to this user itself, which the server refuses for good. If
// the later sends moved up instead, one that is still under way from a broken
// connection could be taken a second time under its old number.
func (c *Core[T]) fill(i int, a *wire.SendAck) error {
	it := &c.out.live()[i]
	if !c.out.again(i) {
		return nil
	}
	if it.filler {
		return im.Errorf(im.SequenceGap, "the server takes nothing under client_seq %d: %w", a.ClientSeq, a.Error)
	}
	c.answer(i, a)
	var none T
	it.tag, it.filler = none, true
	it.send.To, it.send.Content = c.user, im.Content{Type: im.ContentCustom}
	return nil
}

func (c *Core[T]) answer(i int, a *wire.SendAck) {
	it := &c.out.live()[i]
	if it.filler {
		return
	}
	c.answers = append(c.answers, Answer[T]{
		Tag: it.tag, ClientSeq: a.ClientSeq, Seq: a.Seq, PairID: a.PairID, Time: a.Time, Err: a.Error,
	})
}
