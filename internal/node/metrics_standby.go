package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skein-im/skein/internal/standby"
)

// sourceCollector exports how far the region's standby is behind.
func (n *Node) sourceCollector() prometheus.Collector {
	c := &collector[standby.Stats]{samples: func() []standby.Stats { return []standby.Stats{n.back.source.Stats()} }}
	c.gauge("skein_standby_connected", "1 while the region's standby is there.", func(s *standby.Stats) float64 { return truth(s.Connected) })
	c.gauge("skein_standby_behind_commits", "Commits of slots that the standby is not known to have: what would be lost with this node's store.", func(s *standby.Stats) float64 { return float64(s.Behind) })
	c.gauge("skein_standby_behind_seconds", "Age of the oldest commit that waits for the standby.", func(s *standby.Stats) float64 { return s.Since.Seconds() })
	c.gauge("skein_standby_queued_bytes", "Bytes of commits that wait for the standby.", func(s *standby.Stats) float64 { return float64(s.QueuedBytes) })
	c.gauge("skein_standby_copying_slots", "Slots that are being copied anew, or wait for it.", func(s *standby.Stats) float64 { return float64(s.Copying) })
	c.count("skein_standby_copies_total", "Slots copied anew.", func(s *standby.Stats) float64 { return float64(s.Copies) })
	c.count("skein_standby_dropped_total", "Commits dropped from the queue for want of room; their slots are copied anew.", func(s *standby.Stats) float64 { return float64(s.Dropped) })
	c.count("skein_standby_links_total", "Connections to the standby.", func(s *standby.Stats) float64 { return float64(s.Links) })
	return c
}

// followerCollector exports what a standby has taken.
func (n *Node) followerCollector() prometheus.Collector {
	c := &collector[standby.FollowerStats]{samples: func() []standby.FollowerStats { return []standby.FollowerStats{n.standby.Stats()} }}
	c.gauge("skein_copy_broken_slots", "Slots whose copy is not whole.", func(s *standby.FollowerStats) float64 { return float64(s.Broken) })
	c.gauge("skein_copy_nodes", "Mailbox nodes that are connected.", func(s *standby.FollowerStats) float64 { return float64(s.Nodes) })
	c.count("skein_copy_changes_total", "Commits of slots applied to the copy.", func(s *standby.FollowerStats) float64 { return float64(s.Changes) })
	c.count("skein_copy_commits_total", "Commits of the copy's own store.", func(s *standby.FollowerStats) float64 { return float64(s.Commits) })
	c.count("skein_copy_slots_total", "Slots copied anew.", func(s *standby.FollowerStats) float64 { return float64(s.Copies) })
	return c
}
