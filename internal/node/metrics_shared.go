package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/remote"
	"github.com/skein-im/skein/internal/route"
	"github.com/skein-im/skein/internal/store/pebble"
	"github.com/skein-im/skein/internal/store/postgres"
	"github.com/skein-im/skein/internal/store/redis"
	"github.com/skein-im/skein/internal/store/tenure"
)

// storeMetrics are the store's numbers; of a shared one, only those that every
// engine has.
func (n *Node) storeMetrics() pebble.Metrics {
	if n.shared == nil {
		return n.back.store.Metrics()
	}
	var m tenure.Metrics
	switch st := n.shared.store.(type) {
	case *redis.Store:
		m = st.Metrics().Metrics
	case *postgres.Store:
		m = st.Metrics().Metrics
	}
	return pebble.Metrics{CommitTimes: m.CommitTimes, Fenced: m.Fenced}
}

// sharedSample is what a node that shares its store says of that and of the
// others.
type sharedSample struct {
	members []cluster.Member
	useless uint64
	route   route.Stats
	links   remote.ClientStats
}

func (n *Node) sharedCollector() prometheus.Collector {
	c := &collector[sharedSample]{samples: func() []sharedSample {
		members, _ := n.shared.membership.Members()
		return []sharedSample{{cluster.Nodes(members), n.shared.membership.Useless(), n.route.Stats(), n.linkStats()}}
	}}
	c.gauge("skein_cluster_members", "Nodes that share the store.", func(s *sharedSample) float64 { return float64(len(s.members)) })
	c.gauge("skein_cluster_mailboxes", "Those of them that have mailboxes.", func(s *sharedSample) float64 { return float64(s.route.Nodes) })
	c.count("skein_cluster_useless_records_total", "Times that a node's record was read that was of no use.", func(s *sharedSample) float64 { return float64(s.useless) })
	c.count("skein_route_repeated_total", "Commands submitted again because another node serves their entity.", func(s *sharedSample) float64 { return float64(s.route.Repeated) })
	c.count("skein_route_corrected_total", "Commands that went on at once to the node that the one before had named.", func(s *sharedSample) float64 { return float64(s.route.Corrected) })
	c.gauge("skein_route_waiting", "Commands that wait to be submitted again.", func(s *sharedSample) float64 { return float64(s.route.Waiting) })
	c.count("skein_route_unknown_sessions_total", "Commands about sessions that no node has.", func(s *sharedSample) float64 { return float64(s.route.Unrouted) })
	c.count("skein_route_forwarded_total", "Link messages sent to other nodes.", func(s *sharedSample) float64 { return float64(s.links.Forwarded) })
	c.count("skein_route_dropped_total", "Link messages for other nodes that found no link, or no room; they are sent again.", func(s *sharedSample) float64 { return float64(s.route.Dropped + s.links.Dropped) })
	return c
}

// engineCollector has the numbers of one engine only.
func (n *Node) engineCollector() prometheus.Collector {
	switch st := n.shared.store.(type) {
	case *redis.Store:
		return redisCollector(st)
	case *postgres.Store:
		return postgresCollector(st)
	}
	return &collector[struct{}]{samples: func() []struct{} { return nil }}
}

func redisCollector(st *redis.Store) prometheus.Collector {
	c := &collector[redis.Metrics]{samples: func() []redis.Metrics { return []redis.Metrics{st.Metrics()} }}
	c.count("skein_redis_unconfirmed_total", "Times that too few replicas confirmed a write in time.", func(m *redis.Metrics) float64 { return float64(m.Unconfirmed) })
	c.count("skein_redis_unknown_total", "Commits that a server did not answer.", func(m *redis.Metrics) float64 { return float64(m.Unknown) })
	c.count("skein_redis_holes_total", "Commits refused because acknowledged entries before them are gone.", func(m *redis.Metrics) float64 { return float64(m.Holes) })
	c.count("skein_redis_retries_total", "Calls made again.", func(m *redis.Metrics) float64 { return float64(m.Retries) })
	c.count("skein_redis_moved_total", "Those of them that another server has now.", func(m *redis.Metrics) float64 { return float64(m.Moved) })
	return c
}

func postgresCollector(st *postgres.Store) prometheus.Collector {
	c := &collector[postgres.Metrics]{samples: func() []postgres.Metrics { return []postgres.Metrics{st.Metrics()} }}
	c.count("skein_postgres_unconfirmed_total", "Times that too few standbys confirmed a write in time.", func(m *postgres.Metrics) float64 { return float64(m.Unconfirmed) })
	c.count("skein_postgres_unknown_total", "Commits whose fate is unknown.", func(m *postgres.Metrics) float64 { return float64(m.Unknown) })
	c.count("skein_postgres_holes_total", "Commits refused because acknowledged entries before them are gone.", func(m *postgres.Metrics) float64 { return float64(m.Holes) })
	c.count("skein_postgres_retries_total", "Transactions run again.", func(m *postgres.Metrics) float64 { return float64(m.Retries) })
	c.count("skein_postgres_looks_total", "Times that the primary was looked for among the servers.", func(m *postgres.Metrics) float64 { return float64(m.Looks) })
	return c
}
