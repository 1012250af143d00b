package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/redis/redistest"
	"github.com/skein-im/skein/internal/store/storetest"
)

// servers are started by the first test that needs them, and shared: every
// store has keys of its own.
var servers struct {
	single, cluster func() (*redistest.Cluster, error)
	prefixes        atomic.Int64
	started         []*redistest.Cluster
}

func TestMain(m *testing.M) {
	once := func(start func() (*redistest.Cluster, error)) func() (*redistest.Cluster, error) {
		return sync.OnceValues(func() (*redistest.Cluster, error) {
			c, err := start()
			if err == nil {
				servers.started = append(servers.started, c)
			}
			return c, err
		})
	}
	servers.single = once(func() (*redistest.Cluster, error) {
		s, err := redistest.Start(redistest.Safe()...)
		return &redistest.Cluster{Servers: []*redistest.Server{s}, Primaries: 1}, err
	})
	servers.cluster = once(func() (*redistest.Cluster, error) {
		return redistest.StartCluster(3, 2, redistest.ClusterSettings()...)
	})
	code := m.Run()
	for _, c := range servers.started {
		if err := c.Stop(); err != nil {
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

// need ends a test that got no servers: it fails, unless none are installed
// and nobody said that they are needed.
func need(t testing.TB, c *redistest.Cluster, err error) *redistest.Cluster {
	t.Helper()
	if errors.Is(err, redistest.ErrMissing) && os.Getenv("TEST_NEED_REDIS") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// single is a server without replicas.
func single(t testing.TB) *redistest.Cluster {
	t.Helper()
	c, err := servers.single()
	return need(t, c, err)
}

// cluster is nine servers, of which none is down.
func cluster(t testing.TB) *redistest.Cluster {
	t.Helper()
	c, err := servers.cluster()
	return need(t, c, err)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// options are for an empty store on servers.
func options(c *redistest.Cluster, replicas int) Options {
	return Options{
		Addresses: c.Addrs(), Replicas: replicas, Logger: quiet(),
		Prefix: fmt.Sprintf("t%d:", servers.prefixes.Add(1)),
	}
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

// describe is for a test that waits in vain: it says what the servers that a store
// was opened with know.
func describe(addrs []string) storetest.Description {
	return func() string {
		for _, c := range servers.started {
			if slices.Equal(c.Addrs(), addrs) {
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
		Chatters: chatters, Users: users, Describe: describe(opts.Addresses),
	})
}

// inTwo opens a store twice. What is to be confirmed goes through the first, which
// waits for as long as a slow disk may take, and what is not through the second,
// which does not wait for long.
func inTwo(t testing.TB, opts Options) (sure, hasty *Store) {
	t.Helper()
	quick := opts
	quick.ReplicaTimeout = 700 * time.Millisecond
	return mustOpen(t, patient(opts)), mustOpen(t, quick)
}

// patient waits for replicas for as long as a slow disk may take.
func patient(opts Options) Options {
	opts.ReplicaTimeout, opts.ReplyTimeout, opts.Timeout = time.Minute, time.Minute, 2*time.Minute
	return opts
}

func TestConformance(t *testing.T) {
	t.Run("Single", func(t *testing.T) {
		c := single(t)
		storetest.Run(t, func(t *testing.T) store.Store { return mustOpen(t, options(c, 0)) })
	})
	t.Run("Cluster", func(t *testing.T) {
		c := cluster(t)
		storetest.Run(t, func(t *testing.T) store.Store {
			opts := options(c, 1)
			opts.ReplicaTimeout, opts.ReplyTimeout = 10*time.Second, 10*time.Second
			return stalling{mustOpen(t, opts), c}
		})
	})
}

// stalling is a store of whose servers no replica confirms anything while it
// is stalled.
type stalling struct {
	*Store
	servers *redistest.Cluster
}

// Stall implements storetest.Staller.
func (s stalling) Stall() func() {
	replicas := s.servers.Servers[s.servers.Primaries:]
	for _, r := range replicas {
		r.Pause()
	}
	return func() {
		for _, r := range replicas {
			r.Resume()
		}
	}
}

func TestPlace(t *testing.T) {
	c := cluster(t)
	k := newKeyspace("x:")
	for _, slot := range []im.Slot{0, 1, 42, 4095} {
		m, err := c.Servers[0].Do(t.Context(), "CLUSTER", "KEYSLOT", k.epoch(slot))
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := m.ToInt64(); got != int64(k.places[slot]) {
			t.Errorf("slot %d is in Redis slot %d, not %d", slot, got, k.places[slot])
		}
	}
}
