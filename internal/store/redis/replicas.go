package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// AllReplicas, as Options.Replicas, is as many replicas as the cluster lists for
// any of its primaries, whether they are there or not, and never fewer than it
// has listed once. Of a server alone it is none.
//
// It is what keeps acknowledged writes whoever is promoted: Redis does not see to
// it that the replica with the most data is. What a primary itself has at the
// moment is not the number to wait for: the lists lag behind, and a replica that
// has just come back can be promoted before it is on them.
const AllReplicas = -1

// confirms reports whether replicas have to confirm writes.
func (s *Store) confirms() bool {
	return s.opts.Replicas > 0 || s.opts.Replicas < 0 && s.topology.cluster
}

// wanted is how many replicas have to confirm a write.
func (s *Store) wanted() int {
	if s.opts.Replicas < 0 {
		return int(s.topology.replicas.Load())
	}
	return s.opts.Replicas
}

// awaited is how many confirmations of a write a server waits for, and how long.
// Where some replicas were found not to count the last time, it is those that did.
func (s *Store) awaited(n *node) (replicas int, most time.Duration) {
	replicas, most = s.wanted(), s.opts.ReplicaTimeout
	if s.opts.Replicas == ElectableReplicas {
		most = min(most, electableWait)
	}
	if few := int(n.electable.Load()); few > 0 {
		replicas = min(few, replicas)
	}
	return replicas, most
}

// countEvery is how often it is looked how many replicas there are: one that joins
// is to confirm writes before it is promoted.
const countEvery = time.Second

// recount counts replicas again when it is time. A server that cannot tell leaves
// the count as it is: there are never fewer.
func (t *topology) recount(ctx context.Context, n *node) {
	last, now := t.counted.Load(), time.Now().UnixNano()
	if t.opts.Replicas >= 0 || !t.cluster || now-last < int64(countEvery) || !t.counted.CompareAndSwap(last, now) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, t.opts.DialTimeout)
	defer cancel()
	if err := t.count(ctx, n); err != nil {
		t.opts.Logger.Debug("replicas cannot be counted", "server", n.addr, "err", err)
	}
}

// count takes one server's word for how many replicas primaries have.
func (t *topology) count(ctx context.Context, n *node) error {
	text, err := report(n.do(ctx, "CLUSTER", "NODES"))
	if err != nil {
		return err
	}
	most, err := mostReplicas(text)
	if err == nil && most > t.replicas.Load() {
		t.replicas.Store(most)
	}
	return err
}

// mostReplicas reads CLUSTER NODES: identifier, address, flags, primary, and
// more.
func mostReplicas(text string) (most int32, err error) {
	replicas := map[string]int32{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 4 {
			return 0, fmt.Errorf("CLUSTER NODES answered %q", line)
		}
		if slices.Contains(strings.Split(f[2], ","), "slave") {
			replicas[f[3]]++
			most = max(most, replicas[f[3]])
		}
	}
	return most, nil
}
