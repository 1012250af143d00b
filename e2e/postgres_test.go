package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/skein-im/skein/internal/store/postgres/pgtest"
)

// sharedPostgres is one server for all tests, each of which has a schema of its
// own.
var sharedPostgres struct {
	once   sync.Once
	server *pgtest.Server
	err    error
	used   atomic.Int64
}

// needPostgres skips a test where no PostgreSQL is installed, unless it must be.
func needPostgres(t *testing.T) {
	t.Helper()
	if _, err := pgtest.Find(); errors.Is(err, pgtest.ErrMissing) && os.Getenv("TEST_NEED_POSTGRES") == "" {
		t.Skip(err)
	}
}

// postgresArgs are the settings of nodes that share a store of their own.
func postgresArgs(t *testing.T) []string {
	t.Helper()
	needPostgres(t)
	p := &sharedPostgres
	p.once.Do(func() { p.server, p.err = pgtest.Start() })
	if p.err != nil {
		t.Fatal(p.err)
	}
	return []string{"--store", "postgres", "--postgres", p.server.URL(), "--postgres-schema", fmt.Sprintf("t%d", p.used.Add(1))}
}

// ownPostgres are nodes with a server of their own.
func ownPostgres(t *testing.T) (*nodes, *pgtest.Server) {
	t.Helper()
	needPostgres(t)
	server, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return newPostgresNodes(t, filepath.Join(t.TempDir(), "data"), []string{"--store", "postgres", "--postgres", server.URL()}), server
}

func stopPostgres() {
	if s := sharedPostgres.server; s != nil {
		_ = s.Stop()
	}
}

// newPostgresNodes are nodes that share a store in PostgreSQL.
func newPostgresNodes(t *testing.T, data string, shared []string) *nodes {
	t.Helper()
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	return &nodes{t, data, shared}
}

// Nodes on PostgreSQL share the mailboxes, and serve clients.
func TestServeOverPostgres(t *testing.T) {
	t.Parallel()
	c := newPostgresNodes(t, filepath.Join(t.TempDir(), "data"), postgresArgs(t))
	one := startNode(t, c.args("serve", "one")...)
	two := startNode(t, c.args("serve", "two")...)
	c.await("they share the slots", settled(2))
	_, first := benchChat(t, one, "--users", "50", "--friends", "5", "--rate", "200", "--duration", "2s")
	first().check(t)
	one.stop(t)
	c.await("the other one has all", settled(1))
	two.stop(t)
}

// The primary of a PostgreSQL with two standbys, one of which has to confirm, dies:
// the standby that has more is promoted, and nothing that was acknowledged is gone,
// without the dead server.
func TestPostgresPrimaryDies(t *testing.T) {
	needPostgres(t)
	servers, err := pgtest.StartCluster(2, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Stop(); err != nil {
			t.Error(err)
		}
	})
	c := newPostgresNodes(t, filepath.Join(t.TempDir(), "data"), []string{"--store", "postgres", "--postgres", pgtest.URL(servers.Servers...)})
	x := c.trial(untilJudged, c.mailbox("one"), c.mailbox("two"))
	servers.Primary.Kill()
	if err := servers.Failover(testContext(t)); err != nil {
		t.Fatal(err)
	}
	x.lasts(0)
	x.judge(served())
}
