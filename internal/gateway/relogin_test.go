package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// A login whose mailbox is away is tried again. It does not replace what the
// device may have found elsewhere meanwhile, and its cursor counts as an ack
// all the same.
func TestLoginTriesAgain(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial(t)
	cursor := uint64(41)
	c.write(message(t, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: secret, Cursor: &cursor}))
	s, attach := takeAs[*im.Attach](t, r)
	if attach.Resume != nil || *attach.Cursor != 41 {
		t.Errorf("attached %+v", attach)
	}
	first := attach.Sink
	s.complete(nil, errGone)
	s, attach = r.takeResume(t, 1, 2, 41)
	first.Kick(im.CloseReplaced, "the device connected again")
	s.complete(&im.Attached{Cursor: 41, Head: 42}, nil)
	var w skeinv1.Welcome
	c.readMessage(wire.TypeWelcome, &w)
	if w.Cursor != 41 || w.Head != 42 {
		t.Errorf("welcome %v", &w)
	}
	ack, a := takeAs[*im.AckDelivered](t, r)
	if a.Seq != 41 || a.Session != 2 {
		t.Errorf("%+v", a)
	}
	ack.complete(nil, nil)
	attach.Sink.Deliver(42, 42, entriesOf(42, 1))
	c.readEntries(1)
	r.quiet(t)
}

// A login that finds a newer session when it is tried again may be the newer one
// all the same, by the clock of another gateway: the client comes back.
func TestLoginThatIsOutdated(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial(t)
	cursor := uint64(41)
	c.write(message(t, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: secret, Cursor: &cursor}))
	r.take(t).complete(nil, errGone)
	s, _ := r.takeResume(t, 1, 2, 41)
	s.complete(nil, im.Errorf(im.Conflict, "the device connected again"))
	c.expectClose(im.CloseUnavailable)
	c.Close()
	r.stop(t)
	r.quiet(t)
}

func TestLoginGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(g *Config, _ *link.Config) { g.Now = time.Now })
		c := r.dial(t)
		_ = c.SetReadDeadline(time.Time{})
		cursor := uint64(41)
		c.write(message(t, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: secret, Cursor: &cursor}))
		begin, n := time.Now(), 0
		for ; r.g.Stats().LoginRefused[im.Unavailable] == 0; n++ {
			r.take(t).complete(nil, errGone)
		}
		c.expectClose(im.CloseUnavailable)
		if took := time.Since(begin); took < DefaultLoginFor/2 || took > DefaultLoginFor || n < 5 {
			t.Errorf("%d attempts in %v", n, took)
		}
		c.Close()
		r.stop(t)
		r.quiet(t)
	})
}

// While mailboxes move, sessions ask again soon, but not for ever: when nobody is
// there for long, they ask as rarely as of any other mailbox that is away.
func TestBackoff(t *testing.T) {
	r := newRig(t, func(g *Config, _ *link.Config) { g.Rand = func(n int64) int64 { return n - 1 } })
	moving, away := &session{g: r.g}, &session{g: r.g}
	total := time.Duration(0)
	for range movingTries {
		d := moving.backoff(&im.Error{Kind: im.Unavailable, Elsewhere: true})
		if total += d; d > movingBackoff {
			t.Errorf("while mailboxes move, the next attempt comes after %v", d)
		}
		away.backoff(errGone)
	}
	if total < 4*time.Second {
		t.Errorf("a move may take %v", total)
	}
	for _, s := range []*session{moving, away} {
		if d := s.backoff(&im.Error{Kind: im.Unavailable, Elsewhere: true}); d < maxBackoff-time.Millisecond {
			t.Errorf("in the end the next attempt comes after %v", d)
		}
	}
}
