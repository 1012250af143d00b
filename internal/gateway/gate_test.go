package gateway

import (
	"testing"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// hail sends Hello and makes sure that it has arrived.
func (r *rig) hail(t testing.TB) *client {
	t.Helper()
	c := r.dial(t)
	c.write(message(t, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: secret}))
	c.roundTrip()
	return c
}

func TestLoginsAreBounded(t *testing.T) {
	r := newRig(t, func(g *Config, _ *link.Config) { g.MaxAttaching, g.MaxWaiting = 2, 2 })
	var clients []*client
	for range 4 {
		clients = append(clients, r.hail(t))
	}
	a, b := r.take(t), r.take(t)
	r.quiet(t)
	late := r.dial(t)
	late.write(message(t, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: secret}))
	if m := late.expectClose(im.CloseOverloaded); m.RetryAfterMs < crowdRetryMS {
		t.Errorf("closed with %v", m)
	}
	late.Close()
	// Who goes makes room, in the queue or at the mailbox.
	clients[2].write(wire.AppendFrame(nil, wire.TypeClose, nil))
	clients[2].expectClose(im.CloseNormal)
	clients = append(clients, r.hail(t))
	r.quiet(t)
	a.complete(&im.Attached{}, nil)
	clients[0].read(wire.TypeWelcome)
	c := r.take(t)
	r.quiet(t)
	b.complete(nil, im.Errorf(im.Unauthenticated, "no"))
	clients[1].expectClose(im.CloseUnauthenticated)
	d := r.take(t)
	r.quiet(t)
	c.complete(&im.Attached{}, nil)
	d.complete(&im.Attached{}, nil)
	clients[3].read(wire.TypeWelcome)
	clients[4].read(wire.TypeWelcome)
	if st := r.g.Stats(); st.Logins != 3 || st.LoginRefused[im.Busy] != 1 {
		t.Errorf("stats %+v", st)
	}
	if g := &r.g.gate; g.first != nil || g.last != nil || g.logins != 0 || g.flying != 0 {
		t.Errorf("the gate is left as %+v", g)
	}
}

// Sessions that are resumed wait in the same queue, however long it is.
func TestResumptionsArePaced(t *testing.T) {
	r := newRig(t, func(g *Config, _ *link.Config) { g.MaxAttaching, g.MaxWaiting = 1, 1 })
	var sinks []im.Sink
	for range 3 {
		_, sink := r.login(t)
		sinks = append(sinks, sink)
	}
	for _, sink := range sinks {
		sink.Kick(im.CloseUnavailable, "moving")
	}
	for range sinks {
		s, cmd := takeAs[*im.Attach](t, r)
		if cmd.Resume == nil {
			t.Errorf("attached %+v", cmd)
		}
		r.quiet(t)
		s.complete(&im.Attached{}, nil)
	}
	if st := r.g.Stats(); st.Resumed != 3 {
		t.Errorf("stats %+v", st)
	}
}

// A mailbox that answers in place does not make the queue recurse.
func TestGateDoesNotRecurse(t *testing.T) {
	mbox := newObliging(t)
	r := newRig(t, func(g *Config, _ *link.Config) { g.MaxAttaching, g.Mailbox = 1, mbox })
	g := &r.g.gate
	g.flying = 1
	var clients []*client
	for range 3 * maxPump {
		clients = append(clients, r.hail(t))
	}
	g.leave(false)
	for _, c := range clients {
		c.read(wire.TypeWelcome)
	}
}

// A mailbox that is busy is asked by fewer at a time, and by more again when it
// is not: a storm of logins waits and is not refused.
func TestBusyMailboxNarrowsTheGate(t *testing.T) {
	r := newRig(t, func(g *Config, _ *link.Config) {
		g.MaxAttaching = 4
		g.Rand = func(int64) int64 { return 0 }
	})
	var clients []*client
	for range 6 {
		clients = append(clients, r.hail(t))
	}
	busy := &im.Error{Kind: im.Busy, RetryAfterMS: 1}
	for range 4 {
		r.take(t).complete(nil, busy)
	}
	g := &r.g.gate
	g.mu.Lock()
	if g.window != 2 {
		t.Errorf("after four refusals in a row, %d may be under way", g.window)
	}
	g.mu.Unlock()
	// Each is asked for again, as a login and not as a resumption.
	for range clients {
		s, cmd := takeAs[*im.Attach](t, r)
		if cmd.Resume != nil {
			t.Errorf("asked for %+v", cmd)
		}
		s.complete(&im.Attached{}, nil)
	}
	for _, c := range clients {
		c.read(wire.TypeWelcome)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.window != 4 || g.flying != 0 {
		t.Errorf("the gate is left as %+v", g)
	}
}
