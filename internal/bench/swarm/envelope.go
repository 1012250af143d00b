//go:build linux

package swarm

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// call is a request about an envelope until it is answered. It is repeated when
// the server is too busy for it, and when its connection is lost; the server
// knows it again.
type call struct {
	id uint64
	// due is when it was to be made, at when it is to be repeated; never:
	// the answer is on its way, or the connection gone.
	due, at int64
	// envelope is what to open; 0: one is to be sent, with a key that was
	// drawn at asked, and cents that rule splits.
	envelope im.EnvelopeID
	asked    im.Millis
	cents    im.Cents
	rule     im.SplitRule
}

// calls is what a member's calls have in common.
type calls struct {
	// sending counts envelopes on their way to being sent.
	sending int
	// sent are those since the last collection.
	sent []Envelope
	// waiting are clients with calls to repeat, next when the first is.
	waiting []uint32
	next    int64
}

// Methods that are called.
const (
	methodSend = "skein.v1.EnvelopeService/Send"
	methodOpen = "skein.v1.EnvelopeService/Open"
)

// sendEnvelope sends an envelope that was due at a time. Without a connection
// it waits for one.
func (m *member) sendEnvelope(cl *client, due, now int64) {
	s, o := &m.status.Load, &m.load.order
	s.Sent++
	s.Open++
	m.calls.sending++
	m.second(now).Sent++
	m.newCall(cl, call{due: due, asked: im.Millis(time.Now().UnixMilli()), cents: o.Cents, rule: o.Rule})
}

// newCall makes a call, now or as soon as there is a connection.
func (m *member) newCall(cl *client, c call) {
	p := m.purse(cl)
	p.last++
	c.id, c.at = p.last, never
	p.calls = append(p.calls, c)
	if cl.state == live {
		m.call(cl, &p.calls[len(p.calls)-1])
	}
}

// call sends a call.
func (m *member) call(cl *client, c *call) {
	c.at = never
	method, body := methodOpen, proto.Message(&skeinv1.OpenEnvelopeRequest{Envelope: uint64(c.envelope)})
	if c.envelope == 0 {
		method, body = methodSend, m.envelopeOf(cl, c)
	}
	b, err := proto.Marshal(body)
	if err == nil {
		m.out, err = wire.AppendMessage(m.out[:0], wire.TypeCall, &skeinv1.Call{Id: c.id, Method: method, Body: b})
	}
	if err != nil {
		// These messages are always valid.
		panic(fmt.Sprintf("swarm: a call: %v", err))
	}
	m.put(cl, m.out)
}

// envelopeOf is the envelope that a call sends.
func (m *member) envelopeOf(cl *client, c *call) *skeinv1.SendEnvelopeRequest {
	number := m.job.number(int(cl.index))
	r := &skeinv1.SendEnvelopeRequest{
		Key:   &skeinv1.Key{Name: fmt.Sprintf("%s-%d-%d", m.job.Run, number, c.id), AskedMs: int64(c.asked)},
		Total: int64(c.cents), Shares: Friends, Rule: skeinv1.SplitRule(c.rule),
	}
	for _, n := range FriendsOf(number) {
		r.To = append(r.To, uint64(m.job.First)+uint64(n))
	}
	return r
}

// called takes the answer to a call.
func (m *member) called(cl *client, payload []byte, now int64) {
	var a skeinv1.Answer
	if cl.state != live || cl.purse == nil || wire.UnmarshalMessage(payload, &a) != nil {
		m.fail(cl, "an answer to a call that is not one")
		return
	}
	p := cl.purse
	i := slices.IndexFunc(p.calls, func(c call) bool { return c.id == a.GetId() })
	if i < 0 {
		m.wrong("an answer to no call")
		return
	}
	c := p.calls[i]
	if e := wire.ErrorFromProto(a.GetError()); e != nil && e.Kind.Temporary() {
		m.repeatLater(cl, &p.calls[i], e, now)
		return
	}
	p.calls = slices.Delete(p.calls, i, i+1)
	if c.envelope == 0 {
		m.sent(cl, &c, &a, now)
	} else {
		m.opened(cl, &c, &a, now)
	}
}

// sent takes the answer to sending an envelope.
func (m *member) sent(cl *client, c *call, a *skeinv1.Answer, now int64) {
	m.calls.sending--
	m.status.Load.Open--
	var r skeinv1.SendEnvelopeResponse
	if !m.agreed(a, &r, "sending") {
		m.status.Load.Refused++
		return
	}
	m.status.Money.Sent++
	m.status.Money.SentCents += c.cents
	m.calls.sent = append(m.calls.sent, Envelope{
		Number: m.job.number(int(cl.index)), ID: im.EnvelopeID(r.GetEnvelope()), Cents: c.cents,
	})
	m.answered(c.due, now)
}

// opened takes the answer to opening an envelope.
func (m *member) opened(cl *client, c *call, a *skeinv1.Answer, now int64) {
	s := &m.status.Money
	s.Opening--
	var r skeinv1.OpenEnvelopeResponse
	if !m.agreed(a, &r, "opening") {
		return
	}
	s.Opened++
	s.OpenedCents += im.Cents(r.GetCents())
	cl.purse.opened += im.Cents(r.GetCents())
	m.second(now).Opened++
	record(m.opens, now-c.due)
}

// agreed reads the response to a call, and counts what is none.
func (m *member) agreed(a *skeinv1.Answer, to proto.Message, what string) bool {
	if e := wire.ErrorFromProto(a.GetError()); e != nil {
		m.wrong(fmt.Sprintf("%s an envelope was refused: %v", what, e.Kind))
		return false
	}
	if wire.UnmarshalMessage(a.GetBody(), to) != nil {
		m.wrong("a response that is not one")
		return false
	}
	return true
}

// repeatLater lets a call wait for as long as the server has asked for, and up
// to as long again, so that not all come back at once.
func (m *member) repeatLater(cl *client, c *call, e *im.Error, now int64) {
	wait := int64(max(e.RetryAfterMS, 10)) * int64(time.Millisecond)
	c.at = now + wait + m.rng.Int64N(wait)
	if !slices.Contains(m.calls.waiting, cl.index) {
		m.calls.waiting = append(m.calls.waiting, cl.index)
	}
	m.calls.next = min(m.calls.next, c.at)
}

// repeatCalls repeats the calls that have waited.
func (m *member) repeatCalls(now int64) (next int64) {
	w := &m.calls
	if now < w.next {
		return w.next
	}
	w.next = never
	w.waiting = slices.DeleteFunc(w.waiting, func(index uint32) bool {
		cl, first := &m.clients[index], int64(never)
		if cl.state != live {
			// The next Welcome repeats everything.
			return true
		}
		for i := range cl.purse.calls {
			c := &cl.purse.calls[i]
			if c.at <= now {
				m.status.Money.Repeated++
				m.call(cl, c)
			}
			first = min(first, c.at)
		}
		w.next = min(w.next, first)
		return first == never
	})
	return w.next
}
