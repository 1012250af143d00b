package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skein-im/skein/internal/region"
	"github.com/skein-im/skein/internal/relay"
	"github.com/skein-im/skein/internal/remote"
	"github.com/skein-im/skein/internal/uplink"
)

// regionSample is what a node that is part of several regions says of them.
type regionSample struct {
	users region.Stats
	peers []relay.Status
	// uplink and links are of a node that reaches the others over relays in
	// processes of their own.
	uplink uplink.Stats
	links  remote.ClientStats
}

func (n *Node) regionsCollector() prometheus.Collector {
	rs := n.regions
	c := &collector[regionSample]{samples: func() []regionSample { return []regionSample{rs.sample()} }}
	addRegion(c)
	if rs.uplink != nil {
		addUplink(c)
		return c
	}
	for i, peer := range rs.relay.Regions() {
		addRelay(c, i, string(peer))
	}
	c.queueBytes("relay", func(s *regionSample) int {
		sum := 0
		for i := range s.peers {
			sum += s.peers[i].Queued
		}
		return sum
	}, func(s *regionSample) int { return len(s.peers) * relay.DefaultMaxQueue })
	return c
}

func (rs *regions) sample() regionSample {
	s := regionSample{users: rs.region.Stats()}
	if rs.uplink == nil {
		s.peers = rs.relay.Status()
		return s
	}
	s.uplink, s.links = rs.uplink.Stats(), rs.linkTotal.sum(rs.uplink.Links())
	return s
}

// addUplink exports the way to other regions over relays in processes of their own.
func addUplink(c *collector[regionSample]) {
	c.gauge("skein_uplink_regions", "Other regions that relays of this one lead to.", func(s *regionSample) float64 { return float64(s.uplink.Regions) })
	c.gauge("skein_uplink_cut_off", "Those of them that no relay is connected with.", func(s *regionSample) float64 { return float64(s.uplink.CutOff) })
	c.gauge("skein_uplink_relays", "Links to relays that are connected with the region that the link is for.", func(s *regionSample) float64 { return float64(s.uplink.Relays) })
	c.count("skein_uplink_sent_total", "Link messages sent to relays.", func(s *regionSample) float64 { return float64(s.links.Forwarded) })
	c.count("skein_uplink_dropped_total", "Link messages for other regions that found no relay, or no room; they are sent again.", func(s *regionSample) float64 { return float64(s.uplink.Dropped + s.links.Dropped) })
	c.count("skein_uplink_repeated_total", "Commands to other regions submitted again because their relay was gone.", func(s *regionSample) float64 { return float64(s.uplink.Repeated) })
	c.queue("uplink", func(s *regionSample) int { return s.links.Queued }, func(s *regionSample) int { return s.links.MaxQueued })
}

// addRegion exports what is asked for users of other regions.
func addRegion(c *collector[regionSample]) {
	c.count("skein_region_elsewhere_total", "Commands for users who live in another region.", func(s *regionSample) float64 { return float64(s.users.Elsewhere) })
	c.count("skein_region_lookups_total", "Questions to the directory where a user lives.", func(s *regionSample) float64 { return float64(s.users.Lookups) })
	c.count("skein_region_unknown_total", "Users for whom the directory had no answer.", func(s *regionSample) float64 { return float64(s.users.Unknown) })
	c.count("skein_region_dropped_total", "Link messages whose receiver's region could not be found out; they are sent again.", func(s *regionSample) float64 { return float64(s.users.Dropped) })
	c.count("skein_region_strays_total", "Link messages that came here after their receiver had left.", func(s *regionSample) float64 { return float64(s.users.Strays) })
	c.count("skein_region_corrected_total", "Homes of users that turned out to be others.", func(s *regionSample) float64 { return float64(s.users.Corrected) })
	c.gauge("skein_region_moves", "Users who are on the way to another region.", func(s *regionSample) float64 { return float64(s.users.Moves) })
	c.gauge("skein_region_homes", "Homes of users in memory.", func(s *regionSample) float64 { return float64(s.users.Homes) })
}

// addRelay exports the way to another region, and back. The settings name the
// regions, so there are few.
func addRelay(c *collector[regionSample], i int, peer string) {
	of := func(read func(*relay.Status) float64) func(*regionSample) float64 {
		return func(s *regionSample) float64 { return read(&s.peers[i]) }
	}
	c.gauge("skein_relay_up", "1 while messages can leave for a region.", of(func(p *relay.Status) float64 { return truth(p.Up) }), "region", peer)
	c.gauge("skein_relay_owing", "Links that are to go on when a region is in reach.", of(func(p *relay.Status) float64 { return float64(p.Owing) }), "region", peer)
	c.count("skein_relay_sent_total", "Link messages sent to a region.", of(func(p *relay.Status) float64 { return float64(p.Sent) }), "region", peer)
	c.count("skein_relay_sent_batches_total", "Batches that they were sent in.", of(func(p *relay.Status) float64 { return float64(p.SentBatches) }), "region", peer)
	c.count("skein_relay_sent_bytes_total", "Bytes that they took, compressed.", of(func(p *relay.Status) float64 { return float64(p.SentBytes) }), "region", peer)
	c.count("skein_relay_raw_bytes_total", "Bytes that they would have taken otherwise.", of(func(p *relay.Status) float64 { return float64(p.RawBytes) }), "region", peer)
	c.count("skein_relay_dropped_total", "Link messages that found no room or no connection; they are sent again.", of(func(p *relay.Status) float64 { return float64(p.Dropped) }), "region", peer)
	c.count("skein_relay_received_total", "Link messages that came from a region.", of(func(p *relay.Status) float64 { return float64(p.Received) }), "region", peer)
	c.count("skein_relay_repeated_batches_total", "Batches from a region that had come before.", of(func(p *relay.Status) float64 { return float64(p.Repeated) }), "region", peer)
}
