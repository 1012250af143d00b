package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skein-im/skein/client"
)

// hears waits for messages of somebody else, in order.
func hears(t *testing.T, c *client.Client, texts ...string) {
	t.Helper()
	for _, text := range texts {
		e := next(t, c, client.Message)
		for e.Outgoing {
			e = next(t, c, client.Message)
		}
		if string(e.Content.Body) != text {
			t.Fatalf("%q arrives instead of %q", e.Content.Body, text)
		}
	}
}

func numbered(what string, n int) (texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprint(what, " ", i))
	}
	return texts
}

// A region goes on from a copy that lacks its end. What its users say afterwards
// arrives in the other region, although it has the numbers of what was lost; and what
// they had got from there, and lost, comes again.
func TestLinksAfterLostEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certs := filepath.Join(dir, "certs")
	if _, err := run(t, "", "relay", "cert", "east", "west", "--dir", certs); err != nil {
		t.Fatal(err)
	}
	eastRelay, westRelay, copied := freeAddr(t), freeAddr(t), filepath.Join(dir, "copy")
	standby := startProgram(t, binary, "standby", "--json", "--data", copied, "--ops", "127.0.0.1:0", "--standby-listen", "127.0.0.1:0",
		"--region", "west", "--relay-cert", filepath.Join(certs, "west.pem"), "--relay-key", filepath.Join(certs, "west-key.pem"),
		"--relay-ca", filepath.Join(certs, "ca.pem"))
	east := startNode(t, serveArgs(t, filepath.Join(dir, "east"), regionArgs(t, certs, "east", "west", westRelay, eastRelay)...)...)
	wests := regionArgs(t, certs, "west", "east", eastRelay, westRelay)
	west := startNode(t, serveArgs(t, filepath.Join(dir, "west"), append(wests[:len(wests):len(wests)],
		"--standby", standby.Standby, "--standby-mode", "async")...)...)

	alice, bob := newUser(t, worldOf(west), "alice"), newUser(t, worldOf(east), "bob")
	ac, bc := alice.dial(t, "tcp://"+west.Link, alice.token), bob.dial(t, "tcp://"+east.Link, bob.token)
	makeFriends(t, alice, bob, ac, bc)
	say := func(from *client.Client, to *user, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if _, err := from.SendText(testContext(t), to.id, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	say(ac, bob, numbered("kept", 3)...)
	hears(t, bc, numbered("kept", 3)...)
	say(bc, alice, numbered("kept too", 3)...)
	hears(t, ac, numbered("kept too", 3)...)
	for metric(t, west, "skein_standby_behind_commits") > 0 {
	}
	standby.kill()
	say(ac, bob, numbered("lost", 3)...)
	hears(t, bc, numbered("lost", 3)...)
	say(bc, alice, numbered("again", 3)...)
	hears(t, ac, numbered("again", 3)...)
	west.kill()
	if out, err := run(t, "", "standby", "promote", "--data", copied); err != nil || !strings.Contains(out, "the region's store now") {
		t.Fatalf("%v: %s", err, out)
	}
	west = startNode(t, serveArgs(t, copied, wests...)...)

	next(t, ac, client.Rewound)
	hears(t, ac, numbered("again", 3)...)
	say(ac, bob, numbered("after", 10)...)
	hears(t, bc, numbered("after", 10)...)
	say(bc, alice, numbered("after too", 10)...)
	hears(t, ac, numbered("after too", 10)...)
	west.stop(t)
	east.stop(t)
}
