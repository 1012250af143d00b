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

// slow is a mailbox whose Submit takes as long as a test wants: that of a command
// for which hold is true says so, and waits.
type slow struct {
	*mailbox
	hold          func(cmd im.Command) bool
	held, proceed chan struct{}
}

func (m *slow) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	if m.hold(cmd) {
		m.held <- struct{}{}
		<-m.proceed
	}
	m.mailbox.Submit(to, cmd, done)
}

func newSlowRig(t *testing.T, hold func(cmd im.Command) bool) (*rig, *slow) {
	m := &slow{&mailbox{cmds: make(chan submitted, 2*im.SendWindow)}, hold, make(chan struct{}), make(chan struct{})}
	r := newRig(t, func(g *Config, _ *link.Config) { g.Mailbox = m })
	r.mbox = m.mailbox
	return r, m
}

// A send that comes while those before it are being repeated waits behind them.
func TestSendsWaitBehindRepeats(t *testing.T) {
	r, m := newSlowRig(t, func(cmd im.Command) bool {
		s, ok := cmd.(*im.Send)
		return ok && s.Session == 2 && s.ClientSeq == 1
	})
	c, sink := r.login(t)
	sink.Kick(im.CloseUnavailable, "moving")
	attach, _ := r.takeResume(t, 1, 2, 0)
	c.write(append(sendFrame(1, text("x")), sendFrame(2, text("x"))...))
	c.roundTrip()
	resumed := make(chan struct{})
	go func() {
		attach.complete(&im.Attached{}, nil)
		close(resumed)
	}()
	<-m.held
	c.write(sendFrame(3, text("x")))
	c.roundTrip()
	r.quiet(t)
	m.proceed <- struct{}{}
	<-resumed
	for seq := range im.ClientSeq(3) {
		if _, cmd := takeAs[*im.Send](t, r); cmd.ClientSeq != seq+1 {
			t.Errorf("send %d, want %d", cmd.ClientSeq, seq+1)
		}
	}
}

// Detach does not overtake the Attach of a session that leaves meanwhile.
func TestDetachComesBehindAttach(t *testing.T) {
	r, m := newSlowRig(t, func(cmd im.Command) bool {
		a, ok := cmd.(*im.Attach)
		return ok && a.Resume != nil
	})
	c, sink := r.login(t)
	sink.Kick(im.CloseUnavailable, "moving")
	<-m.held
	c.write(wire.AppendFrame(nil, wire.TypeClose, nil))
	c.expectClose(im.CloseNormal)
	r.quiet(t)
	m.proceed <- struct{}{}
	s, _ := r.takeResume(t, 1, 2, 0)
	r.takeDetach(t, 2)
	s.complete(&im.Attached{}, nil)
	c.Close()
	r.stop(t)
	r.quiet(t)
}

// A session is not resumed before everything that the mailbox had of it is
// answered: what is under way could be applied after what is repeated.
func TestResumptionWaitsForAnswers(t *testing.T) {
	planned := make(chan func(), 1)
	r := newRig(t, func(g *Config, _ *link.Config) {
		g.After = func(_ time.Duration, f func()) func() bool {
			planned <- f
			return func() bool { return false }
		}
	})
	c, sink := r.login(t)
	c.write(append(append(sendFrame(1, text("x")), ackFrame(0)...), pullFrame(0)...))
	c.roundTrip()
	sink.Kick(im.CloseUnavailable, "moving")
	for _, s := range []submitted{r.take(t), r.take(t), r.take(t)} {
		if len(planned) != 0 {
			t.Errorf("resumed before %T was answered", s.cmd)
		}
		s.complete(nil, errGone)
	}
	(<-planned)()
	r.takeResume(t, 1, 2, 0)
}

// An attempt that was planned for a session which has left is none, and takes no
// room from others.
func TestPlannedAttemptAfterTheEnd(t *testing.T) {
	planned := make(chan func(), 1)
	r := newRig(t, func(g *Config, _ *link.Config) {
		g.MaxAttaching = 1
		g.After = func(_ time.Duration, f func()) func() bool {
			planned <- f
			return func() bool { return false }
		}
	})
	c, sink := r.login(t)
	sink.Kick(im.CloseUnavailable, "moving")
	c.write(wire.AppendFrame(nil, wire.TypeClose, nil))
	c.expectClose(im.CloseNormal)
	r.takeDetach(t, 1)
	(<-planned)()
	r.quiet(t)
	if d, _ := r.login(t); d != nil {
		d.roundTrip()
	}
}

// Who waits for its login is closed for its silence like everybody else.
func TestWaitingLoginsMustNotBeSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(g *Config, _ *link.Config) { g.MaxAttaching = 1 })
		first := r.hail(t)
		r.take(t)
		_ = first.SetReadDeadline(time.Time{})
		second := r.dial(t)
		_ = second.SetReadDeadline(time.Time{})
		begin := time.Now()
		second.write(message(t, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: secret}))
		second.expectClose(im.CloseIdle)
		if took := time.Since(begin); took != link.DefaultIdle {
			t.Errorf("closed after %v", took)
		}
		first.Close()
		second.Close()
		r.takeDetach(t, 1)
		r.stop(t)
		r.quiet(t)
		if g := &r.g.gate; g.first != nil || g.logins != 0 {
			t.Errorf("the gate is left as %+v", g)
		}
	})
}
