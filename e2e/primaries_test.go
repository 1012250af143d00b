package e2e

import (
	"cmp"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/store/redis/redistest"
)

// Primaries of the Redis Cluster that nodes share die: the cluster promotes
// replicas, and nothing that was acknowledged is gone. Where one of two replicas
// has to confirm a write, everything goes on; where all have to (-1), it does when
// the dead server is there again; where those have to that could be promoted (-2),
// without it. The long runs set how often each is tried (TEST_REDIS_TRIALS), with
// which --redis-replicas (TEST_REDIS_REPLICAS), and how long after its death a
// server is started again (TEST_REDIS_AWAY).
func TestRedisPrimaryDies(t *testing.T) {
	t.Parallel()
	for _, replicas := range strings.Split(cmp.Or(os.Getenv("TEST_REDIS_REPLICAS"), "1,-1"), ",") {
		t.Run("replicas "+replicas, func(t *testing.T) { killPrimaries(t, replicas) })
	}
}

// primaryTrials is how many primaries are killed, away how long each is down.
func primaryTrials(t *testing.T) (n int, away time.Duration) {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("TEST_REDIS_TRIALS"), "1"))
	if err != nil {
		t.Fatal(err)
	}
	away, err = time.ParseDuration(cmp.Or(os.Getenv("TEST_REDIS_AWAY"), "4s"))
	if err != nil {
		t.Fatal(err)
	}
	return n, away
}

func killPrimaries(t *testing.T, replicas string) {
	trials, away := primaryTrials(t)
	x, servers := overCluster(t, replicas)
	var excess []time.Duration
	for n := range trials {
		x.chat(lasting(8))
		failover := killOne(t, servers, away)
		r := x.verdict()
		ack, delivery := r.waits()
		t.Logf("trial %d, replicas %s: slots served again by Redis after %v (dead server started after %v), longest wait for an ack %v, for a delivery %v; %d acknowledged, %d lost, %d duplicated, %d reordered",
			n+1, replicas, failover.Round(10*time.Millisecond), away, ack, delivery, r.Acked, r.Lost, r.Duplicated, r.Reordered)
		r.check(t)
		if r.Reconnects > 0 {
			t.Errorf("%d links broke", r.Reconnects)
		}
		if max(ack, delivery) > failover+away+served() {
			t.Error("somebody waited too long")
		}
		excess = append(excess, max(ack, delivery)-failover)
		if err := servers.AwaitReady(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(excess)
	t.Logf("replicas %s: %d kills; the longest waits were between %v and %v, in the median %v, longer than the failover",
		replicas, trials, excess[0], excess[len(excess)-1], excess[len(excess)/2])
}

// overCluster starts two mailbox nodes and a gateway over a Redis Cluster of
// three primaries with two replicas each.
func overCluster(t *testing.T, replicas string) (*trial, *redistest.Cluster) {
	t.Helper()
	c, servers := newClusterNodes(t, 2)
	confirm := []string{"--redis-replicas", replicas}
	x := &trial{nodes: c, one: c.mailbox("one", confirm...), two: c.mailbox("two", confirm...), gate: c.gateway(confirm...)}
	c.await("the nodes share the slots", settled(3))
	return x, servers
}

// killOne kills a primary, starts it again some time later, and returns after
// what time its slots were served: by a replica that was promoted, or by itself.
func killOne(t *testing.T, servers *redistest.Cluster, away time.Duration) (failover time.Duration) {
	t.Helper()
	ctx := testContext(t)
	slot := uint16(rand.IntN(16384))
	victim, err := servers.Owner(ctx, slot)
	if err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	victim.Kill()
	for failover == 0 || victim.Down() {
		if failover == 0 {
			owner, err := servers.Owner(ctx, slot)
			if err == nil && !owner.Down() {
				failover = time.Since(killed)
			}
		}
		if victim.Down() && time.Since(killed) > away {
			if err := victim.Restart(); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("nobody serves the slots of the dead server")
		}
	}
	return failover
}
