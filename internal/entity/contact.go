package entity

import (
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// step is what a contact command does: the entry it leaves and the message it
// sends; zero for nothing.
type step struct {
	event wire.ContactEvent
	send  BodyKind
}

// How two users agree.
//
// Each of them either wants to be friends or does not, and knows, as of the
// last message, what the other wants: neither does (Strangers), both do
// (Friends), or one (Requested, Incoming). A user changes what they want
// themselves, and says so: a request and an acceptance are a yes, a refusal
// and a removal a no. A no ends the other's yes as well, but only one that its
// sender knew of: it says up to which message of the other it has come, and a
// yes that is younger stands. So both ends agree once everything has arrived,
// however their messages crossed.

// handleContact takes a step towards another user. The peer learns of it over
// the link, behind everything sent before.
func (u *user) handleContact(tx *Tx, c *im.Contact) (im.Result, error) {
	if c.Peer == 0 || c.Peer == u.id {
		return nil, im.Errorf(im.Invalid, "the contact must be another user")
	}
	if len(c.Note) > im.MaxNote {
		return nil, im.Errorf(im.TooLarge, "a note has at most %d bytes", im.MaxNote)
	}
	if !utf8.ValidString(c.Note) {
		return nil, im.Errorf(im.Invalid, "a note must be valid UTF-8")
	}
	peer := im.User(c.Peer)
	if !u.room(peer) {
		return nil, im.Errorf(im.TooLarge, "a user has dealings with at most %d others", im.MaxContacts)
	}
	p := u.pairs[peer]
	if p == nil {
		p = &pair{line: newLine(peer)}
	}
	s, err := p.step(c.Op)
	if err != nil || s.event == 0 {
		return p.info(), err
	}
	if s.send != 0 && p.controlFull() {
		return nil, errWindow()
	}
	ev := &event{entry: wire.Entry{Kind: wire.EntryContact, Peer: c.Peer, Outgoing: true, Time: tx.Now, Contact: s.event}}
	if s.event == wire.ContactRequested && c.Note != "" {
		ev.entry.Content = im.Content{Type: im.ContentText, Body: []byte(c.Note)}
	}
	if s.send != 0 {
		ev.to, ev.linkOut = peer, nextLink
		ev.body = Body{Kind: s.send, Time: tx.Now, PairID: uint64(p.in), Content: ev.entry.Content}
	}
	u.record(tx, ev)
	return u.pairs[peer].info(), nil
}

// step says what a command does in the present state. A command whose outcome
// already holds does nothing.
func (p *pair) step(op im.ContactOp) (step, error) {
	switch op {
	case im.ContactRequest:
		return p.stepRequest()
	case im.ContactAccept:
		switch p.contact {
		case im.Friends:
			return step{}, nil
		case im.Incoming:
			return step{wire.ContactAccepted, BodyContactAccept}, nil
		}
		return step{}, im.Errorf(im.NotFound, "there is no request from this user")
	case im.ContactRefuse:
		if p.contact == im.Incoming {
			return step{wire.ContactRefused, BodyContactRefuse}, nil
		}
		return step{}, im.Errorf(im.NotFound, "there is no request from this user")
	case im.ContactRemove:
		return p.stepRemove(), nil
	case im.ContactBlock:
		if p.blocked {
			return step{}, nil
		}
		return step{wire.ContactBlocked, p.stepRemove().send}, nil
	case im.ContactUnblock:
		if !p.blocked {
			return step{}, nil
		}
		return step{wire.ContactUnblocked, 0}, nil
	}
	return step{}, im.Errorf(im.Invalid, "unknown contact step %d", op)
}

func (p *pair) stepRequest() (step, error) {
	switch {
	case p.blocked:
		return step{}, im.Errorf(im.Blocked, "you have blocked this user; unblock first")
	case p.contact == im.Incoming:
		// Both want it: requesting is accepting.
		return step{wire.ContactAccepted, BodyContactAccept}, nil
	case p.contact == im.Strangers:
		return step{wire.ContactRequested, BodyContactRequest}, nil
	}
	return step{}, nil
}

// stepRemove ends whatever there is: a friendship, or a request in either
// direction.
func (p *pair) stepRemove() step {
	switch p.contact {
	case im.Friends, im.Requested:
		return step{wire.ContactRemoved, BodyContactRemove}
	case im.Incoming:
		return step{wire.ContactRefused, BodyContactRefuse}
	}
	return step{}
}

// reaction is what a contact message from the peer does: the entry it leaves
// and the message it sends back; zero for nothing.
type reaction struct {
	shown wire.ContactEvent
	reply BodyKind
	why   im.ErrorKind
}

// takeContact fills the event for a contact message from the peer. It returns
// false when the message cannot be taken yet.
func (u *user) takeContact(tx *Tx, ev *event, p *pair, m *Message) bool {
	if p == nil {
		p = &pair{line: newLine(m.From)}
	}
	if p.controlFull() {
		return false
	}
	var r reaction
	switch m.Body.Kind {
	case BodyContactRequest, BodyContactAccept:
		r = u.reactYes(p, m.Body.Kind)
	case BodyContactRefuse, BodyContactRemove:
		r = p.reactNo(m)
		// The event keeps what the no is about.
		ev.body = Body{Kind: m.Body.Kind, PairID: m.Body.PairID}
	}
	if r.shown != 0 {
		ev.entry = wire.Entry{Kind: wire.EntryContact, Peer: im.UserID(m.From.ID), Time: m.Body.Time,
			Contact: r.shown, Refusal: r.why}
	}
	if r.shown == wire.ContactRequested {
		ev.entry.Content = m.Body.Content
	}
	if r.reply != 0 {
		// About everything up to this message.
		ev.to, ev.linkOut = m.From, nextLink
		ev.body = Body{Kind: r.reply, Time: tx.Now, PairID: uint64(m.Seq), Error: r.why}
	}
	return true
}

// reactYes takes a request or an acceptance: the peer wants to be friends.
func (u *user) reactYes(p *pair, kind BodyKind) reaction {
	switch {
	case !u.exists:
		return reaction{reply: BodyContactRefuse, why: im.NotFound}
	case p.blocked:
		return reaction{reply: BodyContactRefuse}
	case p.contact == im.Requested:
		return reaction{shown: wire.ContactAccepted}
	case p.contact == im.Strangers && kind == BodyContactAccept:
		// What it accepts has been withdrawn.
		return reaction{reply: BodyContactRefuse}
	case p.contact == im.Strangers:
		return reaction{shown: wire.ContactRequested}
	}
	return reaction{}
}

// reactNo takes a refusal or a removal. It ends what this user wants too,
// unless the peer did not know of it yet.
func (p *pair) reactNo(m *Message) reaction {
	switch {
	case p.contact == im.Requested && p.crossed(m.Body.PairID):
		return reaction{}
	case p.contact == im.Requested:
		return reaction{shown: wire.ContactRefused, why: m.Body.Error}
	case p.contact == im.Strangers:
		return reaction{}
	}
	return reaction{shown: wire.ContactRemoved}
}

// crossed reports whether this user's last yes went out before the peer's no,
// which is about messages up to seen, could know of it.
func (p *pair) crossed(seen uint64) bool { return uint64(p.yes) > seen }

// evolveContact is the part of evolve for contact entries.
func (p *pair) evolveContact(ev *event) {
	switch ev.entry.Contact {
	case wire.ContactRequested:
		p.contact = im.Incoming
		if ev.entry.Outgoing {
			p.contact, p.yes = im.Requested, ev.linkOut
		}
		// A record takes UTF-8 only.
		p.note = strings.ToValidUTF8(string(ev.entry.Content.Body), "\ufffd")
	case wire.ContactAccepted:
		p.contact = im.Friends
		if ev.entry.Outgoing {
			p.yes = ev.linkOut
		}
	case wire.ContactRefused, wire.ContactRemoved:
		if !ev.entry.Outgoing && p.contact == im.Friends && p.crossed(ev.body.PairID) {
			p.contact = im.Requested
			return
		}
		p.contact = im.Strangers
	case wire.ContactBlocked:
		p.contact, p.blocked = im.Strangers, true
	case wire.ContactUnblocked:
		p.blocked = false
	}
}

func (p *pair) info() *im.ContactInfo {
	return &im.ContactInfo{Peer: im.UserID(p.peer.ID), State: p.contact, Blocked: p.blocked, Note: p.note, LastSeq: p.lastSeq}
}

func (u *user) listContacts() []im.ContactInfo {
	list := make([]im.ContactInfo, 0, len(u.order))
	for _, p := range u.order {
		if p.peer.Kind == im.KindUser && (p.contact != im.Strangers || p.blocked || p.lastSeq != 0) {
			list = append(list, *p.info())
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Peer < list[j].Peer })
	return list
}
