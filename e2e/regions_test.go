package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/skein-im/skein/client"
	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
)

// pair are two regions; the directory is in the first.
type pair struct {
	east, west *server
	args       map[string][]string
}

// regionArgs are the flags that make a server a region.
func regionArgs(t *testing.T, certs, name, other, otherRelay, relay string) []string {
	return []string{
		"--region", name, "--directory", "east", "--regions", other + "=" + otherRelay, "--relay-listen", relay,
		"--relay-cert", filepath.Join(certs, name+".pem"), "--relay-key", filepath.Join(certs, name+"-key.pem"),
		"--relay-ca", filepath.Join(certs, "ca.pem"), "--http", freeAddr(t), "--link", freeAddr(t),
	}
}

// startPair starts two regions. toWest and toEast are how they reach each
// other's relays; empty: directly.
func startPair(t *testing.T, toWest, toEast func(relay string) string) *pair {
	t.Helper()
	dir := t.TempDir()
	certs := filepath.Join(dir, "certs")
	if _, err := run(t, "", "relay", "cert", "east", "west", "--dir", certs); err != nil {
		t.Fatal(err)
	}
	east, west := freeAddr(t), freeAddr(t)
	way := func(via func(string) string, relay string) string {
		if via == nil {
			return relay
		}
		return via(relay)
	}
	p := &pair{args: map[string][]string{
		"east": serveArgs(t, filepath.Join(dir, "east"), regionArgs(t, certs, "east", "west", way(toWest, west), east)...),
		"west": serveArgs(t, filepath.Join(dir, "west"), regionArgs(t, certs, "west", "east", way(toEast, east), west)...),
	}}
	p.east, p.west = startNode(t, p.args["east"]...), startNode(t, p.args["west"]...)
	return p
}

// move moves a user, from the region where s is.
func move(t *testing.T, s *server, user, to string) {
	t.Helper()
	out, err := run(t, "", "region", "move", s.Ops, user, to, "--token-file", filepath.Join(s.Data, "operator.token"), "--json")
	if err != nil {
		t.Fatal(err)
	}
	var moved struct{ Home struct{ Region string } }
	if err := json.Unmarshal([]byte(out), &moved); err != nil || moved.Home.Region != to {
		t.Fatalf("a move to %s says %s (%v)", to, out, err)
	}
}

func worldOf(s *server) *world { return &world{s, "http://" + s.HTTP, nil} }

// Two people of different regions chat; one of them moves to the other's region
// and back again, with their link, and nothing shows.
func TestTwoRegions(t *testing.T) {
	t.Parallel()
	p := startPair(t, nil, nil)
	alice, bob := newUser(t, worldOf(p.east), "alice"), newUser(t, worldOf(p.west), "bob")
	ac, bc := alice.dial(t, "tcp://"+p.east.Link, alice.token), bob.dial(t, "tcp://"+p.west.Link, bob.token)
	makeFriends(t, alice, bob, ac, bc)
	say := func(round string) {
		t.Helper()
		for i := range 20 {
			text := fmt.Sprintf("%s %d", round, i)
			if _, err := ac.SendText(testContext(t), bob.id, text); err != nil {
				t.Fatal(err)
			}
			if e := next(t, bc, client.Message); string(e.Content.Body) != text || e.Peer != alice.id {
				t.Fatalf("bob got %+v instead of %s", e, text)
			}
			if _, err := bc.SendText(testContext(t), alice.id, "re: "+text); err != nil {
				t.Fatal(err)
			}
			e := next(t, ac, client.Message)
			for e.Outgoing {
				e = next(t, ac, client.Message)
			}
			if string(e.Content.Body) != "re: "+text {
				t.Fatalf("alice got %+v", e)
			}
		}
	}
	say("across regions")
	move(t, p.east, "alice", "west")
	say("in one region")
	if _, err := worldOf(p.east).api(alice.token).Devices(testContext(t)); client.KindOf(err) != client.Moved {
		t.Fatalf("the region that alice has left says %v", err)
	}
	move(t, p.west, "alice", "east")
	move(t, p.west, "bob", "east")
	say("home again, and in one region")
	p.east.stop(t)
	p.west.stop(t)
}

// Names are unique, and requests to nobody are refused, in all regions.
func TestRegionsShareNames(t *testing.T) {
	t.Parallel()
	p := startPair(t, nil, nil)
	newUser(t, worldOf(p.east), "carol")
	dave := newUser(t, worldOf(p.west), "dave")
	if _, err := worldOf(p.west).api("").Register(testContext(t), "Carol", "another horse", "first"); client.KindOf(err) != client.AlreadyExists {
		t.Fatalf("carol's name is given to another: %v", err)
	}
	if _, err := worldOf(p.west).api("").Login(testContext(t), "carol", "correct horse", "first"); client.KindOf(err) != client.Moved {
		t.Fatalf("carol logs in where she does not live: %v", err)
	}
	if _, err := dave.api.RequestContact(testContext(t), 1<<40, "anybody?"); client.KindOf(err) != client.NotFound {
		t.Fatalf("a request to nobody: %v", err)
	}
}

// A region may be a mailbox and a gateway in processes of their own.
func TestRegionOfTwoProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certs := filepath.Join(dir, "certs")
	if _, err := run(t, "", "relay", "cert", "east", "west", "--dir", certs); err != nil {
		t.Fatal(err)
	}
	eastRelay, westRelay, link := freeAddr(t), freeAddr(t), freeAddr(t)
	flags := regionArgs(t, certs, "east", "west", westRelay, eastRelay)
	m := startNode(t, mailboxArgs(t, filepath.Join(dir, "east"), append(flags[:len(flags)-4], "--region-links", link)...)...)
	east := startNode(t, gatewayArgs(t, m, "--link", link)...)
	west := startNode(t, serveArgs(t, filepath.Join(dir, "west"), regionArgs(t, certs, "west", "east", eastRelay, westRelay)...)...)
	alice, bob := newUser(t, worldOf(east), "alice"), newUser(t, worldOf(west), "bob")
	ac, bc := alice.dial(t, "tcp://"+east.Link, alice.token), bob.dial(t, "tcp://"+west.Link, bob.token)
	makeFriends(t, alice, bob, ac, bc)
	move(t, west, "bob", "east")
	if _, err := ac.SendText(testContext(t), bob.id, "welcome"); err != nil {
		t.Fatal(err)
	}
	if e := next(t, bc, client.Message); string(e.Content.Body) != "welcome" {
		t.Fatalf("bob got %+v", e)
	}
}

// Wallets move with their users, and every cent is accounted for over both
// regions.
func TestMoneyMovesWithItsUser(t *testing.T) {
	t.Parallel()
	p := startPair(t, nil, nil)
	spendAcross(t, p.east, p.west, p.east, p.west)
	p.east.stop(t)
	p.west.stop(t)
	checkBooks(t, "--data", p.east.Data, "--region-data", p.west.Data)
}

// spendAcross has two users send one another money while they move. Clients reach
// the regions at their fronts, moves are asked of nodes with mailboxes.
func spendAcross(t *testing.T, eastFront, westFront, east, west *server) {
	t.Helper()
	alice, bob := newUser(t, worldOf(eastFront), "alice"), newUser(t, worldOf(westFront), "bob")
	ac, bc := alice.dial(t, "tcp://"+eastFront.Link, alice.token), bob.dial(t, "tcp://"+westFront.Link, bob.token)
	makeFriends(t, alice, bob, ac, bc)
	topUp := func(s *server, u *user, cents, reference string) {
		t.Helper()
		if _, err := run(t, "", "wallet", "top-up", s.HTTP, fmt.Sprint(u.id), cents, "--reference", reference,
			"--token-file", filepath.Join(s.Data, "operator.token")); err != nil {
			t.Fatal(err)
		}
	}
	topUp(eastFront, alice, "5000", "first")
	wantMoney(t, ac, client.ToppedUp, 5000)
	topUp(westFront, bob, "70", "second")
	wantMoney(t, bc, client.ToppedUp, 70)
	move(t, east, "alice", "west")
	move(t, west, "bob", "east")
	send := func(cents client.Cents) *skeinv1.SendEnvelopeResponse {
		t.Helper()
		key, e := client.NewKey(), client.Envelope{To: []client.UserID{bob.id}, Total: cents, Shares: 1, Greeting: "from afar"}
		sent, err := patiently(testContext(t), func() (*skeinv1.SendEnvelopeResponse, error) { return ac.SendEnvelope(testContext(t), key, e) })
		if err != nil {
			t.Fatal(err)
		}
		return sent
	}
	sent := send(300)
	wantMoney(t, bc, client.EnvelopeReceived, 0)
	if _, err := patiently(testContext(t), func() (client.Cents, error) { return bc.OpenEnvelope(testContext(t), sent.Envelope) }); err != nil {
		t.Fatal(err)
	}
	wantMoney(t, bc, client.EnvelopeOpened, 300)
	move(t, east, "bob", "west")
	send(100)
}

// checkBooks audits what spendAcross has left in two regions' stores.
func checkBooks(t *testing.T, stores ...string) {
	t.Helper()
	out, err := run(t, "", append([]string{"audit", "--json"}, stores...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var books struct {
		OK                     bool
		In, Out, Held, Wallets int
	}
	if err := json.Unmarshal([]byte(out), &books); err != nil || !books.OK || books.In != 5070 || books.Held != 5070 {
		t.Fatalf("the books say %s (%v)", out, err)
	}
}
