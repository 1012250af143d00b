package postgres

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/postgres/pgtest"
	"github.com/skein-im/skein/internal/store/storetest"
)

// servers are started by the first test that needs them, and shared: every
// store has a schema of its own.
var shared struct {
	single  func() (*pgtest.Server, error)
	cluster func() (*pgtest.Cluster, error)
	schemas atomic.Int64
	started []interface{ Stop() error }
}

func TestMain(m *testing.M) {
	shared.single = sync.OnceValues(func() (*pgtest.Server, error) {
		s, err := pgtest.Start()
		if err == nil {
			shared.started = append(shared.started, s)
		}
		return s, err
	})
	shared.cluster = sync.OnceValues(func() (*pgtest.Cluster, error) {
		c, err := pgtest.StartCluster(2, 1)
		if err == nil {
			shared.started = append(shared.started, c)
		}
		return c, err
	})
	// Many commits wait for the disk one after the other; that it keeps what it
	// has synced is not tested here.
	if dir := pgtest.Memory(); dir != "" {
		_ = os.Setenv("TMPDIR", dir)
	}
	// Of random runs, fewer than usual: a commit takes milliseconds.
	flag.Parse()
	if err := flag.Set("rapid.checks", "8"); err != nil {
		panic(err)
	}
	code := m.Run()
	for _, s := range shared.started {
		if err := s.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// need ends a test that got no server: it fails, unless none is installed and
// nobody said that one is needed.
func need[S any](t testing.TB, s S, err error) S {
	t.Helper()
	if errors.Is(err, pgtest.ErrMissing) && os.Getenv("TEST_NEED_POSTGRES") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// single is a server without standbys.
func single(t testing.TB) *pgtest.Server {
	t.Helper()
	s, err := shared.single()
	return need(t, s, err)
}

// cluster is a primary and two standbys, one of which confirms; none is down.
func cluster(t testing.TB) *pgtest.Cluster {
	t.Helper()
	c, err := shared.cluster()
	return need(t, c, err)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// options are for an empty store on servers.
func options(url string) Options {
	return Options{URL: url, Logger: quiet(), Standbys: FromServer, Schema: fmt.Sprintf("t%d", shared.schemas.Add(1))}
}

func mustOpen(t testing.TB, opts Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// describe is for a test that waits in vain: it says what the cluster knows, if it
// is what a store was opened with.
func describe(url string) storetest.Description {
	return func() string {
		for _, s := range shared.started {
			if c, ok := s.(*pgtest.Cluster); ok && pgtest.URL(c.Servers...) == url {
				return c.Describe(context.Background())
			}
		}
		return ""
	}
}

// startChat lets some chatters, with a store each, write to users of theirs.
func startChat(t testing.TB, opts Options, chatters, users int) *storetest.Chat {
	t.Helper()
	return storetest.StartChat(t, storetest.ChatConfig{
		Open:     func() store.Store { return mustOpen(t, opts) },
		Chatters: chatters, Users: users, Describe: describe(opts.URL),
	})
}

func TestConformance(t *testing.T) {
	t.Run("Single", func(t *testing.T) {
		t.Parallel()
		s := single(t)
		storetest.Run(t, func(t *testing.T) store.Store { return mustOpen(t, options(s.URL())) })
	})
	t.Run("Standbys", func(t *testing.T) {
		c := cluster(t)
		storetest.Run(t, func(t *testing.T) store.Store {
			opts := options(pgtest.URL(c.Servers...))
			opts.ReplyTimeout = 10 * time.Second
			return stalling{mustOpen(t, opts), c}
		})
	})
}

// stalling is a store of whose servers no standby confirms anything while it is
// stalled.
type stalling struct {
	*Store
	servers *pgtest.Cluster
}

// Stall implements storetest.Staller.
func (s stalling) Stall() func() {
	for _, b := range s.servers.Standbys() {
		b.Pause()
	}
	return func() {
		for _, b := range s.servers.Standbys() {
			b.Resume()
		}
	}
}
