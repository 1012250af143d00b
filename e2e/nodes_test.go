package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/store/redis/redistest"
)

// sharedRedis is one server for all tests, each of which has keys of its own. What
// it writes is in memory, if the system has a place for that: no test that shares it
// is about what it survives, and all would wait for each other's syncs.
var sharedRedis struct {
	once   sync.Once
	dir    string
	server *redistest.Server
	err    error
	used   atomic.Int64
}

// redisArgs are the settings of nodes that share a store of their own.
func redisArgs(t *testing.T) []string {
	t.Helper()
	needRedis(t)
	r := &sharedRedis
	r.once.Do(func() {
		if r.dir, r.err = os.MkdirTemp("/dev/shm", "skein-e2e-"); r.err != nil {
			r.dir, r.err = os.MkdirTemp("", "skein-e2e-")
		}
		if r.err == nil {
			r.server, r.err = redistest.Start(append(redistest.Safe(), "--dir", r.dir)...)
		}
	})
	if r.err != nil {
		t.Fatal(r.err)
	}
	prefix := fmt.Sprintf("t%d:", r.used.Add(1))
	return []string{"--store", "redis", "--redis", r.server.Addr, "--redis-prefix", prefix}
}

func stopRedis() {
	if s := sharedRedis.server; s != nil {
		_ = s.Stop()
		_ = os.RemoveAll(sharedRedis.dir)
	}
}

// nodes are processes that share a store.
type nodes struct {
	t    *testing.T
	data string
	// shared are the settings that all have.
	shared []string
}

func newNodes(t *testing.T, data string) *nodes {
	t.Helper()
	return newNodesOver(t, data, redisArgs(t)...)
}

// newNodesOver is newNodes with the settings of a store.
func newNodesOver(t *testing.T, data string, shared ...string) *nodes {
	t.Helper()
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	return &nodes{t, data, shared}
}

// newClusterNodes are nodes with a Redis Cluster of their own: three primaries with
// some replicas each.
func newClusterNodes(t *testing.T, replicas int, settings ...string) (*nodes, *redistest.Cluster) {
	t.Helper()
	needRedis(t)
	servers, err := redistest.StartCluster(3, replicas, append(redistest.ClusterSettings(), settings...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Stop(); err != nil {
			t.Error(err)
		}
	})
	return newNodesOver(t, filepath.Join(t.TempDir(), "data"),
		"--store", "redis", "--redis", strings.Join(servers.Addrs(), ","), "--redis-prefix", "t:"), servers
}

// redis is the address of the nodes' store.
func (c *nodes) redis() string { return c.shared[slices.Index(c.shared, "--redis")+1] }

// args are those of a node's command.
func (c *nodes) args(role, name string, more ...string) []string {
	args := []string{role, "--json", "--data", filepath.Join(c.data, name), "--node", name, "--ops", freeAddr(c.t),
		"--cluster-secret", filepath.Join(c.data, "cluster.secret")}
	if role == "router" {
		return append(append(args, "--router-listen", freeAddr(c.t)), append(c.shared, more...)...)
	}
	if role != "mailbox" && role != "relay" {
		args = append(args, "--http", freeAddr(c.t), "--link", freeAddr(c.t))
	}
	if role != "gateway" {
		args = append(args, "--role-listen", freeAddr(c.t))
	}
	return append(append(args, c.shared...), more...)
}

func (c *nodes) mailbox(name string, more ...string) *server {
	c.t.Helper()
	return startNode(c.t, c.args("mailbox", name, more...)...)
}

func (c *nodes) gateway(more ...string) *server {
	c.t.Helper()
	return startNode(c.t, c.args("gateway", "gate", more...)...)
}

// status is what skein cluster status says.
type status struct {
	Nodes []struct {
		Node, State string
		Due         int   `json:"slots_due"`
		Held        int   `json:"slots_held"`
		Links       int64 `json:"links"`
	}
	Moving int
	Policy struct {
		Pins   []any
		Canary struct{ Percent float64 }
	}
}

func (c *nodes) status() status {
	c.t.Helper()
	st, err := c.askStatus()
	if err != nil {
		c.t.Fatal(err)
	}
	return st
}

func (c *nodes) askStatus() (st status, err error) {
	c.t.Helper()
	out, err := run(c.t, "", append([]string{"cluster", "status", "--json"}, c.shared...)...)
	if err == nil {
		err = json.Unmarshal([]byte(out), &st)
	}
	return st, err
}

// await waits until the nodes' state satisfies a condition. A store that does not
// answer for a moment, because the machine has too much to do, is asked again.
func (c *nodes) await(what string, ok func(st status) bool) {
	c.t.Helper()
	ctx := testContext(c.t)
	for {
		st, err := c.askStatus()
		if err == nil && ok(st) {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			c.t.Fatalf("%s: it does not happen: %+v, %v", what, st, err)
		}
	}
}

// settled: so many nodes are there, and every slot is with who is due to serve it.
func settled(n int) func(st status) bool {
	return func(st status) bool { return len(st.Nodes) == n && st.Moving == 0 }
}
