package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/remote"
	"github.com/skein-im/skein/internal/route"
	"github.com/skein-im/skein/internal/store/pebble"
	"github.com/skein-im/skein/internal/store/redis"
)

// storeMetrics are the store's numbers; of a shared one, only those that every
// engine has.
func (n *Node) storeMetrics() pebble.Metrics {
	if n.shared == nil {
		return n.back.store.Metrics()
	}
	m := n.shared.store.Metrics()
	return pebble.Metrics{CommitTimes: m.CommitTimes, Fenced: m.Fenced}
}

// sharedSample is what a node that shares its store says of that and of the
// others.
type sharedSample struct {
	store   redis.Metrics
	members []cluster.Member
	route   route.Stats
	links   remote.ClientStats
}

func (n *Node) sharedCollector() prometheus.Collector {
	c := &collector[sharedSample]{samples: func() []sharedSample {
		members, _ := n.shared.membership.Members()
		return []sharedSample{{n.shared.store.Metrics(), cluster.Nodes(members), n.route.Stats(), n.linkStats()}}
	}}
	c.gauge("skein_cluster_members", "Nodes that share the store.", func(s *sharedSample) float64 { return float64(len(s.members)) })
	c.gauge("skein_cluster_mailboxes", "Those of them that have mailboxes.", func(s *sharedSample) float64 { return float64(s.route.Nodes) })
	c.count("skein_route_repeated_total", "Commands submitted again because another node serves their entity.", func(s *sharedSample) float64 { return float64(s.route.Repeated) })
	c.gauge("skein_route_waiting", "Commands that wait to be submitted again.", func(s *sharedSample) float64 { return float64(s.route.Waiting) })
	c.count("skein_route_unknown_sessions_total", "Commands about sessions that no node has.", func(s *sharedSample) float64 { return float64(s.route.Unrouted) })
	c.count("skein_route_forwarded_total", "Link messages sent to other nodes.", func(s *sharedSample) float64 { return float64(s.links.Forwarded) })
	c.count("skein_route_dropped_total", "Link messages for other nodes that found no link, or no room; they are sent again.", func(s *sharedSample) float64 { return float64(s.route.Dropped + s.links.Dropped) })
	c.count("skein_redis_unconfirmed_total", "Times that too few replicas confirmed a write in time.", func(s *sharedSample) float64 { return float64(s.store.Unconfirmed) })
	c.count("skein_redis_unknown_total", "Commits that a server did not answer.", func(s *sharedSample) float64 { return float64(s.store.Unknown) })
	c.count("skein_redis_holes_total", "Commits refused because acknowledged entries before them are gone.", func(s *sharedSample) float64 { return float64(s.store.Holes) })
	c.count("skein_redis_retries_total", "Calls made again.", func(s *sharedSample) float64 { return float64(s.store.Retries) })
	c.count("skein_redis_moved_total", "Those of them that another server has now.", func(s *sharedSample) float64 { return float64(s.store.Moved) })
	return c
}
