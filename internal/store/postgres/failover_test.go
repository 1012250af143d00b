package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/postgres/pgtest"
	"github.com/skein-im/skein/internal/store/storetest"
)

// trials is how often a test of failures is repeated: TEST_POSTGRES_TRIALS=20.
func trials() int { return storetest.Trials("TEST_POSTGRES_TRIALS") }

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
		c.Await(50)
		behind := servers.Standbys()[trial%2]
		behind.Pause()
		c.Await(20)
		old := servers.Primary
		killed := time.Now()
		old.Kill()
		behind.Resume()
		failover(t, servers)
		promoted := time.Since(killed)
		c.Await(50)
		gap := c.Longest()
		healthy(t, servers)
		c.Await(20)
		t.Logf("trial %d: %v, promotion after %v, interruption until then %v",
			trial, c.End(), promoted.Round(time.Millisecond), gap.Round(time.Millisecond))
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
		c.Await(50)
		old := servers.Primary
		old.Pause()
		failover(t, servers)
		old.Resume()
		c.Await(50)
		t.Logf("trial %d: %v", trial, c.End())
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
	if err := s.Commit(t.Context(), storetest.One(a, storetest.Acquire(t, s, a), 1, "before")); err != nil {
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
		storetest.Acquire(t, s, a)
		if got := storetest.Texts(t, s, a); len(got) != 1 {
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
		c.Await(50)
		s.Kill()
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	c.Await(50)
	if r := c.End(); r.Recoveries == 0 {
		t.Errorf("no commit has failed: %v", r)
	}
}
