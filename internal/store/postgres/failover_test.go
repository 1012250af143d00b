package postgres

import (
	"cmp"
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/postgres/pgtest"
)

// trials is how often a test of failures is repeated: TEST_POSTGRES_TRIALS=20.
func trials() int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("TEST_POSTGRES_TRIALS"), "1"))
	if err != nil {
		panic(err)
	}
	return n
}

// failover has the servers' manager promote a standby.
func failover(t *testing.T, servers *pgtest.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := servers.Failover(ctx); err != nil {
		t.Fatal(err)
	}
}

// healthy brings back what is down, and waits until all follow the primary.
func healthy(t testing.TB, servers *pgtest.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, s := range servers.Standbys() {
		if s.Down() {
			if err := servers.Return(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := servers.AwaitFollowing(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestKilledPrimary: SIGKILL of the primary during commits loses nothing that was
// acknowledged, and commits go on when a standby has been promoted, without the
// dead server. One standby has been away for a moment in every trial, and is
// behind; another failure follows as soon as the first one is over.
func TestKilledPrimary(t *testing.T) {
	servers := cluster(t)
	for trial := range trials() {
		opts := options(pgtest.URL(servers.Servers...))
		c := startChat(t, opts, 3, 8)
		c.await(50)
		behind := servers.Standbys()[trial%2]
		behind.Pause()
		c.await(20)
		old := servers.Primary
		killed := time.Now()
		old.Kill()
		behind.Resume()
		failover(t, servers)
		promoted := time.Since(killed)
		c.await(50)
		gap := c.longest()
		healthy(t, servers)
		c.await(20)
		r := c.end()
		t.Logf("trial %d: %d entries acknowledged, %d lost, %d commits failed, promotion after %v, interruption %v",
			trial, r.acked, r.lost, r.recoveries, promoted.Round(time.Millisecond), gap.Round(time.Millisecond))
		if r.lost > 0 {
			t.Errorf("%d acknowledged entries are gone", r.lost)
		}
	}
}

// TestPausedPrimary: a primary that hangs until another server has been promoted,
// and then goes on with the commits that it had in hand, acknowledges none of them,
// and is not used any more.
func TestPausedPrimary(t *testing.T) {
	servers := cluster(t)
	for trial := range trials() {
		opts := options(pgtest.URL(servers.Servers...))
		// Commits must still be on their way when it comes back.
		opts.ReplyTimeout, opts.Timeout = 2*time.Second, 20*time.Second
		c := startChat(t, opts, 3, 8)
		c.await(50)
		old := servers.Primary
		old.Pause()
		failover(t, servers)
		old.Resume()
		c.await(50)
		r := c.end()
		t.Logf("trial %d: %d entries acknowledged, %d lost, %d commits failed, longest interruption %v",
			trial, r.acked, r.lost, r.recoveries, r.gap.Round(time.Millisecond))
		if r.lost > 0 {
			t.Errorf("%d acknowledged entries are gone", r.lost)
		}
		// It still thinks that it is the primary.
		alone := opts
		alone.URL, alone.ReplyTimeout, alone.Timeout = old.URL(), time.Second, time.Second
		if s, err := Open(t.Context(), alone); err == nil {
			_ = s.Close()
			t.Error("a primary that has been replaced can be opened by itself")
		}
		old.Pause()
		healthy(t, servers)
	}
}

// TestOldPrimaryFirst: of two servers that take writes, the one that was promoted
// last is found, wherever in the URL it is.
func TestOldPrimaryFirst(t *testing.T) {
	servers := cluster(t)
	opts := options(pgtest.URL(servers.Servers...))
	s := mustOpen(t, opts)
	a := im.User(1)
	if err := s.Commit(t.Context(), one(a, acquire(t, s, a), 1, "before")); err != nil {
		t.Fatal(err)
	}
	old := servers.Primary
	old.Kill()
	failover(t, servers)
	if err := old.Restart(); err != nil {
		t.Fatal(err)
	}
	opts.URL = pgtest.URL(append([]*pgtest.Server{old}, servers.Servers...)...)
	for range 3 {
		s := mustOpen(t, opts)
		acquire(t, s, a)
		if got := texts(t, s, a); len(got) != 1 {
			t.Fatalf("log %q", got)
		}
	}
	old.Pause()
	healthy(t, servers)
}

// TestSingleRestart: a server alone that is killed and started again has all that
// it acknowledged.
func TestSingleRestart(t *testing.T) {
	t.Parallel()
	s := server(t)
	c := startChat(t, options(s.URL()), 2, 8)
	for range 2 {
		c.await(50)
		s.Kill()
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	c.await(50)
	if r := c.end(); r.lost > 0 || r.recoveries == 0 {
		t.Errorf("%d of %d acknowledged entries are gone after %d failed commits", r.lost, r.acked, r.recoveries)
	}
}
