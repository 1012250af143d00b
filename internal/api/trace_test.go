package api

import (
	"testing"

	"connectrpc.com/connect"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/trace"
	"github.com/skein-im/skein/internal/wire"
)

// A message over HTTP is traced when its sender asks for it.
func TestSendIsTraced(t *testing.T) {
	rec := trace.New(trace.Options{})
	f := newFixture(t, func(c *Config) { c.Sampler, c.Traces = trace.NewSampler(0, nil, 1), rec })
	srv := f.server(t, nil)
	token, _ := befriend(t, f.mailbox)
	one := dial(srv, token)
	id := im.TraceID(0xabc).Forced()
	send := func(seq uint64, trace string) error {
		_, err := one.Send(t.Context(), connect.NewRequest(&skeinv1.SendRequest{To: 2, ClientSeq: seq, Content: text("x"), Trace: trace}))
		return err
	}
	if err := send(1, id.String()); err != nil {
		t.Fatal(err)
	}
	if err := send(2, ""); err != nil {
		t.Fatal(err)
	}
	wantError(t, "half an id", send(3, "abc"), connect.CodeInvalidArgument, im.Invalid)
	if spans := rec.Spans(id); len(spans) != 1 || spans[0].Step != trace.Send || spans[0].Seq != 1 || spans[0].Error != 0 {
		t.Errorf("spans %+v", spans)
	}
	// What fails says why.
	if err := send(9, id.String()); err == nil {
		t.Error("a gap is accepted")
	}
	if spans := rec.Spans(id); len(spans) != 2 || spans[1].Error != im.SequenceGap {
		t.Errorf("spans %+v", spans)
	}
	if st := rec.Stats(); st.Recorded != 2 {
		t.Errorf("%d spans", st.Recorded)
	}
}

func TestPollsAreTraced(t *testing.T) {
	rec := trace.New(trace.Options{})
	f := newFixture(t, func(c *Config) { c.Traces = rec })
	f.handedOut(7, [][]byte{
		wire.AppendEntry(nil, &wire.Entry{Seq: 4, Kind: wire.EntryMessage, Trace: 5}),
		wire.AppendEntry(nil, &wire.Entry{Seq: 5, Kind: wire.EntryMessage}),
	})
	if spans := rec.Spans(5); len(spans) != 1 || spans[0].Step != trace.Deliver || spans[0].Seq != 4 || rec.Stats().Recorded != 1 {
		t.Errorf("spans %+v", spans)
	}
}
