package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
	return s.opts.Replicas > 0 || s.opts.Replicas == AllReplicas && s.topology.cluster
}

// wanted is how many replicas have to confirm a write.
func (s *Store) wanted() int {
	if s.opts.Replicas == AllReplicas {
		return int(s.topology.replicas.Load())
	}
	return s.opts.Replicas
}

// count takes one server's word for how many replicas primaries have.
func (t *topology) count(ctx context.Context, n *node) error {
	text, err := n.do(ctx, "CLUSTER", "NODES").ToString()
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
