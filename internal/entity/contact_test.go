package entity

import (
	"fmt"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// standing is where a user stands with a peer.
type standing struct {
	state   im.ContactState
	blocked bool
}

// inState makes user 1, who stands so with user 2, and has sent (yes) or not
// seen messages on the link.
func inState(t tester, s standing) *actor {
	a := newUserActor(t, 1)
	switch s.state {
	case im.Requested:
		a.must(contact(im.ContactRequest, 2))
	case im.Incoming:
		a.receive(&Message{From: im.User(2), To: a.addr, Seq: 1, Body: Body{Kind: BodyContactRequest}})
	case im.Friends:
		a.must(contact(im.ContactRequest, 2))
		a.receive(&Message{From: im.User(2), To: a.addr, Seq: 1, Body: Body{Kind: BodyContactAccept, PairID: 1}})
	}
	if s.blocked {
		a.must(contact(im.ContactBlock, 2))
	}
	a.out = nil
	return a
}

func (a *actor) standing() standing {
	p := a.user().pair(im.User(2))
	if p == nil {
		return standing{}
	}
	return standing{p.contact, p.blocked}
}

// Every step in every state: what it leaves, shows and sends.
func TestContactSteps(t *testing.T) {
	strangers, requested := standing{im.Strangers, false}, standing{im.Requested, false}
	incoming, friends := standing{im.Incoming, false}, standing{im.Friends, false}
	blocked := standing{im.Strangers, true}
	for _, c := range []struct {
		from  standing
		op    im.ContactOp
		to    standing
		shown wire.ContactEvent
		sent  BodyKind
		kind  im.ErrorKind
	}{
		{strangers, im.ContactRequest, requested, wire.ContactRequested, BodyContactRequest, 0},
		{strangers, im.ContactAccept, strangers, 0, 0, im.NotFound},
		{strangers, im.ContactRefuse, strangers, 0, 0, im.NotFound},
		{strangers, im.ContactRemove, strangers, 0, 0, 0},
		{strangers, im.ContactBlock, blocked, wire.ContactBlocked, 0, 0},
		{strangers, im.ContactUnblock, strangers, 0, 0, 0},
		{requested, im.ContactRequest, requested, 0, 0, 0},
		{requested, im.ContactAccept, requested, 0, 0, im.NotFound},
		{requested, im.ContactRefuse, requested, 0, 0, im.NotFound},
		{requested, im.ContactRemove, strangers, wire.ContactRemoved, BodyContactRemove, 0},
		{requested, im.ContactBlock, blocked, wire.ContactBlocked, BodyContactRemove, 0},
		{requested, im.ContactUnblock, requested, 0, 0, 0},
		{incoming, im.ContactRequest, friends, wire.ContactAccepted, BodyContactAccept, 0},
		{incoming, im.ContactAccept, friends, wire.ContactAccepted, BodyContactAccept, 0},
		{incoming, im.ContactRefuse, strangers, wire.ContactRefused, BodyContactRefuse, 0},
		{incoming, im.ContactRemove, strangers, wire.ContactRefused, BodyContactRefuse, 0},
		{incoming, im.ContactBlock, blocked, wire.ContactBlocked, BodyContactRefuse, 0},
		{incoming, im.ContactUnblock, incoming, 0, 0, 0},
		{friends, im.ContactRequest, friends, 0, 0, 0},
		{friends, im.ContactAccept, friends, 0, 0, 0},
		{friends, im.ContactRefuse, friends, 0, 0, im.NotFound},
		{friends, im.ContactRemove, strangers, wire.ContactRemoved, BodyContactRemove, 0},
		{friends, im.ContactBlock, blocked, wire.ContactBlocked, BodyContactRemove, 0},
		{friends, im.ContactUnblock, friends, 0, 0, 0},
		{blocked, im.ContactRequest, blocked, 0, 0, im.Blocked},
		{blocked, im.ContactAccept, blocked, 0, 0, im.NotFound},
		{blocked, im.ContactRefuse, blocked, 0, 0, im.NotFound},
		{blocked, im.ContactRemove, blocked, 0, 0, 0},
		{blocked, im.ContactBlock, blocked, 0, 0, 0},
		{blocked, im.ContactUnblock, strangers, wire.ContactUnblocked, 0, 0},
		{friends, 0, friends, 0, 0, im.Invalid},
		{friends, 99, friends, 0, 0, im.Invalid},
	} {
		name := fmt.Sprintf("%+v step %d", c.from, c.op)
		a := inState(t, c.from)
		head := a.ent.Status().Head
		res, err := a.do(contact(c.op, 2))
		if im.KindOf(err) != c.kind {
			t.Errorf("%s: %v, %v", name, res, err)
			continue
		}
		checkStep(t, name, a, head, c.to, c.shown, true, c.sent)
		if err == nil {
			if info := res.(*im.ContactInfo); info.State != c.to.state || info.Blocked != c.to.blocked || info.Peer != 2 {
				t.Errorf("%s: answered with %+v", name, info)
			}
		}
	}
}

// checkStep checks what a step or message left, showed and sent.
func checkStep(t *testing.T, name string, a *actor, head im.Seq, to standing, shown wire.ContactEvent, outgoing bool, sent BodyKind) {
	t.Helper()
	if got := a.standing(); got != to {
		t.Errorf("%s: leads to %+v, want %+v", name, got, to)
	}
	var event wire.ContactEvent
	if a.ent.Status().Head > head {
		e := a.last()
		event = e.Contact
		if event != 0 && (e.Kind != wire.EntryContact || e.Outgoing != outgoing || e.Peer != 2) {
			t.Errorf("%s: shows %+v", name, e)
		}
	}
	if event != shown {
		t.Errorf("%s: shows %d, want %d", name, event, shown)
	}
	var kind BodyKind
	if out := a.take(); len(out) > 0 {
		kind = out[0].Body.Kind
	}
	if kind != sent {
		t.Errorf("%s: sends %d, want %d", name, kind, sent)
	}
	if got := (&actor{t: t, addr: a.addr, ent: a.load()}).standing(); got != to {
		t.Errorf("%s: the store has %+v, want %+v", name, got, to)
	}
}

// Every message in every state. A no is about the user's messages up to a
// number: before the user's yes, or after it.
func TestContactMessages(t *testing.T) {
	strangers, requested := standing{im.Strangers, false}, standing{im.Requested, false}
	incoming, friends := standing{im.Incoming, false}, standing{im.Friends, false}
	blocked := standing{im.Strangers, true}
	const before, after = 0, 9
	for _, c := range []struct {
		from  standing
		kind  BodyKind
		seen  uint64
		to    standing
		shown wire.ContactEvent
		sent  BodyKind
	}{
		{strangers, BodyContactRequest, 0, incoming, wire.ContactRequested, 0},
		{strangers, BodyContactAccept, 0, strangers, 0, BodyContactRefuse},
		{strangers, BodyContactRefuse, after, strangers, 0, 0},
		{strangers, BodyContactRemove, after, strangers, 0, 0},
		{requested, BodyContactRequest, 0, friends, wire.ContactAccepted, 0},
		{requested, BodyContactAccept, 0, friends, wire.ContactAccepted, 0},
		{requested, BodyContactRefuse, before, requested, 0, 0},
		{requested, BodyContactRefuse, after, strangers, wire.ContactRefused, 0},
		{requested, BodyContactRemove, before, requested, 0, 0},
		{requested, BodyContactRemove, after, strangers, wire.ContactRefused, 0},
		{incoming, BodyContactRequest, 0, incoming, 0, 0},
		{incoming, BodyContactRefuse, 0, strangers, wire.ContactRemoved, 0},
		{incoming, BodyContactRemove, 0, strangers, wire.ContactRemoved, 0},
		{friends, BodyContactRequest, 0, friends, 0, 0},
		{friends, BodyContactAccept, 0, friends, 0, 0},
		{friends, BodyContactRefuse, before, requested, wire.ContactRemoved, 0},
		{friends, BodyContactRefuse, after, strangers, wire.ContactRemoved, 0},
		{friends, BodyContactRemove, before, requested, wire.ContactRemoved, 0},
		{friends, BodyContactRemove, after, strangers, wire.ContactRemoved, 0},
		{blocked, BodyContactRequest, 0, blocked, 0, BodyContactRefuse},
		{blocked, BodyContactAccept, 0, blocked, 0, BodyContactRefuse},
		{blocked, BodyContactRefuse, after, blocked, 0, 0},
		{blocked, BodyContactRemove, after, blocked, 0, 0},
		{friends, 77, 0, friends, 0, 0},
	} {
		name := fmt.Sprintf("%+v message %d about %d", c.from, c.kind, c.seen)
		a := inState(t, c.from)
		st := a.ent.Status()
		in := a.user().makePair(im.User(2)).in
		a.receive(&Message{From: im.User(2), To: a.addr, Seq: in + 1, Body: Body{Kind: c.kind, PairID: c.seen}})
		if got := acks(a.out); len(got) != 1 || got[0] != in+1 {
			t.Errorf("%s: acks %v", name, got)
		}
		checkStep(t, name, a, st.Head, c.to, c.shown, false, c.sent)
	}
}

func TestContactRequestToNobody(t *testing.T) {
	a, nobody := newUserActor(t, 1), newActor(t, im.User(2))
	a.must(contact(im.ContactRequest, 2))
	exchange(a, nobody)
	if e := a.last(); e.Contact != wire.ContactRefused || e.Refusal != im.NotFound {
		t.Fatalf("shown %+v", e)
	}
	if a.standing() != (standing{}) {
		t.Fatalf("left with %+v", a.standing())
	}
}

func TestContactNote(t *testing.T) {
	a, b := newUserActor(t, 1), newUserActor(t, 2)
	cmd := contact(im.ContactRequest, 2)
	cmd.Note = strings.Repeat("ä", im.MaxNote/2)
	a.must(cmd)
	exchange(a, b)
	list := b.must(&im.ListContacts{}).([]im.ContactInfo)
	if len(list) != 1 || list[0].Note != cmd.Note || list[0].State != im.Incoming {
		t.Fatalf("got %+v", list)
	}
	if e := b.last(); string(e.Content.Body) != cmd.Note {
		t.Fatalf("shown %+v", e)
	}
	cmd.Note += "x"
	a.refuses(cmd, im.TooLarge)
}

// A note that is not UTF-8 could be written to a record but not read again.
func TestContactNoteMustBeText(t *testing.T) {
	a := newUserActor(t, 1)
	cmd := contact(im.ContactRequest, 2)
	cmd.Note = "\xff"
	a.refuses(cmd, im.Invalid)
	// From elsewhere it is not let in either.
	a.receive(&Message{From: im.User(3), To: a.addr, Seq: 1, Body: Body{Kind: BodyContactRequest, Content: text("x\xff\xffy")}})
	a.snapshot()
	a.restart()
	if list := a.must(&im.ListContacts{}).([]im.ContactInfo); len(list) != 1 || list[0].Note != "x\ufffdy" {
		t.Fatalf("got %+v", list)
	}
}

func TestContactLimits(t *testing.T) {
	a := newUserActor(t, 1)
	a.refuses(contact(im.ContactRequest, 1), im.Invalid)
	a.refuses(contact(im.ContactRequest, 0), im.Invalid)
	for i := range im.UserID(im.MaxContacts) {
		a.must(contact(im.ContactBlock, i+2))
	}
	a.refuses(contact(im.ContactRequest, im.MaxContacts+2), im.TooLarge)
	a.must(contact(im.ContactUnblock, 2))
	a.snapshot()
	a.restart()
	if list := a.must(&im.ListContacts{}).([]im.ContactInfo); len(list) != im.MaxContacts {
		t.Fatalf("%d contacts", len(list))
	}
}

// Contact steps have room on a link that is full of messages, but not without
// end.
func TestContactStepsHaveReserve(t *testing.T) {
	a := newUserActor(t, 1, 2)
	for cs := range im.ClientSeq(im.LinkWindow) {
		a.must(send(2, cs+1, "x"))
	}
	for range controlReserve / 2 {
		a.must(contact(im.ContactRemove, 2))
		a.must(contact(im.ContactRequest, 2))
	}
	a.refuses(contact(im.ContactRemove, 2), im.Busy)
	a.out = nil
	// What would need an answer is not taken either.
	a.receive(&Message{From: im.User(2), To: a.addr, Seq: 1, Body: Body{Kind: BodyContactAccept}})
	if len(a.out) != 0 {
		t.Fatalf("sent %+v", a.out[0])
	}
}

func TestListContacts(t *testing.T) {
	a := newUserActor(t, 1, 9, 4)
	a.must(send(9, 1, "x"))
	a.must(contact(im.ContactRequest, 3))
	a.must(contact(im.ContactRequest, 5))
	a.must(contact(im.ContactRemove, 5))
	a.refuses(send(7, 2, "x"), im.NotContact)
	want := []im.ContactInfo{
		{Peer: 3, State: im.Requested, LastSeq: 2}, {Peer: 4, State: im.Friends}, {Peer: 5, LastSeq: 4}, {Peer: 9, State: im.Friends, LastSeq: 1},
	}
	for range 2 {
		if got := a.must(&im.ListContacts{}).([]im.ContactInfo); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		a.restart()
	}
}
