package gateway

import (
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

var errGone = &im.Error{Kind: im.Unavailable, Detail: "the mailbox is moving", RetryAfterMS: 100}

// takeResume is the Attach that resumes a session under a new id.
func (r *rig) takeResume(t testing.TB, old, id im.SessionID, after im.Seq) (submitted, *im.Attach) {
	t.Helper()
	s, cmd := takeAs[*im.Attach](t, r)
	switch {
	case cmd.Resume == nil || *cmd.Resume != (im.Resume{Session: old, After: after}) || cmd.Session != id:
		t.Fatalf("session %d resumes %+v, want %d and %d after %d", cmd.Session, cmd.Resume, id, old, after)
	case s.to != im.User(alice) || cmd.Device != phone || cmd.TokenHash != hash || cmd.Cursor != nil || cmd.Poll || cmd.Login != 1790000000123:
		t.Fatalf("resumed with %+v at %v", cmd, s.to)
	}
	return s, cmd
}

// readEntries reads Deliver frames until there are n entries.
func (c *client) readEntries(n int) []im.Seq {
	c.t.Helper()
	var seqs []im.Seq
	for len(seqs) < n {
		err := wire.RangeDeliver(c.read(wire.TypeDeliver), func(b []byte) error {
			var e wire.Entry
			err := e.Unmarshal(b)
			seqs = append(seqs, e.Seq)
			return err
		})
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return seqs
}

// A connection whose mailbox goes away and comes back sees each entry once,
// whatever the sessions it had are told meanwhile and later.
func TestResume(t *testing.T) {
	r := newRig(t, nil)
	c, first := r.login(t)
	first.Deliver(1, 3, entriesOf(1, 1, 1, 1))
	c.write(sendFrame(1, text("x")))
	r.take(t).complete(&im.Sent{Seq: 4, ClientSeq: 1, InTimeline: true}, nil)
	first.Kick(im.CloseUnavailable, "moving")
	first.Deliver(5, 5, entriesOf(5, 1))
	first.Kick(im.CloseUnavailable, "moving")
	if st := r.g.Stats(); st.Sessions != 1 || st.Resuming != 1 {
		t.Errorf("stats %+v", st)
	}
	s, attach := r.takeResume(t, 1, 2, 4)
	if attach.Sink == first {
		t.Error("both sessions have one sink")
	}
	s.complete(&im.Attached{Cursor: 4, Head: 6}, nil)
	first.Deliver(5, 5, entriesOf(5, 1))
	attach.Sink.Deliver(5, 5, entriesOf(5, 1))
	first.Kick(im.CloseReplaced, "the device connected again")
	attach.Sink.Deliver(6, 6, entriesOf(6, 1))
	if seqs := c.readEntries(3); !slices.Equal(seqs, []im.Seq{1, 2, 3}) {
		t.Errorf("entries %d", seqs)
	}
	c.readSendAck()
	if seqs := c.readEntries(2); !slices.Equal(seqs, []im.Seq{5, 6}) {
		t.Errorf("entries %d", seqs)
	}
	attach.Sink.Kick(im.CloseUnavailable, "moving")
	s, second := r.takeResume(t, 2, 3, 6)
	s.complete(&im.Attached{Cursor: 6, Head: 6}, nil)
	attach.Sink.Kick(im.CloseReplaced, "the device connected again")
	c.roundTrip()
	if st := r.g.Stats(); st.Sessions != 1 || st.Resuming != 0 || st.Resumed != 2 || st.Logins != 1 {
		t.Errorf("stats %+v", st)
	}
	second.Sink.Kick(im.CloseReplaced, "the device connected again")
	c.expectClose(im.CloseReplaced)
	c.Close()
	r.takeDetach(t, 3)
}

// Sends whose fate is unknown go again, in order and before later ones, once
// the mailbox has none of them any more.
func TestResumeRepeatsSends(t *testing.T) {
	r := newRig(t, nil)
	c, sink := r.login(t)
	var sends []submitted
	for seq := range im.ClientSeq(4) {
		c.write(sendFrame(seq+1, text("x")))
		sends = append(sends, r.take(t))
	}
	sends[1].complete(nil, errGone)
	c.write(sendFrame(5, text("x")))
	c.write(append(ackFrame(1), ackFrame(2)...))
	c.roundTrip()
	sink.Kick(im.CloseUnavailable, "moving")
	// The answer is good, but does not stand for the entry: the ones before
	// may be among those that were dropped.
	sends[0].complete(&im.Sent{Seq: 9, ClientSeq: 1, InTimeline: true}, nil)
	if ack := c.readSendAck(); ack.ClientSeq != 1 || ack.Seq != 9 || ack.InTimeline {
		t.Errorf("ack %+v", ack)
	}
	sends[3].complete(nil, &im.Error{Kind: im.SequenceGap, Expected: 2})
	r.quiet(t)
	sends[2].complete(nil, errGone)
	s, _ := r.takeResume(t, 1, 2, 0)
	c.write(append(sendFrame(6, text("x")), pullFrame(0)...))
	c.roundTrip()
	r.quiet(t)
	s.complete(&im.Attached{}, nil)
	for seq := range im.ClientSeq(5) {
		s, cmd := takeAs[*im.Send](t, r)
		if cmd.ClientSeq != seq+2 || cmd.Session != 2 || string(cmd.Content.Body) != "x" {
			t.Errorf("send %+v, want client_seq %d", cmd, seq+2)
		}
		s.complete(&im.Sent{ClientSeq: cmd.ClientSeq}, nil)
		if ack := c.readSendAck(); ack.ClientSeq != cmd.ClientSeq || ack.Error != nil {
			t.Errorf("ack %+v", ack)
		}
	}
	ack, a := takeAs[*im.AckDelivered](t, r)
	pull, p := takeAs[*im.Redeliver](t, r)
	if a.Session != 2 || a.Seq != 2 || p.Session != 2 || p.Seq != 0 {
		t.Errorf("%+v, %+v", a, p)
	}
	ack.complete(nil, nil)
	pull.complete(nil, nil)
	r.quiet(t)
}

// An entry that the connection has been handed exists, and a device that was
// attached is known: a mailbox that says otherwise may have been replaced
// without noticing.
func TestOutdatedMailbox(t *testing.T) {
	for _, frame := range [][]byte{ackFrame(5), pullFrame(5)} {
		for _, kind := range []im.ErrorKind{im.Invalid, im.Unauthenticated} {
			r := newRig(t, nil)
			c, sink := r.login(t)
			sink.Deliver(1, 5, entriesOf(1, 1, 1, 1, 1, 1))
			c.read(wire.TypeDeliver)
			c.write(frame)
			r.take(t).complete(nil, im.Errorf(kind, "entry 5 does not exist yet"))
			s, _ := r.takeResume(t, 1, 2, 5)
			s.complete(nil, im.Errorf(im.Unauthenticated, "it is so"))
			c.expectClose(im.CloseUnauthenticated)
		}
	}
}

// The window holds while the mailbox is away, and what was taken of it stays
// taken.
func TestWindowWhileResuming(t *testing.T) {
	r := newRig(t, nil)
	c, sink := r.login(t)
	c.write(sendFrame(1, text("x")))
	first := r.take(t)
	sink.Kick(im.CloseUnavailable, "moving")
	for i := range im.ClientSeq(im.SendWindow) {
		c.write(sendFrame(i+2, text("x")))
	}
	if ack := c.readSendAck(); ack.ClientSeq != im.SendWindow+1 || im.KindOf(ack.Error) != im.Busy {
		t.Errorf("ack %+v", ack)
	}
	first.complete(nil, errGone)
	s, _ := r.takeResume(t, 1, 2, 0)
	s.complete(&im.Attached{}, nil)
	for i := range im.ClientSeq(im.SendWindow) {
		if _, cmd := takeAs[*im.Send](t, r); cmd.ClientSeq != i+1 {
			t.Fatalf("send %d, want %d", cmd.ClientSeq, i+1)
		}
	}
	c.roundTrip()
	r.quiet(t)
}

// What a client is shown moves with what it asks for and says to have.
func TestResumeAfterAcksAndPulls(t *testing.T) {
	for name, tc := range map[string]struct {
		frame []byte
		err   error
		after im.Seq
		// again is what the new session is told.
		again im.Command
	}{
		"pulled":              {pullFrame(2), nil, 2, nil},
		"not pulled":          {pullFrame(2), errGone, 5, &im.Redeliver{Session: 2, Seq: 2}},
		"has more":            {ackFrame(7), nil, 7, &im.AckDelivered{Device: phone, Session: 2, Seq: 7}},
		"has more, not heard": {ackFrame(7), errGone, 5, &im.AckDelivered{Device: phone, Session: 2, Seq: 7}},
		"acknowledges a part": {ackFrame(3), nil, 5, &im.AckDelivered{Device: phone, Session: 2, Seq: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			c, sink := r.login(t)
			sink.Deliver(1, 5, entriesOf(1, 1, 1, 1, 1, 1))
			c.read(wire.TypeDeliver)
			c.write(tc.frame)
			r.take(t).complete(nil, tc.err)
			sink.Kick(im.CloseUnavailable, "moving")
			s, _ := r.takeResume(t, 1, 2, tc.after)
			s.complete(&im.Attached{Cursor: tc.after}, nil)
			if tc.again != nil {
				s := r.take(t)
				if !reflect.DeepEqual(s.cmd, tc.again) {
					t.Errorf("got %+v, want %+v", s.cmd, tc.again)
				}
				s.complete(nil, nil)
			}
			c.roundTrip()
			r.quiet(t)
		})
	}
}

func TestResumeTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(g *Config, _ *link.Config) {
			g.ResumeFor, g.Now = 20*time.Second, time.Now
			g.Rand = func(n int64) int64 { return n - 1 }
		})
		c, sink := r.login(t)
		_ = c.SetReadDeadline(time.Time{})
		begin := time.Now()
		sink.Kick(im.CloseUnavailable, "moving")
		var waits []time.Duration
		kinds := []im.ErrorKind{im.Unavailable, im.Busy}
		for id, last := im.SessionID(2), begin; ; id++ {
			synctest.Wait()
			if len(r.mbox.cmds) == 0 && time.Since(begin) > 20*time.Second {
				break
			}
			s, cmd := takeAs[*im.Attach](t, r)
			if cmd.Session != id || cmd.Resume.Session != id-1 {
				t.Errorf("session %d resumes %d", cmd.Session, cmd.Resume.Session)
			}
			waits = append(waits, time.Since(last).Round(time.Millisecond))
			last = time.Now()
			s.complete(nil, im.Errorf(kinds[id%2], "no"))
			if r.g.Stats().Unresumed != 0 {
				break
			}
		}
		if waits[0] > 20*time.Millisecond || waits[2] < 50*time.Millisecond || slices.Max(waits) > 5*time.Second {
			t.Errorf("waited for %v", waits)
		}
		if m := c.expectClose(im.CloseUnavailable); m.RetryAfterMs == 0 {
			t.Errorf("closed with %v", m)
		}
		if took := time.Since(begin); took < 15*time.Second || took > 20*time.Second {
			t.Errorf("gave up after %v", took)
		}
		c.Close()
		r.stop(t)
		r.quiet(t)
	})
}

func TestResumeRefused(t *testing.T) {
	for kind, code := range map[im.ErrorKind]im.CloseCode{
		im.Conflict: im.CloseReplaced, im.Unauthenticated: im.CloseUnauthenticated,
		im.Invalid: im.CloseInternal, im.Internal: im.CloseInternal,
	} {
		r := newRig(t, nil)
		c, sink := r.login(t)
		c.write(sendFrame(1, text("x")))
		r.take(t).complete(nil, errGone)
		sink.Kick(im.CloseUnavailable, "moving")
		s, _ := r.takeResume(t, 1, 2, 0)
		s.complete(nil, im.Errorf(kind, "no"))
		c.expectClose(code)
		c.Close()
		r.stop(t)
		r.quiet(t)
		if st := r.g.Stats(); st.Unresumed != 1 || st.Resuming != 0 {
			t.Errorf("stats %+v", st)
		}
	}
}

// A client may go at any moment of a resumption: what the mailbox may have of
// the session is detached, and nothing follows.
func TestClientGoesWhileResuming(t *testing.T) {
	for name, act := range map[string]func(t *testing.T, r *rig, c *client, sink im.Sink){
		"before the mailbox is asked": func(t *testing.T, r *rig, c *client, sink im.Sink) {
			c.write(sendFrame(1, text("x")))
			send := r.take(t)
			sink.Kick(im.CloseUnavailable, "moving")
			c.Close()
			r.takeDetach(t, 1)
			send.complete(nil, errGone)
		},
		"while it is asked": func(t *testing.T, r *rig, c *client, _ im.Sink) {
			c.write(sendFrame(1, text("x")))
			r.take(t).complete(nil, errGone)
			s, _ := r.takeResume(t, 1, 2, 0)
			c.Close()
			r.takeDetach(t, 2)
			s.complete(&im.Attached{}, nil)
		},
		"while it waits": func(t *testing.T, r *rig, c *client, sink im.Sink) {
			sink.Kick(im.CloseUnavailable, "moving")
			s, _ := r.takeResume(t, 1, 2, 0)
			s.complete(nil, &im.Error{Kind: im.Busy, RetryAfterMS: 10000})
			c.Close()
			r.takeDetach(t, 2)
		},
		"when it says goodbye": func(t *testing.T, r *rig, c *client, sink im.Sink) {
			sink.Kick(im.CloseUnavailable, "moving")
			s, _ := r.takeResume(t, 1, 2, 0)
			c.write(wire.AppendFrame(nil, wire.TypeClose, nil))
			c.expectClose(im.CloseNormal)
			r.takeDetach(t, 2)
			s.complete(nil, errGone)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			c, sink := r.login(t)
			act(t, r, c, sink)
			c.Close()
			r.stop(t)
			r.quiet(t)
		})
	}
}

// The mailbox may lose a session before it has said that it is attached.
func TestLostWhileResuming(t *testing.T) {
	r := newRig(t, nil)
	c, sink := r.login(t)
	sink.Kick(im.CloseUnavailable, "moving")
	s, attach := r.takeResume(t, 1, 2, 0)
	attach.Sink.Kick(im.CloseUnavailable, "moving")
	s.complete(&im.Attached{}, nil)
	s, attach = r.takeResume(t, 2, 3, 0)
	s.complete(&im.Attached{}, nil)
	attach.Sink.Deliver(1, 1, entriesOf(1, 1))
	c.readEntries(1)
}
