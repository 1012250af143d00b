package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skein-im/skein/client"
)

// askRouter waits until a router's answer satisfies a condition.
func askRouter[A any](t *testing.T, s *server, path, what string, ok func(A) bool) (answer A) {
	t.Helper()
	ctx := testContext(t)
	for {
		status, body := get(web, "http://"+s.Router+path)
		answer = *new(A)
		if status > 0 && json.Unmarshal([]byte(body), &answer) == nil && ok(answer) {
			return answer
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%s: it does not happen: %d %s", what, status, body)
		}
	}
}

type routed struct {
	Addresses []client.Gateway
	Stale     bool
}

// leads reports whether a router sends clients to just these.
func leads(to ...*server) func(routed) bool {
	return func(r routed) bool {
		for _, s := range to {
			if !slices.ContainsFunc(r.Addresses, func(a client.Gateway) bool { return a.Link == s.Link && a.HTTP == s.HTTP }) {
				return false
			}
		}
		return len(r.Addresses) == len(to)
	}
}

// Routers name the gateways that are there and do not drain; each goes on with
// what it knows while the store is away.
func TestRouter(t *testing.T) {
	t.Parallel()
	c := newNodes(t, filepath.Join(t.TempDir(), "data"))
	redis := newProxy(t, c.redis())
	one := startNode(t, c.args("router", "one")...)
	two := startNode(t, c.args("router", "two", "--redis", redis.Addr)...)
	c.mailbox("box")
	a := startNode(t, c.args("gateway", "a")...)
	b := startNode(t, c.args("gateway", "b")...)
	routers := []*server{one, two}
	for _, r := range routers {
		askRouter(t, r, "/v1/addresses?n=9", "both gateways are named", leads(a, b))
	}
	if st := c.status(); len(st.Nodes) != 5 {
		t.Errorf("the cluster has %+v", st.Nodes)
	}
	askRouter(t, one, "/v1/slots?user=42", "the slot's owner is named", func(s struct{ Node string }) bool { return s.Node == "box" })

	c.registerRedis(one, two)
	c.chatThroughRouter(routers)

	redis.cut()
	askRouter(t, two, "/v1/addresses?n=9", "the router without a store says what it knew", func(r routed) bool { return r.Stale && leads(a, b)(r) })
	if status, body := get(web, "http://"+two.Router+"/regist/redis/1/?id=late&host=h&port=1"); status != http.StatusServiceUnavailable {
		t.Errorf("a registration without a store: %d %s", status, body)
	}
	hold := clientThatStays(t, a)
	if err := a.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	askRouter(t, one, "/v1/addresses?n=9", "the draining gateway is named no more", leads(b))
	select {
	case <-a.done:
		t.Error("the gateway has stopped while it still had a client")
	default:
	}
	hold.Close()
	a.await(t)
	redis.heal()
	askRouter(t, two, "/v1/addresses?n=9", "the other router knows it too", func(r routed) bool { return !r.Stale && leads(b)(r) })
	for _, r := range routers {
		r.stop(t)
	}
}

// registerRedis registers a server at one router, and finds it at another.
func (c *nodes) registerRedis(at, seen *server) {
	c.t.Helper()
	status, body := get(web, "http://"+at.Router+"/regist/redis/1/?id=res1&host=10.29.101.3&port=1501&cellid=1")
	if status != http.StatusOK {
		c.t.Fatalf("%d %s", status, body)
	}
	type servers struct {
		Servers []struct{ Kind, Region, ID, Host, Port, Cell string }
	}
	askRouter(c.t, seen, "/server", "the registered server is listed", func(s servers) bool {
		return slices.ContainsFunc(s.Servers, func(s struct{ Kind, Region, ID, Host, Port, Cell string }) bool {
			return fmt.Sprint(s) == "{redis 1 res1 10.29.101.3 1501 1}"
		})
	})
	if st := c.status(); len(st.Nodes) != 5 || st.Moving != 0 {
		c.t.Errorf("with a registered server the cluster has %+v", st.Nodes)
	}
}

// clientThatStays keeps a gateway from stopping at once: its link is open, and has
// said half of a Hello.
func clientThatStays(t *testing.T, gate *server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", gate.Link)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Write([]byte{3, 100, 1}); err != nil {
		t.Fatal(err)
	}
	for metric(t, gate, "skein_link_open") < 1 {
	}
	return c
}

// chatThroughRouter logs in knowing routers only, one of which is not there.
func (c *nodes) chatThroughRouter(routers []*server) {
	c.t.Helper()
	password := filepath.Join(c.data, "password")
	if err := os.WriteFile(password, []byte("correct horse battery"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	urls := "http://127.0.0.1:1"
	for _, r := range routers {
		urls += ",http://" + r.Router
	}
	out, err := run(c.t, "/quit\n", "chat", "--router", urls, "--user", "ann", "--register", "--password-file", password, "--state", filepath.Join(c.data, "ann.json"))
	if err != nil || !strings.Contains(out, "ann") {
		c.t.Errorf("chat through a router: %q, %v", out, err)
	}
}
