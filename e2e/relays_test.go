package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// relayed is a region of two mailbox nodes, a gateway and relays of their own. Only the
// relays have certificates and know where other regions are.
type relayed struct {
	*nodes
	name, certs string
	// at is where relays of other regions reach those of this one.
	at     []string
	relays []*server
	one    *server
	two    *server
	gate   *server
}

func newRelayed(t *testing.T, dir, name string) *relayed {
	t.Helper()
	return &relayed{
		nodes: newNodes(t, filepath.Join(dir, name)), name: name, certs: filepath.Join(dir, "certs"),
		at: []string{freeAddr(t), freeAddr(t)}, relays: make([]*server, 2),
	}
}

// relay starts one of the relays.
func (r *relayed) relay(i int, other *relayed) *server {
	r.t.Helper()
	file := func(name string) string { return filepath.Join(r.certs, name) }
	r.relays[i] = startNode(r.t, r.args("relay", fmt.Sprintf("relay%d", i+1), "--region", r.name, "--directory", "east",
		"--regions", other.name+"="+strings.Join(other.at, "|"), "--relay-listen", r.at[i],
		"--relay-cert", file(r.name+".pem"), "--relay-key", file(r.name+"-key.pem"), "--relay-ca", file("ca.pem"))...)
	return r.relays[i]
}

// open starts the region's processes but for its relays.
func (r *relayed) open() {
	r.t.Helper()
	r.one = r.mailbox("one", "--region", r.name, "--directory", "east")
	r.two = r.mailbox("two", "--region", r.name, "--directory", "east")
	r.gate = r.gateway()
	r.await("the nodes share the slots", settled(3))
}

// newPairOfRelayed prepares two regions.
func newPairOfRelayed(t *testing.T) (east, west *relayed) {
	t.Helper()
	dir := t.TempDir()
	if _, err := run(t, "", "relay", "cert", "east", "west", "--dir", filepath.Join(dir, "certs")); err != nil {
		t.Fatal(err)
	}
	return newRelayed(t, dir, "east"), newRelayed(t, dir, "west")
}

// startRelayed starts two regions with two relays each.
func startRelayed(t *testing.T) (east, west *relayed) {
	t.Helper()
	east, west = newPairOfRelayed(t)
	east.open()
	west.open()
	for i := range 2 {
		east.relay(i, west)
		west.relay(i, east)
	}
	return east, west
}

// startUplinked starts a mailbox node of a region and a relay, without any other region.
func startUplinked(t *testing.T) (mailbox, relay *server) {
	t.Helper()
	east, west := newPairOfRelayed(t)
	east.one = east.mailbox("one", "--region", "east", "--directory", "east")
	return east.one, east.relay(0, west)
}

// Everybody writes to somebody of the other region, and users move, while relays are
// killed, stop answering for some seconds, and stop in order. Every message arrives once
// and in order; who has no certificate and no address is sent to the other region's gateway
// all the same.
func TestRelaysOfTheirOwn(t *testing.T) {
	t.Parallel()
	east, west := startRelayed(t)
	c := newCrowd(t, &pair{east: east.gate, west: west.gate}, 4)
	c.begin()
	c.more(150)
	move(t, east.one, "1", "west")
	t.Logf("before anything happens: the longest wait for a message was %v", c.longest())

	for _, x := range []struct {
		what string
		do   func(r, other *relayed)
	}{
		{"killed", func(r, other *relayed) {
			r.relays[0].kill()
			c.more(150)
			r.relay(0, other)
		}},
		{"paused", func(r, _ *relayed) {
			// For longer than its record in the store lasts.
			over := time.Now().Add(time.Duration(4+faultSeconds()) * time.Second)
			r.relays[1].signal(t, syscall.SIGSTOP)
			c.until("the pause is over", func() bool { return time.Now().After(over) }, 0)
			r.relays[1].signal(t, syscall.SIGCONT)
		}},
		{"stopped in order", func(r, other *relayed) {
			r.relays[0].stop(t)
			c.more(150)
			r.relay(0, other)
		}},
	} {
		x.do(east, west)
		x.do(west, east)
		c.more(150)
		t.Logf("a relay of each region was %s: the longest wait for a message was %v", x.what, c.longest())
	}
	move(t, west.two, "1", "east")
	east.relays[1].kill()
	west.relays[0].kill()
	move(t, east.two, "3", "west")
	c.more(150)
	c.end()
}
