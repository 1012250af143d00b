package shard

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/trace"
)

// steps are the names of the spans of a trace, in the order of the way.
func steps(r *trace.Recorder, id im.TraceID) string {
	var all []string
	spans := r.Spans(id)
	slices.SortFunc(spans, func(a, b trace.Span) int { return int(a.Step) - int(b.Step) })
	for _, s := range spans {
		name := fmt.Sprintf("%v@%d", s.Step, s.Of.ID)
		if s.Error != 0 {
			name += "!"
		}
		all = append(all, name)
	}
	return strings.Join(all, " ")
}

// A traced message leaves a span of every step at its sender, at its receiver
// and of its ack.
func TestTracedMessage(t *testing.T) {
	last := make(chan struct{})
	rec := trace.New(trace.Options{Node: "test", Export: func(s trace.Span) {
		if s.Step == trace.AckApply {
			close(last)
		}
	}})
	r := start(t, func(o *Options) { o.Traces = rec })
	for _, u := range []im.UserID{1, 2} {
		if err := <-r.submit(im.User(u), &im.Provision{Friends: []im.UserID{3 - u}, TokenHashes: [][32]byte{{1}}}); err != nil {
			t.Fatal(err)
		}
	}
	id := im.TraceID(9).Forced()
	cmd := &im.Send{To: 2, Device: 1, ClientSeq: 1, Content: text("x"), Trace: &im.Trace{ID: id, At: rec.Now()}}
	if err := <-r.submit(im.User(1), cmd); err != nil {
		t.Fatal(err)
	}
	<-last
	r.Stop()
	want := "mailbox.arrive@1 mailbox.queue@1 mailbox.apply@1 mailbox.batch@1 mailbox.commit@1 mailbox.release@1 " +
		"link.forward@2 receiver.queue@2 receiver.apply@2 receiver.batch@2 receiver.commit@2 receiver.release@2 " +
		"ack.forward@1 ack.queue@1 ack.apply@1"
	if got := steps(rec, id); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	spans := rec.Of(id).Traces[0].Spans
	for i := range spans[1:] {
		if spans[i+1].Start < spans[i].Start {
			t.Errorf("%v begins before %v", spans[i+1].Step, spans[i].Step)
		}
	}
	if st := rec.Stats(); st.Recorded != 15 {
		t.Errorf("%d spans were recorded: others than the traced message's", st.Recorded)
	}
}

// A commit that fails shows, and nothing after it.
func TestTracedFailure(t *testing.T) {
	rec := trace.New(trace.Options{})
	h := newHarness(t, func(c *Config) { c.Traces = rec })
	h.befriend(1, 2)
	cmd := func(id im.TraceID, cs im.ClientSeq) {
		h.do("send", im.User(1), &im.Send{To: 2, Device: 1, ClientSeq: cs, Content: text("x"), Trace: &im.Trace{ID: id}})
	}
	cmd(5, 1)
	h.core.Done(h.now, h.cut(), &store.SlotError{Slots: []im.Slot{im.User(1).Slot()}})
	want := "mailbox.queue@1 mailbox.apply@1 mailbox.batch@1 mailbox.commit@1!"
	if got := steps(rec, 5); got != want {
		t.Errorf("fenced: %s", got)
	}
	h.own()
	cmd(6, 1)
	h.load()
	h.core.Done(h.now, h.cut(), fmt.Errorf("no space"))
	if got := steps(rec, 6); got != want {
		t.Errorf("failed: %s", got)
	}
}
