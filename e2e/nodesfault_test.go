package e2e

import (
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/patience"
)

// trial is a chat over two mailbox nodes to which something happens.
type trial struct {
	*nodes
	one, two, gate *server
	finished       <-chan struct{}
	verdict        func() benchResult
	// fault is how long a fault was let last.
	fault time.Duration
}

func newTrial(t *testing.T) *trial {
	t.Helper()
	c := newNodes(t, filepath.Join(t.TempDir(), "data"))
	return c.trial(untilJudged, c.mailbox("one"), c.mailbox("two"))
}

// trial begins a chat over two nodes and a gateway.
func (c *nodes) trial(seconds string, one, two *server, gateway ...string) *trial {
	c.t.Helper()
	x := &trial{nodes: c, one: one, two: two, gate: c.gateway(gateway...)}
	c.await("the nodes share the slots", func(st status) bool { return st.Moving == 0 && x.share(st, "two") > 0 })
	x.chat(seconds)
	return x
}

// untilJudged is the duration of a chat that ends a moment after somebody has
// asked how it went.
const untilJudged = ""

// chat begins a chat, the next one if there was one before.
func (x *trial) chat(seconds string) {
	t := x.t
	t.Helper()
	if seconds == untilJudged {
		finished, verdict := longChat(t, x.gate, 100, "--friends", "10", "--rate", "200")
		between(t, finished, verdict)
		x.finished, x.verdict = finished, func() benchResult {
			between(t, finished, verdict)
			return verdict()
		}
		return
	}
	x.finished, x.verdict = benchChat(t, x.gate, "--users", "100", "--friends", "10", "--rate", "500", "--duration", seconds, "--stall", "3m")
	// It begins when the clients are there.
	patience.Until(t, "all clients are there", func() (bool, any) {
		n := metric(t, x.gate, "skein_gateway_sessions")
		return n >= 100, n
	})
	between(t, x.finished, x.verdict)
}

// share is how many slots a node is to serve.
func (x *trial) share(st status, node string) int {
	for _, n := range st.Nodes {
		if n.Node == node {
			return n.Due
		}
	}
	return 0
}

// judge waits for the end: nothing may be lost, repeated or reordered, no link
// of a client break, and nobody wait longer than most.
func (x *trial) judge(most time.Duration) {
	x.t.Helper()
	if r := x.ended(most); r.Reconnects > 0 {
		x.t.Errorf("%d links broke", r.Reconnects)
	}
}

// ended is judge where links may break.
func (x *trial) ended(most time.Duration) benchResult {
	x.t.Helper()
	r := x.verdict()
	r.check(x.t)
	ack, delivery := r.waits()
	x.t.Logf("%d messages: the longest wait for an ack was %v, for a delivery %v; the fault was let last for %v", r.Sent, ack, delivery, x.fault)
	if max(ack, delivery) > most {
		x.t.Errorf("somebody waited too long")
	}
	return r
}

// waits are the longest that anybody waited for an ack and for a delivery.
func (r *benchResult) waits() (ack, delivery time.Duration) {
	of := func(ms float64) time.Duration {
		return time.Duration(ms * float64(time.Millisecond)).Round(10 * time.Millisecond)
	}
	return of(r.AckMS.Max), of(r.DeliverMS.Max)
}

// served is within what time every user is to be served again; the race
// detector and other tests on the same machine take their part.
func served() time.Duration {
	if raceEnabled {
		return time.Minute
	}
	return 15 * time.Second
}

// A mailbox node dies: its users are served by the other one.
func TestOneOfTwoMailboxesDies(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	x.two.kill()
	x.await("the other node serves all", func(st status) bool { return settled(2)(st) && x.share(st, "one") == 4096 })
	x.judge(served())
}

// A mailbox node is stopped for longer than its record lasts, and goes on as if
// nothing had happened: its slots are somebody else's by then, and it is fenced.
func TestOneOfTwoMailboxesIsPaused(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	if err := x.two.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	x.await("the other node serves all", func(st status) bool { return settled(2)(st) && x.share(st, "one") == 4096 })
	x.lasts(time.Second)
	if err := x.two.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	x.await("it serves its share again", func(st status) bool { return settled(3)(st) && x.share(st, "two") > 0 })
	x.judge(served())
	if n := strings.Count(x.two.logs.String(), "without notice"); n == 0 && metric(t, x.two, "skein_mailbox_fenced_total") == 0 {
		t.Error("the paused node was not fenced, and did not find out that its slots were gone")
	}
}

// A node that joins takes its share, and one that stops in order hands it over:
// no link breaks, and nobody waits long.
func TestMailboxJoinsAndDrains(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	three := x.mailbox("three")
	x.await("the third node serves its share", func(st status) bool { return settled(4)(st) && x.share(st, "three") > 0 })
	between(t, x.finished, x.verdict)
	three.stop(t)
	x.two.stop(t)
	x.await("the first node serves all", func(st status) bool { return settled(2)(st) && x.share(st, "one") == 4096 })
	x.judge(served())
	if strings.Contains(x.one.logs.String(), "another node has acquired them") {
		t.Log("slots were acquired before they were handed over")
	}
}

// Nodes that start at the same moment share the slots without taking them from each
// other, and serve everybody soon.
func TestMailboxesStartAtOnce(t *testing.T) {
	t.Parallel()
	c := newNodes(t, filepath.Join(t.TempDir(), "data"))
	names := []string{"one", "two", "three"}
	boxes := make([]*server, len(names))
	errs := make([]error, len(names))
	began := time.Now()
	var started sync.WaitGroup
	for i, name := range names {
		started.Go(func() { boxes[i], errs[i] = launch(c.args("mailbox", name)...) })
	}
	started.Wait()
	for i, s := range boxes {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		t.Cleanup(s.kill)
	}
	c.await("all slots are served", settled(len(names)))
	gate := c.gateway()
	t.Logf("all slots were served after %v", time.Since(began).Round(10*time.Millisecond))
	_, verdict := benchChat(t, gate, "--users", "50", "--friends", "5", "--rate", "200", "--duration", "2s")
	r := verdict()
	r.check(t)
	ack, delivery := r.waits()
	t.Logf("the longest wait for an ack was %v, for a delivery %v", ack, delivery)
}

// Of two processes with one name, the older one ends.
func TestTwoNodesWithOneName(t *testing.T) {
	t.Parallel()
	c := newNodes(t, filepath.Join(t.TempDir(), "data"))
	old := c.mailbox("one")
	again := startNode(t, append(c.args("mailbox", "one"), "--data", filepath.Join(c.data, "other"))...)
	old.await(t)
	if old.err == nil || !strings.Contains(old.logs.String(), "another process has joined") {
		t.Errorf("the older node ended with %v", old.err)
	}
	c.await("the newer one serves all", settled(1))
	again.stop(t)
}

// A node that shares its store serves clients too.
func TestServeOverRedis(t *testing.T) {
	t.Parallel()
	c := newNodes(t, filepath.Join(t.TempDir(), "data"))
	one := startNode(t, c.args("serve", "one")...)
	two := startNode(t, c.args("serve", "two", "--workers", "2")...)
	c.await("they share the slots", settled(2))
	_, first := benchChat(t, one, "--users", "50", "--friends", "5", "--rate", "200", "--duration", "2s")
	first().check(t)
	_, second := benchChat(t, two, "--users", "50", "--friends", "5", "--rate", "200", "--duration", "2s")
	second().check(t)
	one.stop(t)
	two.stop(t)
}
