package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/store/postgres/pgtest"
	"github.com/skein-im/skein/internal/store/redis/redistest"
)

// One of three primaries of the Redis Cluster that nodes share is away, and nobody in
// its place. Nodes that are started meanwhile say so and serve the users of the other
// servers; who looks at the cluster is told what is not known; and when the server is
// back, so are its users.
func TestNodesStartWithoutAPrimary(t *testing.T) {
	t.Parallel()
	c, servers := newClusterNodes(t, 0, "--cluster-require-full-coverage", "no")
	p := overStore(t, c, setup{every: []string{"--redis-replicas", "0"}})
	victim := spareServer(t, servers)
	served, away := people(t, p, servers, victim)
	befriend(t, served[0], served[1])
	befriend(t, served[0], away)
	for _, n := range p.parts {
		n.kill()
	}
	victim.Kill()
	p.restart()
	for _, n := range p.parts {
		if !strings.Contains(n.logs.String(), "could not be looked at") || !strings.Contains(n.logs.String(), victim.Addr) {
			t.Errorf("it does not say that %s is away", victim.Addr)
		}
	}
	for _, u := range append(served, away) {
		u.addr = p.HTTP
	}
	patience.Until(t, "users of the other servers write to each other", func() (bool, any) {
		err := served[0].send(served[1], []byte("message 0 "))
		return err == nil, err
	})
	checkReceived(t, served[1], 1)
	c.isIncomplete(victim.Addr)
	if err := victim.Restart(); err != nil {
		t.Fatal(err)
	}
	c.await("all slots are served", settled(3))
	patience.Until(t, "the other user is served", func() (bool, any) {
		err := served[0].send(away, []byte("message 0 "))
		return err == nil, err
	})
	checkReceived(t, away, 1)
}

// isIncomplete checks what is said of the cluster while one server of its store is
// away.
func (c *nodes) isIncomplete(away string) {
	c.t.Helper()
	for _, what := range []string{"status", "slots"} {
		cmd := exec.CommandContext(testContext(c.t), binary, append([]string{"cluster", what}, c.shared...)...)
		out, err := cmd.Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 {
			c.t.Errorf("cluster %s ends with %v", what, err)
		}
		if !bytes.Contains(out, []byte("Not known")) || !bytes.Contains(out, []byte(away)) {
			c.t.Errorf("cluster %s says:\n%s", what, out)
		}
	}
	out, _ := exec.CommandContext(testContext(c.t), binary, append([]string{"cluster", "status", "--json"}, c.shared...)...).Output()
	var st struct {
		status
		Unknown []struct {
			Server, Error string
			Slots         int
		}
	}
	err := json.Unmarshal(out, &st)
	if err != nil || len(st.Nodes) != 3 || len(st.Unknown) != 1 || st.Unknown[0].Server != away || st.Unknown[0].Slots < 1000 || st.Unknown[0].Error == "" {
		c.t.Errorf("cluster status says %s, %v", out, err)
	}
}

// keyOwner is the server that has a key.
func keyOwner(t *testing.T, servers *redistest.Cluster, key string) *redistest.Server {
	t.Helper()
	m, err := servers.Servers[0].Do(t.Context(), "CLUSTER", "KEYSLOT", key)
	if err != nil {
		t.Fatal(err)
	}
	slot, err := m.AsInt64()
	if err != nil {
		t.Fatal(err)
	}
	owner, err := servers.Owner(t.Context(), uint16(slot))
	if err != nil {
		t.Fatal(err)
	}
	return owner
}

// spareServer is a primary without which nodes can start: one that has neither their
// records nor slot 0.
func spareServer(t *testing.T, servers *redistest.Cluster) *redistest.Server {
	t.Helper()
	for _, s := range servers.Servers[:servers.Primaries] {
		if s != keyOwner(t, servers, "{members}") && s != keyOwner(t, servers, "{s0000}") {
			return s
		}
	}
	t.Fatal("every server is needed")
	return nil
}

// people registers some, of whom two will be served while a server is away, and one
// will not.
func people(t *testing.T, p *product, servers *redistest.Cluster, without *redistest.Server) (served []*person, away *person) {
	t.Helper()
	for i := 0; away == nil || len(served) < 2; i++ {
		u := register(t, p.HTTP, fmt.Sprintf("user%d", i))
		id, err := strconv.ParseUint(u.User, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if keyOwner(t, servers, fmt.Sprintf("{s%04d}", im.User(im.UserID(id)).Slot())) == without {
			away = u
		} else {
			served = append(served, u)
		}
	}
	return served, away
}

// Nodes may be started before their store is there: they say what they wait for, and
// go on by themselves.
func TestNodesStartBeforeTheirStore(t *testing.T) {
	t.Parallel()
	t.Run("Redis is not there", func(t *testing.T) {
		t.Parallel()
		c, redis := ownRedis(t)
		redis.Kill()
		c.startBefore("connection refused", redis.Restart)
	})
	t.Run("no PostgreSQL is promoted", func(t *testing.T) {
		t.Parallel()
		needPostgres(t)
		servers, err := pgtest.StartCluster(1, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := servers.Stop(); err != nil {
				t.Error(err)
			}
		})
		servers.Primary.Kill()
		c := newPostgresNodes(t, filepath.Join(t.TempDir(), "data"), []string{"--store", "postgres", "--postgres", pgtest.URL(servers.Servers...)})
		c.startBefore("it is a standby", func() error { return servers.Failover(testContext(t)) })
	})
}

// startBefore starts nodes, and then their store.
func (c *nodes) startBefore(why string, store func() error) {
	c.t.Helper()
	gate := c.starts("gateway", "gate")
	all := []starting{gate, c.starts("mailbox", "one"), c.starts("router", "way")}
	for _, s := range all {
		patience.Until(c.t, "a node says what it waits for", func() (bool, any) {
			status, body := get(web, "http://"+s.ops+"/readyz")
			return status == http.StatusServiceUnavailable && strings.Contains(body, "waiting for the store") && strings.Contains(body, why), body
		})
	}
	if err := store(); err != nil {
		c.t.Fatal(err)
	}
	for _, s := range all {
		if patience.Receive(c.t, "a node goes on", s.done); *s.err != nil {
			c.t.Fatal(*s.err)
		}
	}
	alice, bob := register(c.t, gate.server.HTTP, "alice"), register(c.t, gate.server.HTTP, "bob")
	befriend(c.t, alice, bob)
}

// starting is a node that may have to wait before it says where it listens.
type starting struct {
	*server
	ops  string
	done chan struct{}
	err  *error
}

func (c *nodes) starts(role, name string) starting {
	s := starting{server: new(server), ops: freeAddr(c.t), done: make(chan struct{}), err: new(error)}
	args := c.args(role, name, "--ops", s.ops)
	go func() {
		defer close(s.done)
		n, err := launch(args...)
		if *s.err = err; err == nil {
			*s.server = *n
		}
	}()
	c.t.Cleanup(func() {
		if <-s.done; *s.err == nil {
			s.server.kill()
		}
	})
	return s
}
