package sim

import (
	"slices"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// tie is a role link: a connection between a gateway process and a mailbox
// process, in order both ways until it breaks. Then everything under way is
// lost from some point on; the gateway notices and tells its sessions, and the
// mailbox's side detaches them when it notices, sooner or later.
type tie struct {
	w    *world
	g    *gateway
	life int
	n    *node
	// cores are the node's at the time: another process has others.
	cores []*core
	// upAt and downAt are when the last thing sent arrives.
	upAt, downAt time.Duration
	// cut directions carry nothing any more.
	cutUp, cutDown bool
	// calls are those without an answer, in order.
	calls []*roleCall
	// sinks are the sessions that the gateway has by this tie, tied those
	// that the mailbox has.
	sinks, tied []*tiedSink
}

// roleCall is a command on its way through a tie.
type roleCall struct {
	to   im.Addr
	cmd  im.Command
	done im.Completion
	sink *tiedSink
}

// tiedSink is a session's sink at the mailbox's side of a tie.
type tiedSink struct {
	t    *tie
	c    *conn
	id   im.SessionID
	sink im.Sink
}

// errTie is what a gateway makes of a mailbox that it has no tie to.
var errTie = &im.Error{Kind: im.Unavailable, RetryAfterMS: 100, Detail: "simulated: the role link is down"}

// connect ties a gateway to a node, now or when both are up.
func (g *gateway) connect(n *node) {
	w, life := g.w, g.life
	if !n.up || n.stalled > w.now {
		w.after(w.between(5*time.Millisecond, 300*time.Millisecond), func() {
			if g.life == life {
				g.connect(n)
			}
		})
		return
	}
	g.ties[n.id] = &tie{w: w, g: g, life: life, n: n, cores: n.cores}
}

// lag is how long something is under way; what is behind it waits.
func (t *tie) lag() time.Duration {
	if t.w.fault(t.w.plan.stallTie) {
		return t.w.between(0, time.Second)
	}
	return t.w.between(0, t.w.plan.lag)
}

// up sends something to the node.
func (t *tie) up(f func()) {
	w := t.w
	t.upAt = max(t.upAt, w.now+t.lag())
	w.at(t.upAt, func() {
		if !t.cutUp && !t.cores[0].dead {
			f()
		}
	})
}

// down sends something to the gateway.
func (t *tie) down(f func()) {
	w := t.w
	t.downAt = max(t.downAt, w.now+t.lag())
	w.at(t.downAt, func() {
		if !t.cutDown && t.g.life == t.life {
			f()
		}
	})
}

// submit carries a command to the node's core, and the answer back.
func (t *tie) submit(call *roleCall) {
	t.calls = append(t.calls, call)
	to, carried := call.to, call.cmd
	switch cmd := carried.(type) {
	case *im.Attach:
		call.sink.t = t
		t.w.logf("session %d of %v: is asked for by gateway %d at node %d, resuming %+v", cmd.Session, call.sink.c.dev, t.g.id, t.n.id, cmd.Resume)
		t.sinks = append(t.sinks, call.sink)
		attach := *cmd
		attach.Sink = call.sink
		carried = &attach
	case *im.Detach:
		t.sinks = without(t.sinks, cmd.Session)
	}
	t.up(func() {
		t.arrived(carried, call.sink)
		t.w.submit(t.cores[int(to.Slot())%len(t.cores)], to, carried, func(res im.Result, err error) {
			if call.sink != nil {
				t.granted(call.sink, err)
			}
			t.down(func() { t.answer(call, res, err) })
		})
	})
}

func without(list []*tiedSink, id im.SessionID) []*tiedSink {
	return slices.DeleteFunc(list, func(s *tiedSink) bool { return s.id == id })
}

// arrived keeps the mailbox's list of the sessions of the tie.
func (t *tie) arrived(cmd im.Command, sink *tiedSink) {
	switch cmd := cmd.(type) {
	case *im.Attach:
		t.tied = append(t.tied, sink)
		sink.c.dev.rivals(sink.c, cmd)
	case *im.Detach:
		t.tied = without(t.tied, cmd.Session)
	}
}

// granted is what the mailbox has said to an Attach.
func (t *tie) granted(s *tiedSink, err error) {
	if err != nil {
		t.tied = without(t.tied, s.id)
		return
	}
	s.c.core = t.cores[int(s.c.dev.user.addr.Slot())%len(t.cores)]
}

// answer hands an answer to the gateway.
func (t *tie) answer(call *roleCall, res im.Result, err error) {
	t.calls = slices.DeleteFunc(t.calls, func(c *roleCall) bool { return c == call })
	if call.sink != nil && err != nil {
		t.sinks = without(t.sinks, call.sink.id)
	}
	t.w.logf("gateway %d: %T by node %d: %+v, %v", t.g.id, call.cmd, t.n.id, res, err)
	t.g.complete(call, res, err)
}

// sever breaks the tie. The gateway notices after a while.
func (t *tie) sever(notice time.Duration) {
	w := t.w
	w.logf("the tie of gateway %d and node %d is cut", t.g.id, t.n.id)
	t.cutUp = true
	t.cutDown = t.cutDown || w.chance(0.5)
	w.after(w.between(0, notice), t.broken)
	w.after(w.between(0, 3*time.Second), t.detach)
}

// broken: the gateway finds out.
func (t *tie) broken() {
	g := t.g
	if g.life != t.life || g.ties[t.n.id] != t {
		return
	}
	t.w.logf("gateway %d: has lost node %d, with %d calls and %d sessions", g.id, t.n.id, len(t.calls), len(t.sinks))
	t.cutUp, t.cutDown = true, true
	g.ties[t.n.id] = nil
	calls, sinks := t.calls, t.sinks
	t.calls, t.sinks = nil, nil
	kick := func() {
		for _, s := range sinks {
			s.sink.Kick(im.CloseUnavailable, "the role link broke")
		}
	}
	first := t.w.chance(0.5)
	if first {
		kick()
	}
	for _, c := range calls {
		c.done.Complete(c.cmd, nil, errTie)
	}
	if !first {
		kick()
	}
	g.connect(t.n)
}

// detach: the mailbox finds out.
func (t *tie) detach() {
	if t.cores[0].dead {
		return
	}
	tied := t.tied
	t.tied = nil
	for _, s := range tied {
		a := s.c.dev.user.addr
		t.w.submit(t.cores[int(a.Slot())%len(t.cores)], a, &im.Detach{Session: s.id}, func(im.Result, error) {})
	}
}

// Deliver implements im.Sink.
func (s *tiedSink) Deliver(first, last im.Seq, entries [][]byte) {
	w := s.t.w
	if gone := s.check(first, last, entries); gone && w.defect == GoneUnsaid {
		return
	}
	w.logf("session %d of %v: deliver %d..%d", s.id, s.c.dev, first, last)
	if w.defect == CursorAhead {
		w.submit(s.c.core, s.c.dev.user.addr, &im.AckDelivered{Device: s.c.dev.id, Session: s.id, Seq: last}, func(im.Result, error) {})
	}
	if w.defect == OldDeliveries {
		w.after(w.between(0, 500*time.Millisecond), func() { s.late(entries) })
	}
	s.t.down(func() { s.sink.Deliver(first, last, entries) })
}

// late hands entries to the connection if the session is none of its any more.
func (s *tiedSink) late(entries [][]byte) {
	if s.sink != s.c.newest {
		_ = s.c.Send(wire.AppendDeliverFrame(nil, entries))
	}
}

// check holds a delivery against what is durable, and reports whether it says
// that entries are gone.
func (s *tiedSink) check(first, last im.Seq, entries [][]byte) (gone bool) {
	w, l := s.t.w, s.t.w.ledger(s.c.dev.user.addr)
	if len(entries) > 0 && l.checkGone(s.c.dev, first, last, entries) {
		return true
	}
	switch {
	case last != first+im.Seq(len(entries))-1 || len(entries) == 0:
		w.fail("session %d: a delivery says %d..%d and has %d entries", s.id, first, last, len(entries))
	case len(entries) > max(1, w.plan.core.WindowEntries):
		w.fail("session %d: a delivery of %d entries is over the window of %d", s.id, len(entries), w.plan.core.WindowEntries)
	}
	for i, e := range entries {
		l.checkVisible(s.c.dev, first+im.Seq(i), e)
	}
	return false
}

// Kick implements im.Sink.
func (s *tiedSink) Kick(code im.CloseCode, reason string) {
	if s.t.w.defect == LeavesSilently && code == im.CloseUnavailable {
		return
	}
	s.t.w.logf("session %d of %v: kicked: %d %s", s.id, s.c.dev, code, reason)
	s.t.tied = without(s.t.tied, s.id)
	s.t.down(func() {
		s.t.sinks = without(s.t.sinks, s.id)
		s.sink.Kick(code, reason)
	})
}
