package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/trace"
	"github.com/skein-im/skein/internal/wire"
)

func newTracedRig(t *testing.T, percent float64) (*rig, *trace.Recorder) {
	rec := trace.New(trace.Options{Node: "test"})
	r := newRig(t, func(g *Config, _ *link.Config) {
		g.Now = nil
		g.Traces, g.Sampler = rec, trace.NewSampler(percent, nil, 1)
	})
	return r, rec
}

func recorded(rec *trace.Recorder, id im.TraceID) string {
	var all []string
	for _, s := range rec.Spans(id) {
		all = append(all, fmt.Sprintf("%v#%d/%v", s.Step, s.Seq, uint8(s.Error)))
	}
	return strings.Join(all, " ")
}

// A send is traced when the client asks for it, and the mailbox hears of it.
func TestForcedTrace(t *testing.T) {
	r, rec := newTracedRig(t, 0)
	c, _ := r.login(t)
	id := im.TraceID(5).Forced()
	c.write(wire.AppendSendFrame(nil, &wire.Send{To: 9, ClientSeq: 1, Content: text("x"), Trace: 5}))
	s, cmd := takeAs[*im.Send](t, r)
	if cmd.Trace == nil || cmd.Trace.ID != id || cmd.Trace.At < cmd.Trace.Begun {
		t.Fatalf("trace %+v", cmd.Trace)
	}
	s.complete(&im.Sent{Seq: 70, ClientSeq: 1}, nil)
	c.readSendAck()
	c.roundTrip()
	if got, want := recorded(rec, id), "gateway.receive#0/0 send#70/0 gateway.answer#70/0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	c.write(sendFrame(2, text("y")))
	if _, cmd := takeAs[*im.Send](t, r); cmd.Trace != nil {
		t.Errorf("nobody asked for trace %+v", cmd.Trace)
	}
}

func TestRefusedSendIsTraced(t *testing.T) {
	r, rec := newTracedRig(t, 100)
	c, _ := r.login(t)
	c.write(sendFrame(0, text("x")))
	c.readSendAck()
	c.roundTrip()
	slow := rec.Slow(5)
	if len(slow) != 1 {
		t.Fatalf("%d traces", len(slow))
	}
	if got, want := recorded(rec, slow[0].ID), fmt.Sprintf("send#0/%d gateway.answer#0/0", im.Invalid); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Traced entries are followed to the device and back.
func TestDeliveriesAreTraced(t *testing.T) {
	r, rec := newTracedRig(t, 0)
	c, sink := r.login(t)
	entry := func(seq im.Seq, id im.TraceID) []byte {
		return wire.AppendEntry(nil, &wire.Entry{Seq: seq, Kind: wire.EntryMessage, Peer: 9, Content: text("x"), Trace: id})
	}
	sink.Deliver(1, 3, [][]byte{entry(1, 11), entry(2, 0), entry(3, 13)})
	c.read(wire.TypeDeliver)
	c.write(wire.AppendAckFrame(nil, &wire.Ack{Seq: 2}))
	s, _ := takeAs[*im.AckDelivered](t, r)
	s.complete(nil, nil)
	c.roundTrip()
	if got, want := recorded(rec, 11), "gateway.deliver#1/0 client.ack#1/0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := recorded(rec, 13), "gateway.deliver#3/0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n := r.g.unacked.count.Load(); n != 1 {
		t.Errorf("%d deliveries wait for acks", n)
	}
	c.Close()
	r.takeDetach(t, 1)
	r.stop(t)
	if n := r.g.unacked.count.Load(); n != 0 || len(r.g.unacked.by) != 0 {
		t.Errorf("%d deliveries wait for acks of nobody", n)
	}
}

func TestUnackedIsBounded(t *testing.T) {
	var u unacked
	a, b := &session{}, &session{}
	u.add(a, make([]delivery, maxUnacked-1))
	u.add(b, make([]delivery, 10))
	u.add(b, make([]delivery, 10))
	if u.count.Load() != maxUnacked || len(u.by[b]) != 1 {
		t.Errorf("%d wait, %d of them new", u.count.Load(), len(u.by[b]))
	}
	if got := u.take(a, 1<<40); len(got) != maxUnacked-1 || len(u.by) != 1 || u.count.Load() != 1 {
		t.Errorf("%d taken, %d left", len(got), u.count.Load())
	}
}

// A send whose mailbox is lost is submitted again with its own trace.
func TestTraceSurvivesResumption(t *testing.T) {
	r, rec := newTracedRig(t, 0)
	c, _ := r.login(t)
	id := im.TraceID(5).Forced()
	c.write(wire.AppendSendFrame(nil, &wire.Send{To: 9, ClientSeq: 1, Content: text("x"), Trace: id}))
	s, before := takeAs[*im.Send](t, r)
	s.complete(nil, im.Errorf(im.Unavailable, "gone"))
	at, _ := takeAs[*im.Attach](t, r)
	at.complete(&im.Attached{}, nil)
	s, again := takeAs[*im.Send](t, r)
	if again.Trace == nil || again.Trace == before.Trace || again.Trace.ID != id || again.Trace.Begun != before.Trace.Begun {
		t.Fatalf("trace %+v", again.Trace)
	}
	s.complete(&im.Sent{Seq: 70, ClientSeq: 1}, nil)
	c.readSendAck()
	c.roundTrip()
	if got, want := recorded(rec, id), "gateway.receive#0/0 gateway.hold#0/0 send#70/0 gateway.answer#70/0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
