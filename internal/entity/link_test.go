package entity

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// chat is message n of the link from a user to user 1.
func chat(from im.UserID, n im.LinkSeq) *Message {
	return &Message{From: im.User(from), To: im.User(1), Seq: n,
		Body: Body{Kind: BodyMessage, Time: 5, PairID: uint64(n), Content: text(fmt.Sprint(n))}}
}

// acks are the acks among messages.
func acks(out []*Message) []im.LinkSeq {
	var list []im.LinkSeq
	for _, m := range out {
		if m.Seq == 0 {
			list = append(list, m.Ack)
		}
	}
	return list
}

// seqs are the link numbers among messages.
func seqs(out []*Message) []im.LinkSeq {
	var list []im.LinkSeq
	for _, m := range out {
		list = append(list, m.Seq)
	}
	return list
}

// last is the last entry of an actor's log, as devices see it.
func (a *actor) last() wire.Entry {
	var e wire.Entry
	if err := e.Unmarshal(a.visible[len(a.visible)-1]); err != nil {
		a.t.Fatalf("%v", err)
	}
	return e
}

// Each number is taken once and in order, whatever arrives; every arrival is
// answered with how far it has come.
func TestReceiveInOrder(t *testing.T) {
	a := newUserActor(t, 1, 2, 3)
	for i, step := range []struct {
		from im.UserID
		n    im.LinkSeq
		ack  im.LinkSeq
		head im.Seq
	}{
		{2, 2, 0, 0}, {2, 1, 1, 1}, {2, 1, 1, 1}, {2, 3, 1, 1}, {2, 2, 2, 2}, {2, 1, 2, 2}, {3, 1, 1, 3}, {2, 3, 3, 4}, {3, 3, 1, 4},
	} {
		a.receive(chat(step.from, step.n))
		if got := acks(a.out); !slices.Equal(got, []im.LinkSeq{step.ack}) {
			t.Fatalf("step %d: acks %v, want %d", i, got, step.ack)
		}
		if head := a.ent.Status().Head; head != step.head {
			t.Fatalf("step %d: head %d, want %d", i, head, step.head)
		}
		a.out = nil
		if i%2 == 0 {
			a.restart()
		}
	}
	c := a.must(&im.Counters{}).(*im.CountersInfo)
	if c.RecvID != 4 || c.SendID != 0 {
		t.Fatalf("counters %+v", c)
	}
}

// Acks of one call stand for all of it.
func TestAcksAreMerged(t *testing.T) {
	a := newUserActor(t, 1, 2, 3)
	a.call(func(tx *Tx) {
		for n := range im.LinkSeq(3) {
			a.ent.Receive(tx, chat(2, n+1))
			a.ent.Receive(tx, chat(3, n+1))
		}
	})
	if got := acks(a.out); !slices.Equal(got, []im.LinkSeq{3, 3}) {
		t.Fatalf("acks %v", got)
	}
}

func TestReceiveEntry(t *testing.T) {
	a := newUserActor(t, 1, 2)
	a.receive(chat(2, 1))
	want := wire.Entry{Seq: 1, Kind: wire.EntryMessage, Peer: 2, Time: 5, PairID: 1, Content: text("1")}
	if got := a.last(); got.Seq != want.Seq || got.Kind != want.Kind || got.Peer != want.Peer || got.Outgoing ||
		got.Time != want.Time || got.PairID != want.PairID || string(got.Content.Body) != "1" {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

// What may not be received goes back to its sender and is not shown.
func TestReceiveRefused(t *testing.T) {
	blocker := newUserActor(t, 1, 2)
	blocker.must(contact(im.ContactBlock, 2))
	blocker.take()
	for name, c := range map[string]struct {
		a    *actor
		kind im.ErrorKind
	}{
		"nobody":   {newActor(t, im.User(1)), im.NotFound},
		"stranger": {newUserActor(t, 1), im.NotContact},
		"blocked":  {blocker, im.NotContact},
	} {
		c.a.receive(chat(2, 1))
		if got := acks(c.a.out); !slices.Equal(got, []im.LinkSeq{1}) {
			t.Fatalf("%s: acks %v", name, got)
		}
		out := c.a.take()
		if len(out) != 1 || out[0].Body.Kind != BodyRefused || out[0].Body.Error != c.kind || out[0].Body.PairID != 1 {
			t.Fatalf("%s: sent %+v", name, out)
		}
		if e := c.a.last(); e.Kind != wire.EntryFiller {
			t.Fatalf("%s: shown %+v", name, e)
		}
		c.a.restart()
		c.a.receive(chat(2, 1))
		if out := c.a.take(); len(out) != 0 {
			t.Fatalf("%s: a repeated message is refused again: %+v", name, out)
		}
	}
}

// A refusal is shown to the sender, and does not count as received.
func TestReceiveRefusal(t *testing.T) {
	a := newUserActor(t, 1, 2)
	a.must(send(2, 1, "hello"))
	a.receive(&Message{From: im.User(2), To: a.addr, Seq: 1, Body: Body{Kind: BodyRefused, PairID: 1, Error: im.NotContact}})
	if e := a.last(); e.Kind != wire.EntryRefused || e.Outgoing || e.Peer != 2 || e.PairID != 1 || e.Refusal != im.NotContact {
		t.Fatalf("shown %+v", e)
	}
	if c := a.must(&im.Counters{}).(*im.CountersInfo); c.RecvID != 0 {
		t.Fatalf("counters %+v", c)
	}
}

// A link that is full of refusals takes no more messages until there is room;
// the sender keeps them.
func TestReceiveWithoutRoomForRefusal(t *testing.T) {
	a := newUserActor(t, 1)
	room := im.LinkSeq(im.LinkWindow + controlReserve)
	for n := range room {
		a.receive(chat(2, n+1))
	}
	a.take()
	a.receive(chat(2, room+1))
	if got := acks(a.out); len(got) != 0 {
		t.Fatalf("acks %v", got)
	}
	a.receive(&Message{From: im.User(2), To: a.addr, Ack: 1})
	a.receive(chat(2, room+1))
	if got := acks(a.out); !slices.Equal(got, []im.LinkSeq{room + 1}) {
		t.Fatalf("acks %v", got)
	}
}

// A user who knows too many others takes nothing from strangers, and does not
// say so: their mailboxes try again.
func TestReceiveFromTooMany(t *testing.T) {
	a := newUserActor(t, 1)
	for i := range im.UserID(im.MaxContacts) {
		a.receive(chat(i+2, 1))
	}
	a.out = nil
	a.receive(chat(im.MaxContacts+2, 1))
	if len(a.out) != 0 {
		t.Fatalf("sent %+v", a.out[0])
	}
	a.receive(chat(2, 2))
	if got := acks(a.out); !slices.Equal(got, []im.LinkSeq{2}) {
		t.Fatalf("acks %v", got)
	}
}

func TestAck(t *testing.T) {
	a := newUserActor(t, 1, 2)
	for cs := range im.ClientSeq(5) {
		a.must(send(2, cs+1, "x"))
	}
	ack := func(n im.LinkSeq) { a.receive(&Message{From: im.User(2), To: a.addr, Ack: n}) }
	for _, step := range []struct {
		ack  im.LinkSeq
		left int
	}{{0, 5}, {6, 5}, {2, 3}, {1, 3}, {2, 3}, {4, 1}, {5, 0}, {5, 0}, {9, 0}} {
		ack(step.ack)
		if got := a.ent.Status().Outstanding; got != step.left {
			t.Fatalf("after ack %d: %d outstanding, want %d", step.ack, got, step.left)
		}
	}
	a.receive(&Message{From: im.User(7), To: a.addr, Ack: 1})
	if !a.pending {
		t.Fatal("the mark is gone before a snapshot")
	}
	a.snapshot()
	if a.pending {
		t.Fatal("the mark stays")
	}
}

// Whoever has seen a counter sees it again after a restart, whatever moved it.
func TestCountersAreDurable(t *testing.T) {
	a := newUserActor(t, 1, 2)
	a.must(send(2, 1, "x"))
	a.receive(chat(2, 1))
	a.receive(&Message{From: im.User(2), To: a.addr, Ack: 1})
	a.must(&im.AckDelivered{Device: 1, Seq: 2})
	if !a.ent.Status().Dirty {
		t.Fatal("an ack and a cursor need no snapshot")
	}
	counters := func() im.CountersInfo { return *a.must(&im.Counters{Device: 1}).(*im.CountersInfo) }
	want := im.CountersInfo{SendID: 1, SendAckID: 1, RecvID: 1, ClientRecvID: 1, Head: 2, ClientSeq: 1, Friends: []im.UserID{2}}
	if diff := cmp.Diff(want, counters()); diff != "" {
		t.Fatal(diff)
	}
	a.restart()
	if diff := cmp.Diff(want, counters()); diff != "" {
		t.Fatalf("after a restart: %s", diff)
	}
}

// Unacknowledged messages are sent again, ever more rarely, until acked.
func TestRetransmission(t *testing.T) {
	a := newUserActor(t, 1, 2)
	a.must(send(2, 1, "one"))
	a.must(send(2, 2, "two"))
	a.take()
	last, gaps := a.now, []im.Millis{}
	for len(gaps) < 9 {
		a.advance(a.ent.Status().Due - a.now)
		if out := a.take(); bodies(out) != "one two" || !slices.Equal(seqs(out), []im.LinkSeq{1, 2}) {
			t.Fatalf("sent again: %v", seqs(out))
		}
		gaps = append(gaps, a.now-last)
		last = a.now
	}
	if want := []im.Millis{2000, 2000, 4000, 8000, 16000, 30000, 30000, 30000, 30000}; !slices.Equal(gaps, want) {
		t.Fatalf("waited %v, want %v", gaps, want)
	}
	a.receive(&Message{From: im.User(2), To: a.addr, Ack: 1})
	// That it came shows that the peer is there again: no need to wait long.
	if wait := a.ent.Status().Due - a.now; wait > retransmitUsual {
		t.Fatalf("after a partial ack waits for %d", wait)
	}
	a.advance(retransmitUsual)
	if out := a.take(); bodies(out) != "two" {
		t.Fatalf("sent again after a partial ack: %q", bodies(out))
	}
	if wait := a.ent.Status().Due - a.now; wait > retransmitUsual {
		t.Fatalf("after a partial ack and a repeat waits for %d", wait)
	}
	a.receive(&Message{From: im.User(2), To: a.addr, Ack: 2})
	a.advance(60_000)
	if out := a.take(); len(out) != 0 || a.ent.Status().Due != 0 {
		t.Fatalf("sent again after the ack: %v, due %d", seqs(out), a.ent.Status().Due)
	}
}

// A backlog is sent again window by window, as acks come.
func TestRetransmissionWindow(t *testing.T) {
	a := newUserActor(t, 1, 2)
	const n = 300
	for cs := range im.ClientSeq(n) {
		a.must(send(2, cs+1, "x"))
	}
	a.restart()
	a.take()
	a.must(send(2, n+1, "x"))
	if out := a.take(); len(out) != 0 {
		t.Fatalf("a new message overtakes the backlog: %v", seqs(out))
	}
	a.advance(retransmitMin)
	var got []im.LinkSeq
	for range n {
		out := seqs(a.take())
		got = append(got, out...)
		if len(got) > 0 && got[len(got)-1] == n+1 {
			break
		}
		if flight := len(got); flight > resendWindow+int(a.user().pair(im.User(2)).acked) {
			t.Fatalf("%d in flight", flight)
		}
		a.receive(&Message{From: im.User(2), To: a.addr, Ack: got[max(0, len(got)-20)]})
		a.read()
	}
	for i, seq := range got {
		if seq != im.LinkSeq(i+1) {
			t.Fatalf("message %d was sent as number %d", seq, i+1)
		}
	}
	if len(got) != n+1 {
		t.Fatalf("%d of %d were sent", len(got), n+1)
	}
	a.must(send(2, n+2, "x"))
	if out := a.take(); !slices.Equal(seqs(out), []im.LinkSeq{n + 2}) {
		t.Fatalf("after the backlog: %v", seqs(out))
	}
}

// A read that fails, or comes too late, is made good by the next timer.
func TestRetransmissionReadFails(t *testing.T) {
	a := newUserActor(t, 1, 2)
	a.must(send(2, 1, "x"))
	a.take()
	a.now = a.ent.Status().Due
	a.call(a.ent.Timer)
	if len(a.reads) != 1 {
		t.Fatalf("reads %+v", a.reads)
	}
	a.reads = nil
	a.call(func(tx *Tx) { a.ent.Resend(tx, im.User(2), nil) })
	a.call(func(tx *Tx) { a.ent.Resend(tx, im.User(9), nil) })
	a.advance(a.ent.Status().Due - a.now)
	if out := a.take(); !slices.Equal(seqs(out), []im.LinkSeq{1}) {
		t.Fatalf("sent again: %v", seqs(out))
	}
}

// Entries that are not durable are not read, and not sent again.
func TestRetransmissionOfDurableOnly(t *testing.T) {
	a := newUserActor(t, 1, 2)
	a.must(send(2, 1, "x"))
	a.must(send(2, 2, "y"))
	a.take()
	a.now = a.ent.Status().Due
	tx := &Tx{Now: a.now, Jitter: func(int64) int64 { return 0 }, Durable: 1, Self: a.addr}
	a.ent.Timer(tx)
	if len(tx.Reads) != 1 || !slices.Equal(tx.Reads[0].Seqs, []im.Seq{1}) {
		t.Fatalf("reads %+v", tx.Reads)
	}
}

// An ack after the peer has thrown messages away lets the sender go back to
// the first that is missing.
func TestRetransmissionAfterGap(t *testing.T) {
	a := newUserActor(t, 1, 2)
	for cs := range im.ClientSeq(4) {
		a.must(send(2, cs+1, "x"))
	}
	a.take()
	ack := func(n im.LinkSeq) { a.receive(&Message{From: im.User(2), To: a.addr, Ack: n}) }
	// The first was overtaken by the second, which the peer refused.
	ack(0)
	ack(1)
	a.read()
	if out := a.take(); !slices.Equal(seqs(out), []im.LinkSeq{2, 3, 4}) {
		t.Fatalf("sent again: %v", seqs(out))
	}
	ack(2)
	a.read()
	if out := a.take(); len(out) != 0 {
		t.Fatalf("sent again without a gap: %v", seqs(out))
	}
}

// Acks that usually take long are waited for, but not too long.
func TestRoundTrip(t *testing.T) {
	var r roundTrip
	if r.wait() != retransmitFirst {
		t.Fatalf("nothing known: %d", r.wait())
	}
	for _, c := range []struct{ sample, wait im.Millis }{{-5, retransmitMin}, {0, retransmitMin}, {300, 1200}, {100_000, retransmitUsual}} {
		r = 0
		for range 50 {
			r.add(c.sample)
		}
		if got := r.wait(); got < c.wait || got > c.wait+50 {
			t.Fatalf("acks take %d: waits for %d, want %d", c.sample, got, c.wait)
		}
	}
}

// A message that was sent while earlier ones were read back for another try
// goes out as soon as it is durable, not at the next timeout.
func TestFreshMessageFollowsResentOnes(t *testing.T) {
	a := newUserActor(t, 1, 2)
	a.must(send(2, 1, "one"))
	a.take()
	a.now = a.ent.Status().Due
	a.call(a.ent.Timer)
	a.reads = nil
	a.call(func(tx *Tx) {
		// The read of "one" is back when "two" is not durable yet.
		tx.Durable = im.Seq(len(a.log))
		if _, err := a.ent.Handle(tx, send(2, 2, "two")); err != nil {
			t.Fatal(err)
		}
		a.ent.Resend(tx, im.User(2), []im.LogEntry{{Seq: 1, Value: a.log[0]}})
	})
	a.take()
	if wait := a.ent.Status().Due - a.now; wait > durableSoon {
		t.Fatalf("the next look is in %d ms", wait)
	}
	a.advance(durableSoon)
	if out := a.take(); bodies(out) != "two" {
		t.Fatalf("sent: %q", bodies(out))
	}
}
