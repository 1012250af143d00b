package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

func TestUnexpectedFramesOfALiveSession(t *testing.T) {
	for _, typ := range allTypes() {
		switch typ {
		case wire.TypePing, wire.TypeSend, wire.TypeAck, wire.TypePull, wire.TypeCall, wire.TypeShake, wire.TypeClose:
			continue
		}
		r := newRig(t, nil)
		c, _ := r.login(t)
		c.write(wire.AppendFrame(nil, typ, nil))
		c.expectClose(im.CloseProtocol)
		c.Close()
		r.takeDetach(t, 1)
	}
}

func TestMalformedPayloads(t *testing.T) {
	for _, typ := range []wire.Type{wire.TypeSend, wire.TypeAck, wire.TypePull, wire.TypeCall, wire.TypeShake} {
		r := newRig(t, nil)
		c, _ := r.login(t)
		c.write(wire.AppendFrame(nil, typ, []byte{0x0a}))
		c.expectClose(im.CloseProtocol)
		c.Close()
		r.takeDetach(t, 1)
	}
}

func TestGoodbye(t *testing.T) {
	r := newRig(t, nil)
	c, _ := r.login(t)
	c.write(wire.AppendFrame(nil, wire.TypeClose, nil))
	c.expectClose(im.CloseNormal)
	r.takeDetach(t, 1)
	c.Close()
	r.stop(t)
	r.quiet(t)
}

func TestSend(t *testing.T) {
	r := newRig(t, nil)
	c, _ := r.login(t)
	c.write(append(sendFrame(1, text("first")), sendFrame(2, im.Content{Type: im.ContentCustom, Body: []byte{0xff}})...))
	c.roundTrip()
	// The second is in the reader's buffer where the first was, or behind
	// it; the commands must not care.
	c.write(bytes.Repeat(wire.AppendPing(nil), 600))
	for range 600 {
		c.read(wire.TypePong)
	}
	s1, first := takeAs[*im.Send](t, r)
	s2, second := takeAs[*im.Send](t, r)
	if got := fmt.Sprint(s1.to, first.To, first.Device, first.Session, first.ClientSeq, first.Content.Type, string(first.Content.Body)); got != "user/4294967303 9 3 1 1 1first" {
		t.Errorf("first: %s", got)
	}
	if second.ClientSeq != 2 || second.Content.Type != im.ContentCustom || !bytes.Equal(second.Content.Body, []byte{0xff}) {
		t.Errorf("second: %+v", second)
	}
	s1.complete(&im.Sent{Seq: 70, ClientSeq: 1, PairID: 5, Time: 1790000000001, InTimeline: true}, nil)
	if got, want := c.readSendAck(), (wire.SendAck{ClientSeq: 1, Seq: 70, PairID: 5, Time: 1790000000001, InTimeline: true}); got != want {
		t.Errorf("ack %+v, want %+v", got, want)
	}
	s2.complete(nil, &im.Error{Kind: im.SequenceGap, Detail: "gap", Expected: 1})
	if got := c.readSendAck(); got.ClientSeq != 2 || got.Seq != 0 || *got.Error != (im.Error{Kind: im.SequenceGap, Detail: "gap", Expected: 1}) {
		t.Errorf("ack %+v, %v", got, got.Error)
	}
	if st := r.g.Stats(); st.Sends != 2 || st.Refused[im.SequenceGap] != 1 || st.FramesOut[wire.TypeSendAck] != 2 || st.FramesIn[wire.TypeSend] != 2 {
		t.Errorf("stats %+v", st)
	}
}

func TestSendRefusedHere(t *testing.T) {
	body := strings.Repeat("x", im.MaxBody)
	for name, tc := range map[string]struct {
		send wire.Send
		kind im.ErrorKind
	}{
		"no client_seq": {wire.Send{To: 9, Content: text("x")}, im.Invalid},
		"no receiver":   {wire.Send{ClientSeq: 4, Content: text("x")}, im.Invalid},
		"no content":    {wire.Send{To: 9, ClientSeq: 4}, im.Invalid},
		"unknown type":  {wire.Send{To: 9, ClientSeq: 4, Content: im.Content{Type: 3}}, im.Invalid},
		"not UTF-8":     {wire.Send{To: 9, ClientSeq: 4, Content: text("\xff")}, im.Invalid},
		"too large":     {wire.Send{To: 9, ClientSeq: 4, Content: text(body + "x")}, im.TooLarge},
		"just right":    {wire.Send{To: 9, ClientSeq: 4, Content: text(body)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			c, _ := r.login(t)
			c.write(wire.AppendSendFrame(nil, &tc.send))
			if tc.kind == 0 {
				_, cmd := takeAs[*im.Send](t, r)
				if len(cmd.Content.Body) != im.MaxBody {
					t.Errorf("%d bytes arrived", len(cmd.Content.Body))
				}
				return
			}
			if ack := c.readSendAck(); ack.ClientSeq != tc.send.ClientSeq || im.KindOf(ack.Error) != tc.kind {
				t.Errorf("ack %+v: %v", ack, ack.Error)
			}
			c.roundTrip()
			r.quiet(t)
		})
	}
}

func TestSendHidesForeignErrors(t *testing.T) {
	r := newRig(t, nil)
	c, _ := r.login(t)
	for i, outcome := range []struct {
		res im.Result
		err error
	}{{nil, errors.New("open /var/secret: no")}, {"not a Sent", nil}} {
		c.write(sendFrame(im.ClientSeq(i+1), text("x")))
		r.take(t).complete(outcome.res, outcome.err)
		if ack := c.readSendAck(); ack.Error == nil || ack.Error.Kind != im.Internal || strings.Contains(ack.Error.Detail, "secret") {
			t.Errorf("ack %+v: %v", ack, ack.Error)
		}
	}
}

func TestSendWindow(t *testing.T) {
	r := newRig(t, nil)
	c, _ := r.login(t)
	var frames []byte
	for i := range im.ClientSeq(im.SendWindow + 1) {
		frames = append(frames, sendFrame(i+1, text("x"))...)
	}
	c.write(frames)
	ack := c.readSendAck()
	if ack.ClientSeq != im.SendWindow+1 || im.KindOf(ack.Error) != im.Busy || ack.Error.RetryAfterMS == 0 {
		t.Fatalf("ack %+v: %v", ack, ack.Error)
	}
	// An answer makes room for one more, and no more.
	s, _ := takeAs[*im.Send](t, r)
	s.complete(&im.Sent{Seq: 1, ClientSeq: 1}, nil)
	if ack := c.readSendAck(); ack.ClientSeq != 1 || ack.Error != nil {
		t.Fatalf("ack %+v: %v", ack, ack.Error)
	}
	c.write(append(sendFrame(im.SendWindow+1, text("x")), sendFrame(im.SendWindow+2, text("x"))...))
	if ack := c.readSendAck(); ack.ClientSeq != im.SendWindow+2 || im.KindOf(ack.Error) != im.Busy {
		t.Fatalf("ack %+v: %v", ack, ack.Error)
	}
	if n := len(r.mbox.cmds); n != im.SendWindow {
		t.Errorf("%d sends wait, want %d", n, im.SendWindow)
	}
	if st := r.g.Stats(); st.Refused[im.Busy] != 2 {
		t.Errorf("%d refused as busy", st.Refused[im.Busy])
	}
}

// entriesOf are encoded entries with sequences from first on and bodies of the
// given sizes.
func entriesOf(first im.Seq, sizes ...int) [][]byte {
	var list [][]byte
	for i, n := range sizes {
		list = append(list, wire.AppendEntry(nil, &wire.Entry{Seq: first + im.Seq(i), Content: text(strings.Repeat("x", n))}))
	}
	return list
}

func TestDeliver(t *testing.T) {
	r := newRig(t, nil)
	c, sink := r.login(t)
	sizes := make([]int, 20)
	for i := range sizes {
		sizes[i] = im.MaxBody
	}
	sizes = append(sizes, 0, 1, 300<<10, 1)
	sink.Deliver(1, 24, entriesOf(1, sizes...))
	sink.Deliver(25, 25, entriesOf(25, 5))
	frames := 0
	for next := im.Seq(1); next <= 25; frames++ {
		payload := c.read(wire.TypeDeliver)
		n := 0
		err := wire.RangeDeliver(payload, func(b []byte) error {
			var e wire.Entry
			if err := e.Unmarshal(b); err != nil {
				return err
			}
			if e.Seq != next {
				t.Fatalf("entry %d instead of %d", e.Seq, next)
			}
			next++
			n++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(payload) > maxDeliver && n > 1 {
			t.Errorf("%d entries in a payload of %d bytes", n, len(payload))
		}
	}
	// 20 of 64 KiB and three small: three each; then the large one alone,
	// then one, then the second delivery.
	if frames != 10 {
		t.Errorf("%d frames, want 10", frames)
	}
}

func TestDeliverToASlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *Config, l *link.Config) { l.MaxQueue = 100 << 10 })
		_, sink := r.login(t)
		begin := time.Now()
		entries := entriesOf(1, 60<<10)
		for range 3 {
			sink.Deliver(1, 1, entries)
		}
		// At once, not when the goodbye has failed.
		r.takeDetach(t, 1)
		if took := time.Since(begin); took != 0 {
			t.Errorf("detached after %v", took)
		}
		sink.Deliver(1, 1, entries)
		r.stop(t)
		r.quiet(t)
		if st := r.g.Stats(); st.Slow != 1 {
			t.Errorf("%d slow connections", st.Slow)
		}
	})
}

func TestKick(t *testing.T) {
	r := newRig(t, nil)
	c, sink := r.login(t)
	sink.Kick(im.CloseReplaced, "the device connected again")
	if m := c.expectClose(im.CloseReplaced); m.Reason != "the device connected again" || m.RetryAfterMs != 0 {
		t.Errorf("closed with %v", m)
	}
	c.Close()
	r.takeDetach(t, 1)
}

func ackFrame(seq im.Seq) []byte  { return wire.AppendAckFrame(nil, &wire.Ack{Seq: seq}) }
func pullFrame(seq im.Seq) []byte { return wire.AppendPullFrame(nil, &wire.Pull{Seq: seq}) }

func TestAcksAndPullsGoOneAtATime(t *testing.T) {
	r := newRig(t, nil)
	c, _ := r.login(t)
	for seq := range im.Seq(5) {
		c.write(append(ackFrame(seq+1), pullFrame(seq+1)...))
	}
	c.roundTrip()
	ack, a := takeAs[*im.AckDelivered](t, r)
	pull, p := takeAs[*im.Redeliver](t, r)
	if a.Seq != 1 || a.Device != phone || a.Session != 1 || p.Seq != 1 || p.Session != 1 {
		t.Errorf("%+v, %+v", a, p)
	}
	r.quiet(t)
	ack.complete(nil, nil)
	pull.complete(nil, nil)
	ack, a = takeAs[*im.AckDelivered](t, r)
	pull, p = takeAs[*im.Redeliver](t, r)
	if a.Seq != 5 || p.Seq != 5 {
		t.Errorf("%+v, %+v, want the latest", a, p)
	}
	// Those on their way again hold the next ones up.
	c.write(append(ackFrame(6), pullFrame(6)...))
	c.roundTrip()
	r.quiet(t)
	ack.complete(nil, nil)
	pull.complete(nil, nil)
	ack, a = takeAs[*im.AckDelivered](t, r)
	pull, p = takeAs[*im.Redeliver](t, r)
	if a.Seq != 6 || p.Seq != 6 {
		t.Errorf("%+v, %+v", a, p)
	}
	ack.complete(nil, nil)
	pull.complete(nil, nil)
	r.quiet(t)
	c.write(ackFrame(7))
	if _, a = takeAs[*im.AckDelivered](t, r); a.Seq != 7 {
		t.Errorf("%+v", a)
	}
}

func TestErrorsOfAcksAndPulls(t *testing.T) {
	for kind, code := range map[im.ErrorKind]im.CloseCode{
		im.Invalid:  im.CloseProtocol,
		im.Internal: im.CloseInternal,
	} {
		for _, frame := range [][]byte{ackFrame(1), pullFrame(1)} {
			r := newRig(t, nil)
			c, _ := r.login(t)
			c.write(frame)
			r.take(t).complete(nil, im.Errorf(kind, "no"))
			c.expectClose(code)
			c.Close()
			r.takeDetach(t, 1)
		}
	}
}

func TestBusyMailboxIsAskedAgain(t *testing.T) {
	busy := &im.Error{Kind: im.Busy, RetryAfterMS: 200}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		c, _ := r.login(t)
		_ = c.SetReadDeadline(time.Time{})
		again := func(what string) {
			t.Helper()
			begin := time.Now()
			first := r.take(t)
			first.complete(nil, busy)
			second := r.take(t)
			if !reflect.DeepEqual(second.cmd, first.cmd) || time.Since(begin) != 200*time.Millisecond {
				t.Errorf("%s: %T came after %v", what, second.cmd, time.Since(begin))
			}
			second.complete(nil, nil)
		}
		c.write(ackFrame(1))
		again("ack")
		c.write(pullFrame(1))
		again("pull")
		c.Close()
		again("detach")
		if st := r.g.Stats(); st.Busy != 3 {
			t.Errorf("counted %d", st.Busy)
		}
		r.stop(t)
		r.quiet(t)
	})
}
