package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// faultSeconds is for how much longer than needed faults last; the long runs
// set it.
func faultSeconds() int {
	n, _ := strconv.Atoi(os.Getenv("TEST_FAULT_SECONDS"))
	return n
}

// lasting is the duration of a chat during which a fault lasts.
func lasting(seconds int) string { return strconv.Itoa(seconds+faultSeconds()) + "s" }

// lasts lets a fault last, while the chat goes on: so long, and longer in the long
// runs.
func (x *trial) lasts(d time.Duration) {
	x.t.Helper()
	x.fault = d + time.Duration(faultSeconds())*time.Second
	select {
	case <-x.finished:
		x.t.Fatalf("the chat ended too soon: %+v", x.verdict())
	case <-time.After(x.fault):
	}
}

// most is how long somebody may wait when a fault lasts: as long, and no longer
// because pauses between two attempts have grown meanwhile.
func most() time.Duration { return served() + time.Duration(faultSeconds())*time.Second }

// A mailbox node cannot reach the store, though all others can reach it: it has
// nothing to say to them any more, and the other node serves its users.
func TestMailboxIsCutOffFromTheStore(t *testing.T) {
	t.Parallel()
	c := newNodes(t, filepath.Join(t.TempDir(), "data"))
	way := newProxy(t, c.redis())
	x := c.trial(untilJudged, c.mailbox("one"), c.mailbox("two", "--redis", way.Addr))
	way.cut()
	x.await("the other node serves all", func(st status) bool { return settled(2)(st) && x.share(st, "one") == 4096 })
	x.lasts(time.Second)
	way.heal()
	x.await("it serves its share again", func(st status) bool { return settled(3)(st) && x.share(st, "two") > 0 })
	x.judge(served())
}

// A mailbox node can be reached neither by the gateway nor by the other node,
// but reaches the store: it keeps its users, who wait until it can be reached.
func TestMailboxIsCutOffFromItsPeers(t *testing.T) {
	t.Parallel()
	c := newNodes(t, filepath.Join(t.TempDir(), "data"))
	listen := freeAddr(t)
	way := newProxy(t, listen)
	x := c.trial(untilJudged, c.mailbox("one"), c.mailbox("two", "--role-listen", listen, "--role-advertise", way.Addr))
	way.cut()
	x.lasts(2 * time.Second)
	way.heal()
	x.judge(most())
	if st := c.status(); x.share(st, "two") == 0 {
		t.Error("the node has lost its slots")
	}
}
