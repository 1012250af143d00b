package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/skein-im/skein/client"
	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/patience"
)

// world is a server and how to reach it.
type world struct {
	*server
	http  string // base URL of the HTTP API
	trust *tls.Config
}

func (w *world) api(token string) *client.API {
	return client.NewAPI(w.http, token, &http.Client{Transport: &http.Transport{TLSClientConfig: w.trust, DisableKeepAlives: true}})
}

// user is a person with devices.
type user struct {
	w    *world
	name string
	id   client.UserID
	api  *client.API
	// token is of the first device.
	token string
}

func newUser(t *testing.T, w *world, name string) *user {
	t.Helper()
	ctx := testContext(t)
	res, err := patiently(ctx, func() (*skeinv1.RegisterResponse, error) {
		return w.api("").Register(ctx, name, "correct horse", "first")
	})
	if err != nil {
		t.Fatal(err)
	}
	return &user{w: w, name: name, id: client.UserID(res.User), api: w.api(res.Token), token: res.Token}
}

// login makes one more device.
func (u *user) login(t *testing.T) (token string, device client.DeviceID) {
	t.Helper()
	res, err := u.w.api("").Login(testContext(t), u.name, "correct horse", "another")
	if err != nil {
		t.Fatal(err)
	}
	return res.Token, client.DeviceID(res.Device)
}

func (u *user) dial(t *testing.T, addr, token string) *client.Client {
	t.Helper()
	cursor := uint64(0)
	c, err := client.Dial(testContext(t), client.Options{Addr: addr, Token: token, TLS: u.w.trust, Cursor: &cursor,
		Backoff: client.Backoff{Min: 10 * time.Millisecond, Max: 200 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// next is the next entry of a kind that a client gets.
func next(t *testing.T, c *client.Client, kind client.EntryKind) client.Entry {
	t.Helper()
	ctx := testContext(t)
	for {
		select {
		case e, ok := <-c.Entries():
			if !ok {
				t.Fatalf("the client has ended: %v", c.Err())
			}
			if e.Kind == kind {
				return e
			}
		case <-ctx.Done():
			t.Fatal("no entry comes")
		}
	}
}

// nextContact is the next entry with a contact event.
func nextContact(t *testing.T, c *client.Client, event client.ContactEvent) client.Entry {
	t.Helper()
	for {
		if e := next(t, c, client.ContactStep); e.Contact == event {
			return e
		}
	}
}

func makeFriends(t *testing.T, a, b *user, ac, bc *client.Client) {
	t.Helper()
	if _, err := a.api.RequestContact(testContext(t), b.id, "it is me"); err != nil {
		t.Fatal(err)
	}
	if e := nextContact(t, bc, client.ContactRequested); e.Peer != a.id || string(e.Content.Body) != "it is me" {
		t.Fatalf("the request arrives as %+v", e)
	}
	if _, err := b.api.AcceptContact(testContext(t), a.id); err != nil {
		t.Fatal(err)
	}
	nextContact(t, ac, client.ContactAccepted)
}

// TestChatOverEveryTransport: two people, three devices, both directions, over
// each way to connect, and across a restart of everything.
func TestChatOverEveryTransport(t *testing.T) {
	t.Parallel()
	flags, trust := certificate(t)
	plain := transports{"http://", nil, func(s *server) map[string]string {
		return map[string]string{"tcp": "tcp://" + s.Link, "ws": "ws://" + s.HTTP + "/link", "ws-on-link": "ws://" + s.Link + "/link"}
	}}
	secure := transports{"https://", trust, func(s *server) map[string]string {
		return map[string]string{"tls": "tls://" + s.Link, "wss": "wss://" + s.HTTP + "/link", "wss-on-link": "wss://" + s.Link + "/link"}
	}}
	workers := []string{"--workers", "2"}
	for _, run := range []struct {
		name  string
		flags []string
		ways  transports
	}{
		{"plain", nil, plain}, {"plain with workers", workers, plain},
		{"secure", flags, secure}, {"secure with workers", append(workers, flags...), secure},
	} {
		t.Run(run.name, func(t *testing.T) {
			inBothShapes(t, setup{front: run.flags}, func(t *testing.T, p *product) { chatOver(t, p, run.ways) })
		})
	}
}

// transports are ways to connect.
type transports struct {
	scheme string
	trust  *tls.Config
	addrs  func(*server) map[string]string
}

func chatOver(t *testing.T, s *product, ways transports) {
	w := &world{s.server, ways.scheme + s.HTTP, ways.trust}
	type talk struct{ alice, bob, bob2 *client.Client }
	talks := map[string]talk{}
	users := map[string][2]*user{}
	for name, addr := range ways.addrs(s.server) {
		alice, bob := newUser(t, w, "alice-"+name), newUser(t, w, "bob-"+name)
		token, _ := bob.login(t)
		k := talk{alice.dial(t, addr, alice.token), bob.dial(t, addr, bob.token), bob.dial(t, addr, token)}
		makeFriends(t, alice, bob, k.alice, k.bob)
		talks[name], users[name] = k, [2]*user{alice, bob}
	}
	say := func(round string) {
		for name, k := range talks {
			alice, bob := users[name][0], users[name][1]
			text := fmt.Sprintf("%s over %s", round, name)
			if _, err := k.alice.SendText(testContext(t), bob.id, text); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for i, c := range []*client.Client{k.bob, k.bob2} {
				if e := next(t, c, client.Message); string(e.Content.Body) != text || e.Peer != alice.id || e.Outgoing {
					t.Fatalf("%s: device %d of bob got %+v", name, i+1, e)
				}
			}
			if _, err := k.bob2.SendText(testContext(t), alice.id, "re: "+text); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if e := next(t, k.alice, client.Message); string(e.Content.Body) != "re: "+text {
				t.Fatalf("%s: alice got %+v", name, e)
			}
			if e := next(t, k.bob, client.Message); !e.Outgoing || string(e.Content.Body) != "re: "+text {
				t.Fatalf("%s: bob's first device sees of his second %+v", name, e)
			}
		}
	}
	say("hello")
	s.stop(t)
	s.restart()
	say("after a restart")
}

// TestRevokedDeviceIsCutOffAtOnce, and a newer login of a device replaces the
// older.
func TestRevokedAndReplacedDevices(t *testing.T) { inEveryShape(t, revokeAndReplace) }

func revokeAndReplace(t *testing.T, s *product) {
	w := s.world()
	alice := newUser(t, w, "alice")
	token, device := alice.login(t)
	first := alice.dial(t, "tcp://"+s.Link, alice.token)
	second := alice.dial(t, "ws://"+s.HTTP+"/link", token)

	newer := alice.dial(t, "tcp://"+s.Link, alice.token)
	wantClosed(t, first, client.CloseReplaced)

	if err := newer.RevokeDevice(testContext(t), device); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, second, client.CloseRevoked)
	if _, err := w.api(token).Devices(testContext(t)); client.KindOf(err) != client.Unauthenticated {
		t.Fatalf("over HTTP a revoked token gives %v", err)
	}
	_, err := client.Dial(testContext(t), client.Options{Addr: "tcp://" + s.Link, Token: token})
	var closed *client.CloseError
	if !errors.As(err, &closed) || closed.Code != client.CloseUnauthenticated {
		t.Fatalf("a revoked token logs in: %v", err)
	}
	devices, err := alice.api.Devices(testContext(t))
	if err != nil || len(devices) != 1 || !devices[0].Online || !devices[0].Current {
		t.Fatalf("devices left: %v %v", devices, err)
	}
	if err := newer.Logout(testContext(t)); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, newer, client.CloseRevoked)
}

func wantClosed(t *testing.T, c *client.Client, code client.CloseCode) {
	t.Helper()
	select {
	case <-c.Done():
	case <-testContext(t).Done():
		t.Fatalf("the client was not closed with %d", code)
	}
	var closed *client.CloseError
	if !errors.As(c.Err(), &closed) || closed.Code != code {
		t.Fatalf("closed with %v, not %d", c.Err(), code)
	}
}

// TestStrangersAndFormerFriends cannot write, and learn why.
func TestStrangersAndFormerFriends(t *testing.T) {
	inBothShapes(t, setup{}, strangersAndFormerFriends)
}

func strangersAndFormerFriends(t *testing.T, s *product) {
	w := s.world()
	alice, bob := newUser(t, w, "alice"), newUser(t, w, "bob")
	ac, bc := alice.dial(t, "tcp://"+s.Link, alice.token), bob.dial(t, "tcp://"+s.Link, bob.token)
	refused := func(c *client.Client, to client.UserID, kind client.ErrorKind) {
		t.Helper()
		if _, err := c.SendText(testContext(t), to, "hello?"); client.KindOf(err) != kind {
			t.Fatalf("the send ends with %v, not %v", err, kind)
		}
	}
	refused(ac, bob.id, client.NotContact)
	refused(ac, 12345, client.NotContact)
	if _, err := alice.api.RequestContact(testContext(t), 12345, ""); err != nil {
		t.Fatal(err)
	}
	if e := nextContact(t, ac, client.ContactRefused); e.Peer != 12345 || e.Refusal != client.NotFound {
		t.Fatalf("a request to nobody ends with %+v", e)
	}
	makeFriends(t, alice, bob, ac, bc)
	if _, err := ac.SendText(testContext(t), bob.id, "hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.api.BlockContact(testContext(t), alice.id); err != nil {
		t.Fatal(err)
	}
	nextContact(t, ac, client.ContactRemoved)
	refused(ac, bob.id, client.NotContact)
	refused(bc, alice.id, client.Blocked)
}

// TestClientSeqIsRememberedAcrossRestarts over HTTP, where it is in plain
// sight.
func TestClientSeqIsRememberedAcrossRestarts(t *testing.T) {
	inBothShapes(t, setup{}, clientSeqIsRemembered)
}

func clientSeqIsRemembered(t *testing.T, s *product) {
	w := s.world()
	alice, bob := newUser(t, w, "alice"), newUser(t, w, "bob")
	ac, bc := alice.dial(t, "tcp://"+s.Link, alice.token), bob.dial(t, "tcp://"+s.Link, bob.token)
	makeFriends(t, alice, bob, ac, bc)
	send := func(cs client.ClientSeq, text string) (client.Receipt, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience.Limit)
		defer cancel()
		return alice.api.Send(ctx, bob.id, cs, client.Text(text))
	}
	first, err := send(1, "one")
	if err != nil {
		t.Fatal(err)
	}
	s.kill()
	s.restart()
	if again, err := send(1, "one"); err != nil || again != first {
		t.Fatalf("the repeated send got %+v %v, the first %+v", again, err, first)
	}
	if _, err := send(1, "another"); client.KindOf(err) != client.Conflict {
		t.Fatalf("another message under the same number: %v", err)
	}
	if _, err := send(3, "three"); client.KindOf(err) != client.SequenceGap {
		t.Fatalf("a jump ahead: %v", err)
	}
	if _, err := send(2, "two"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", "two"} {
		if e := next(t, bc, client.Message); string(e.Content.Body) != want {
			t.Fatalf("bob got %q, not %q", e.Content.Body, want)
		}
	}
}
