package entity

import (
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// Receive implements Entity.
func (u *user) Receive(tx *Tx, m *Message) {
	if u.absent() {
		u.receiveAbsent(tx, m)
		return
	}
	u.enterGeneration(tx)
	p := u.pairs[m.From]
	if m.Seq == 0 && m.Body.Kind == BodyNudge {
		if p != nil {
			u.nudged(tx, &p.line)
		}
		return
	}
	if u.inQuestion(p, m) {
		if !u.reconcile(tx, m) {
			return
		}
		p = u.pairs[m.From]
	}
	if m.Seq == 0 {
		u.receiveAck(tx, p, m)
		return
	}
	var in im.LinkSeq
	if p != nil {
		in = p.in
		if m.Lineage != nil && m.Seq != in+1 && p.deal == nil {
			tx.Rewound.Gone += u.settled(&p.line, m.Lineage, m.Seq)
			in = p.in
		}
	}
	if m.Seq != in+1 {
		// Repeated or ahead of a lost one: say how far it has come.
		u.ack(tx, u.lineWith(m.From), m.Body.Trace)
		return
	}
	if !u.room(m.From) {
		// No ack: the sender keeps it and tries again, ever more rarely.
		return
	}
	u.take(tx, m)
	if m.Lineage != nil && p == nil {
		u.dealt(tx, m)
	}
}

// inQuestion: the ends of a message's link may be in different generations.
func (u *user) inQuestion(p *pair, m *Message) bool {
	return m.Lineage != nil || len(u.forks) > 0 || p != nil && p.generations != nil
}

// receiveAck accounts for what the peer has taken.
func (u *user) receiveAck(tx *Tx, p *pair, m *Message) {
	if p == nil {
		return
	}
	ack := m.Ack
	if len(u.forks) > 0 {
		ack = u.meant(&p.line, m.heard().Noted, ack)
	}
	all, chat := u.takeAck(tx, &p.line, ack)
	if all == 0 {
		return
	}
	p.sendAckID += uint64(chat)
	u.sendAckID += uint64(chat)
	u.dirty = true
	u.pump(tx, &p.line)
	u.drainEarly(tx)
}

// take takes the next message of a link.
func (u *user) take(tx *Tx, m *Message) {
	ev := &event{from: m.From, linkIn: m.Seq}
	p := u.pairs[m.From]
	switch m.Body.Kind {
	case BodyMessage:
		kind := u.mayReceive(p)
		if kind != 0 {
			u.refuse(tx, ev, m, kind)
			return
		}
		ev.entry = wire.Entry{Kind: wire.EntryMessage, Peer: im.UserID(m.From.ID), Time: m.Body.Time,
			PairID: m.Body.PairID, Content: m.Body.Content, Trace: m.Body.Trace}
	case BodyRefused:
		ev.entry = wire.Entry{Kind: wire.EntryRefused, Peer: im.UserID(m.From.ID), Time: tx.Now,
			PairID: m.Body.PairID, Refusal: m.Body.Error, Trace: m.Body.Trace}
	case BodyFund, BodyNotice, BodyCredit:
		if !u.takeMoney(tx, ev, m) {
			return
		}
	default:
		if !u.takeContact(tx, ev, p, m) {
			return
		}
	}
	u.record(tx, ev)
}

// mayReceive is 0 when the peer may write to this user, else why not. That
// this user blocked the peer is not told.
func (u *user) mayReceive(p *pair) im.ErrorKind {
	switch {
	case !u.exists:
		return im.NotFound
	case p == nil || p.blocked || p.contact != im.Friends:
		return im.NotContact
	}
	return 0
}

// refuse takes a message off the link, shows nothing, and sends a refusal
// back. Without room for the refusal the message is not taken yet.
func (u *user) refuse(tx *Tx, ev *event, m *Message, kind im.ErrorKind) {
	if p := u.pairs[m.From]; p != nil && p.controlFull() {
		return
	}
	ev.to, ev.linkOut = m.From, nextLink
	ev.body = Body{Kind: BodyRefused, Time: tx.Now, PairID: m.Body.PairID, Error: kind, Trace: m.Body.Trace}
	u.record(tx, ev)
}
