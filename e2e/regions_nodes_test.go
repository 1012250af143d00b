package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
)

// wide is a region of two mailbox nodes and a gateway.
type wide struct {
	*nodes
	flags  []string
	relays []string
	one    *server
	two    *server
	gate   *server
}

// newWide prepares a region; link is where its clients are.
func newWide(t *testing.T, dir, name, link string) *wide {
	t.Helper()
	certs := filepath.Join(dir, "certs")
	return &wide{
		nodes: newNodes(t, filepath.Join(dir, name)), relays: []string{freeAddr(t), freeAddr(t)},
		flags: []string{
			"--region", name, "--directory", "east", "--region-links", link,
			"--relay-cert", filepath.Join(certs, name+".pem"), "--relay-key", filepath.Join(certs, name+"-key.pem"),
			"--relay-ca", filepath.Join(certs, "ca.pem"),
		},
	}
}

// node starts one of the mailbox nodes.
func (w *wide) node(i int, name, other string, relays []string) *server {
	w.t.Helper()
	more := append(w.flags[:len(w.flags):len(w.flags)], "--relay-listen", w.relays[i],
		"--regions", fmt.Sprintf("%s=%s|%s", other, relays[0], relays[1]))
	return w.mailbox(name, more...)
}

// open starts the region's processes.
func (w *wide) open(other string, relays []string, link string) {
	w.t.Helper()
	w.one, w.two = w.node(0, "one", other, relays), w.node(1, "two", other, relays)
	w.gate = w.gateway("--link", link)
	w.await("the nodes share the slots", settled(3))
}

// openWides starts two of them.
func openWides(t *testing.T, dir string) (east, west *wide) {
	t.Helper()
	if _, err := run(t, "", "relay", "cert", "east", "west", "--dir", filepath.Join(dir, "certs")); err != nil {
		t.Fatal(err)
	}
	eastLink, westLink := freeAddr(t), freeAddr(t)
	east, west = newWide(t, dir, "east", eastLink), newWide(t, dir, "west", westLink)
	east.open("west", west.relays, eastLink)
	west.open("east", east.relays, westLink)
	return east, west
}

// Two regions of two mailbox nodes each: everybody writes to somebody of the
// other region, while users move and mailbox nodes die. Every message arrives
// once and in order.
func TestRegionsOfSeveralNodes(t *testing.T) {
	t.Parallel()
	east, west := openWides(t, t.TempDir())
	c := newCrowd(t, &pair{east: east.gate, west: west.gate}, 4)
	c.begin()
	c.more(200)
	for _, user := range []string{"1", "3", "5"} {
		move(t, east.one, user, "west")
	}
	west.two.kill()
	c.more(200)
	// They come back to one node, and leave again by the other.
	for _, user := range []string{"1", "3"} {
		move(t, west.one, user, "east")
		move(t, east.two, user, "west")
	}
	east.one.kill()
	c.more(200)
	east.one = east.node(0, "one", "west", west.relays)
	west.two = west.node(1, "two", "east", east.relays)
	c.more(200)
	east.two.stop(t)
	c.more(200)
	c.end()
}
