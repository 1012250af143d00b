package redis

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/redis/redistest"
)

// trials is how often a test of failures is repeated: TEST_REDIS_TRIALS=20.
func trials() int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("TEST_REDIS_TRIALS"), "1"))
	if err != nil {
		panic(err)
	}
	return n
}

// between lets so much time pass between two failovers that the second one is
// not run by the clocks of the first: for four times the node timeout after it
// has lost an election, a replica starts the next one at once, even if another
// has more.
func between(t *testing.T, trial int) {
	t.Helper()
	if trial == 0 {
		return
	}
	select {
	case <-time.After(9 * time.Second):
	case <-t.Context().Done():
		t.FailNow()
	}
}

// TestKilledPrimary: SIGKILL of a primary during commits loses nothing that
// was acknowledged, and commits go on when a replica has been promoted. In
// every second trial, one replica has been away for a moment and is behind.
func TestKilledPrimary(t *testing.T) {
	for trial := range trials() {
		servers := cluster(t)
		between(t, trial)
		opts := options(servers, 1)
		c := startChat(t, opts, 3, 8)
		c.await(100)
		victim := primaryOf(t, servers, opts.Prefix, im.User(im.UserID(1+rand.IntN(20))))
		var behind *redistest.Server
		if trial%2 == 1 {
			behind = replicaOf(t, servers, victim)
			behind.Pause()
			c.await(20)
		}
		killed := time.Now()
		victim.Kill()
		if behind != nil {
			behind.Resume()
		}
		awaitPromotion(t, servers, victim)
		promoted := time.Since(killed)
		c.await(100)
		healthy(t, servers)
		c.await(20)
		r := c.end()
		t.Logf("trial %d, behind %v: %d entries acknowledged, %d lost, %d commits failed, promotion after %v, longest interruption %v",
			trial, behind != nil, r.acked, r.lost, r.recoveries, promoted.Round(time.Millisecond), r.gap.Round(time.Millisecond))
		if r.lost > 0 {
			t.Errorf("%d acknowledged entries are gone", r.lost)
		}
	}
}

// replicaOf is a replica that follows a primary.
func replicaOf(t testing.TB, servers *redistest.Cluster, primary *redistest.Server) *redistest.Server {
	t.Helper()
	_, port, err := net.SplitHostPort(primary.Addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range servers.Servers {
		if s == primary || s.Down() {
			continue
		}
		if p, err := s.Info(context.Background(), "master_port"); err != nil {
			t.Fatal(err)
		} else if p == port {
			return s
		}
	}
	t.Fatalf("%s has no replica", primary.Addr)
	return nil
}

// TestPausedPrimary: a primary that hangs until another has been promoted, and
// then goes on with the commits it had in hand, acknowledges none of them.
func TestPausedPrimary(t *testing.T) {
	for trial := range trials() {
		servers := cluster(t)
		opts := options(servers, 1)
		// Commits must still be on their way when it comes back.
		opts.ReplyTimeout = 20 * time.Second
		opts.Timeout = 40 * time.Second
		c := startChat(t, opts, 3, 8)
		c.await(100)
		victim := primaryOf(t, servers, opts.Prefix, c.chatters[0].addrs[0])
		victim.Pause()
		awaitPromotion(t, servers, victim)
		victim.Resume()
		c.await(100)
		r := c.end()
		t.Logf("trial %d: %d entries acknowledged, %d lost, %d commits failed, longest interruption %v",
			trial, r.acked, r.lost, r.recoveries, r.gap.Round(time.Millisecond))
		if r.lost > 0 {
			t.Errorf("%d acknowledged entries are gone", r.lost)
		}
		healthy(t, servers)
	}
}

// awaitPromotion waits until a server that is down has no slots any more.
func awaitPromotion(t *testing.T, servers *redistest.Cluster, old *redistest.Server) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		has, err := servers.HasSlots(t.Context(), old)
		if err != nil {
			t.Fatal(err)
		}
		if !has {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("nobody was promoted")
		}
	}
}

// TestSingleRestart: a server alone that is killed and started again has all
// that it acknowledged.
func TestSingleRestart(t *testing.T) {
	single(t) // or skip
	s, err := redistest.Start(redistest.Safe()...)
	servers := need(t, &redistest.Cluster{Servers: []*redistest.Server{s}, Primaries: 1}, err)
	t.Cleanup(func() { _ = s.Stop() })
	c := startChat(t, options(servers, 0), 2, 8)
	for range 3 {
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

// TestReshard: slots move from server to server during commits, none of which
// fails.
func TestReshard(t *testing.T) {
	servers := cluster(t)
	opts := options(servers, 1)
	c := startChat(t, opts, 3, 8)
	c.await(20)
	k := newKeyspace(opts.Prefix)
	ctx := t.Context()
	for round := range 2 {
		for _, ch := range c.chatters {
			for _, a := range ch.addrs[:3] {
				if err := servers.MoveSlot(ctx, k.places[a.Slot()], primaryNumber(t, servers, round+int(a.ID))); err != nil {
					t.Fatal(err)
				}
			}
		}
		c.await(20)
	}
	moved := uint64(0)
	for _, ch := range c.chatters {
		moved += ch.s.Metrics().Moved
	}
	r := c.end()
	if r.lost > 0 || r.recoveries > 0 || moved == 0 {
		t.Errorf("%d of %d acknowledged entries are gone, %d commits failed, %d calls were redirected", r.lost, r.acked, r.recoveries, moved)
	}
	t.Logf("%d entries acknowledged, %d calls redirected, longest interruption %v", r.acked, moved, r.gap.Round(time.Millisecond))
}

// primaryNumber is one of the servers that are primaries now.
func primaryNumber(t *testing.T, servers *redistest.Cluster, n int) *redistest.Server {
	t.Helper()
	var all []*redistest.Server
	for _, s := range servers.Servers {
		role, err := s.Info(t.Context(), "role")
		if err != nil {
			t.Fatal(err)
		}
		if role == "master" {
			all = append(all, s)
		}
	}
	return all[n%len(all)]
}

// TestAllConfirm: where all replicas confirm, it does not matter which of them
// is promoted, nor how soon after the last time.
func TestAllConfirm(t *testing.T) {
	for trial := range trials() {
		servers := cluster(t)
		opts := options(servers, AllReplicas)
		c := startChat(t, opts, 3, 8)
		c.await(50)
		victim := primaryOf(t, servers, opts.Prefix, c.chatters[0].addrs[0])
		behind := replicaOf(t, servers, victim)
		behind.Pause()
		awaitUnconfirmed(t, c)
		victim.Kill()
		behind.Resume()
		awaitPromotion(t, servers, victim)
		healthy(t, servers)
		c.await(20)
		r := c.end()
		t.Logf("trial %d: %d entries acknowledged, %d lost, %d commits failed, longest interruption %v",
			trial, r.acked, r.lost, r.recoveries, r.gap.Round(time.Millisecond))
		if r.lost > 0 {
			t.Errorf("%d acknowledged entries are gone", r.lost)
		}
	}
}

// awaitUnconfirmed waits until commits fail for want of replicas.
func awaitUnconfirmed(t *testing.T, c *chat) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for c.chatters[0].s.Metrics().Unconfirmed == 0 {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.FailNow()
		}
	}
}
