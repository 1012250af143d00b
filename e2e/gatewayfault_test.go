package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cuts are the ways in which the network between two processes fails.
var cuts = map[string]func(*proxy){
	"in silence":            (*proxy).cut,
	"with refusals":         (*proxy).refuse,
	"only to the mailbox":   func(p *proxy) { p.to.shut() },
	"only from the mailbox": func(p *proxy) { p.from.shut() },
}

// A gateway cannot reach its mailbox for longer than a role link may be silent: its
// clients wait, and no link of theirs breaks.
func TestGatewayIsCutOffFromTheMailbox(t *testing.T) {
	for name, cut := range cuts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := startNode(t, mailboxArgs(t, filepath.Join(t.TempDir(), "data"))...)
			way := newProxy(t, m.Roles)
			g := startNode(t, gatewayArgs(t, m, "--mailbox", way.Addr)...)
			x := &trial{nodes: &nodes{t: t}, gate: g}
			x.chat(untilJudged)
			cut(way)
			x.lasts(8 * time.Second)
			way.heal()
			x.judge(most())
		})
	}
}

// A mailbox node refuses connections, or something before it does, but refreshes its
// record: it is not taken for dead, and its users wait for it.
func TestMailboxRefusesItsPeers(t *testing.T) {
	c := newNodes(t, filepath.Join(t.TempDir(), "data"))
	listen := freeAddr(t)
	way := newProxy(t, listen)
	t.Parallel()
	x := c.trial(untilJudged, c.mailbox("one"), c.mailbox("two", "--role-listen", listen, "--role-advertise", way.Addr))
	way.refuse()
	x.lasts(3 * time.Second)
	way.heal()
	x.judge(most())
	if st := c.status(); x.share(st, "two") == 0 || strings.Contains(x.one.logs.String(), "counts as gone") {
		t.Error("the node has lost its slots")
	}
}

// A gateway is stopped, and goes on as if nothing had happened.
func TestGatewayIsPaused(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	if err := x.gate.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	x.lasts(4 * time.Second)
	if err := x.gate.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	x.ended(most())
}

// One of several gateways dies: its clients ask routers where to go, and are served
// by the others.
func TestOneOfSeveralGatewaysDies(t *testing.T) {
	t.Parallel()
	c := newNodes(t, filepath.Join(t.TempDir(), "data"))
	router := startNode(t, c.args("router", "way")...)
	other := startNode(t, c.args("gateway", "other")...)
	one, two := c.mailbox("one"), c.mailbox("two")
	gate := c.gateway()
	askRouter(t, router, "/v1/addresses?n=9", "both gateways are named", leads(gate, other))
	chat := startChat(t, gate, "--users", "100", "--friends", "10", "--rate", "500", "--duration", "1h", "--stall", "3m", "--router", "http://"+router.Router)
	x := &trial{nodes: c, one: one, two: two, gate: gate, finished: chat.done, verdict: func() benchResult {
		_ = chat.cmd.Process.Signal(os.Interrupt)
		return chat.verdict(t)
	}}
	victims := 0.0
	for there := 0.0; there < 100; there = victims + metric(t, other, "skein_gateway_sessions") {
		between(t, x.finished, x.verdict)
		victims = metric(t, gate, "skein_gateway_sessions")
	}
	gate.kill()
	x.lasts(4 * time.Second)
	if r := x.ended(served()); victims == 0 || r.Reconnects == 0 {
		t.Errorf("%v clients were at the gateway that died, and %d connected again", victims, r.Reconnects)
	}
}
