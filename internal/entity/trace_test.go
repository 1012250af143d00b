package entity

import (
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

const testTrace = im.TraceID(1<<63 | 5)

func (a *actor) sendTraced(to im.UserID, cs im.ClientSeq, id im.TraceID) {
	a.t.Helper()
	cmd := &im.Send{To: to, Device: 1, ClientSeq: cs, Content: text("hello")}
	if id != 0 {
		cmd.Trace = &im.Trace{ID: id}
	}
	a.must(cmd)
}

// A trace goes with its message: on the link, in both logs, on the ack, and
// when all of that happens again after a restart.
func TestTraceGoesWithItsMessage(t *testing.T) {
	a, b := newUserActor(t, 1, 2), newUserActor(t, 2, 1)
	a.sendTraced(2, 1, testTrace)
	a.sendTraced(2, 2, 0)
	a.take()
	a.restart()
	a.advance(retransmitMax)
	out := a.take()
	if len(out) != 2 || out[0].Body.Trace != testTrace || out[1].Body.Trace != 0 {
		t.Fatalf("sent again: %+v", out)
	}
	for _, m := range out {
		b.receive(m)
	}
	b.receive(out[0])
	var first, last wire.Entry
	for i, e := range []*wire.Entry{&first, &last} {
		if err := e.Unmarshal(b.visible[len(b.visible)-2+i]); err != nil {
			t.Fatal(err)
		}
	}
	if first.Trace != testTrace || last.Trace != 0 {
		t.Errorf("received with traces %v and %v", first.Trace, last.Trace)
	}
	got := b.out
	if len(got) != 3 || got[0].Body.Trace != testTrace || got[1].Body.Trace != 0 || got[2].Body.Trace != testTrace {
		t.Errorf("acks: %+v", got)
	}
}

// Acks of a batch are one, but each traced message has its own.
func TestTracedAcksStaySeparate(t *testing.T) {
	tx := &Tx{}
	peer := im.User(2)
	tx.ack(peer, 1, 0)
	tx.ack(peer, 2, 7)
	tx.ack(peer, 3, 0)
	tx.ack(peer, 4, 8)
	tx.ack(peer, 5, 0)
	if len(tx.Messages) != 2 {
		t.Fatalf("%d acks", len(tx.Messages))
	}
	if m := tx.Messages; m[0].Ack != 3 || m[0].Body.Trace != 7 || m[1].Ack != 5 || m[1].Body.Trace != 8 {
		t.Errorf("%+v and %+v", m[0], m[1])
	}
}

// The refusal of a traced message carries its trace back.
func TestRefusalCarriesTheTrace(t *testing.T) {
	a, b := newUserActor(t, 1, 2), newUserActor(t, 2)
	a.sendTraced(2, 1, testTrace)
	for _, m := range a.take() {
		b.receive(m)
	}
	b.take()
	b.restart()
	b.advance(retransmitMax)
	for _, m := range b.take() {
		if m.Seq != 0 {
			a.receive(m)
		}
	}
	if e := a.last(); e.Kind != wire.EntryRefused || e.Trace != testTrace {
		t.Errorf("the refusal is %+v", e)
	}
}
