package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skein-im/skein/internal/gateway"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/mailbox"
	"github.com/skein-im/skein/internal/store/pebble"
)

// sample is what the collector reads at one scrape.
type sample struct {
	mailbox mailbox.Stats
	store   pebble.Metrics
	gateway gateway.Stats
	links   link.Stats
	healthy float64
}

// metric is one exported number.
type metric struct {
	desc *prometheus.Desc
	typ  prometheus.ValueType
	read func(*sample) float64
}

// collector exports the counters that the roles keep anyway.
type collector struct {
	node    *Node
	metrics []metric
}

func (n *Node) collector() *collector {
	c := &collector{node: n}
	count := func(name, help string, read func(*sample) float64) { c.add(name, help, prometheus.CounterValue, read) }
	gauge := func(name, help string, read func(*sample) float64) { c.add(name, help, prometheus.GaugeValue, read) }

	gauge("skein_healthy", "1 while every slot is served and the store takes writes.", func(s *sample) float64 { return s.healthy })
	count("skein_mailbox_commands_total", "Commands applied.", func(s *sample) float64 { return float64(s.mailbox.Commands) })
	count("skein_mailbox_link_messages_total", "Link messages taken or recognized as repeated.", func(s *sample) float64 { return float64(s.mailbox.Messages) })
	count("skein_mailbox_link_acks_total", "Link acks received.", func(s *sample) float64 { return float64(s.mailbox.Acks) })
	count("skein_mailbox_retransmitted_total", "Link messages sent again.", func(s *sample) float64 { return float64(s.mailbox.Retransmitted) })
	count("skein_mailbox_dropped_total", "Link messages dropped because a queue was full; they are sent again.", func(s *sample) float64 { return float64(s.mailbox.Dropped) })
	count("skein_mailbox_busy_total", "Commands refused because a queue was full.", func(s *sample) float64 { return float64(s.mailbox.Busy) })
	gauge("skein_mailbox_queued", "Inputs waiting in queues.", func(s *sample) float64 { return float64(s.mailbox.Queued) })
	count("skein_mailbox_entries_total", "Log entries written.", func(s *sample) float64 { return float64(s.mailbox.Entries) })
	count("skein_mailbox_records_total", "Records written or deleted.", func(s *sample) float64 { return float64(s.mailbox.Records) })
	count("skein_mailbox_delivered_total", "Timeline entries delivered to sessions.", func(s *sample) float64 { return float64(s.mailbox.Delivered) })
	count("skein_mailbox_commits_total", "Batches committed or tried.", func(s *sample) float64 { return float64(s.mailbox.Commits) })
	count("skein_mailbox_commit_errors_total", "Batches whose fate is unknown.", func(s *sample) float64 { return float64(s.mailbox.CommitErrors) })
	count("skein_mailbox_fenced_total", "Batches of which a newer owner refused a part.", func(s *sample) float64 { return float64(s.mailbox.Fenced) })
	gauge("skein_mailbox_hot_entities", "Entities in memory.", func(s *sample) float64 { return float64(s.mailbox.Hot) })
	count("skein_mailbox_loads_total", "Entities read from the store.", func(s *sample) float64 { return float64(s.mailbox.Loads) })
	count("skein_mailbox_load_errors_total", "Entities that could not be read.", func(s *sample) float64 { return float64(s.mailbox.LoadErrors) })
	count("skein_mailbox_evictions_total", "Entities put out of memory.", func(s *sample) float64 { return float64(s.mailbox.Evictions) })
	gauge("skein_mailbox_sessions", "Device sessions.", func(s *sample) float64 { return float64(s.mailbox.Sessions) })
	gauge("skein_mailbox_unserved_slots", "Slots that wait to be acquired again.", func(s *sample) float64 { return float64(s.mailbox.Unserved) })
	count("skein_store_commits_total", "Commits that are durable.", func(s *sample) float64 { return float64(s.store.Commits) })
	count("skein_store_commit_seconds_total", "Time spent in commits.", func(s *sample) float64 { return s.store.CommitTime.Seconds() })
	count("skein_store_commit_bytes_total", "Bytes committed.", func(s *sample) float64 { return float64(s.store.CommitBytes) })
	count("skein_store_syncs_total", "Syncs of the write-ahead log.", func(s *sample) float64 { return float64(s.store.Syncs) })
	count("skein_store_sync_seconds_total", "Time spent in syncs.", func(s *sample) float64 { return s.store.SyncTime.Seconds() })
	count("skein_store_stalls_total", "Commits that waited for compactions or flushes.", func(s *sample) float64 { return float64(s.store.Stalls) })
	count("skein_store_background_errors_total", "Errors in flushes and compactions.", func(s *sample) float64 { return float64(s.store.BackgroundErrors) })
	gauge("skein_store_disk_bytes", "Bytes on disk.", func(s *sample) float64 { return float64(s.store.DiskBytes) })
	gauge("skein_store_compaction_debt_bytes", "Bytes that compactions have yet to write, estimated.", func(s *sample) float64 { return float64(s.store.CompactionDebt) })
	gauge("skein_link_open", "Links open now, logged in or not.", func(s *sample) float64 { return float64(s.links.Open) })
	count("skein_link_accepted_total", "Links accepted.", func(s *sample) float64 { return float64(s.links.Accepted) })
	count("skein_link_refused_total", "Links over the limit.", func(s *sample) float64 { return float64(s.links.Refused) })
	count("skein_link_handshake_failed_total", "Links that did not get as far as frames.", func(s *sample) float64 { return float64(s.links.HandshakeFailed) })
	count("skein_link_closed_slow_total", "Links closed because the client did not read.", func(s *sample) float64 { return float64(s.links.Slow) })
	count("skein_link_closed_idle_total", "Links closed because nothing arrived.", func(s *sample) float64 { return float64(s.links.Idle) })
	count("skein_link_closed_bad_total", "Links closed for malformed, unexpected or oversized frames.", func(s *sample) float64 { return float64(s.links.Bad) })
	count("skein_link_reads_total", "Reads from links' sockets.", func(s *sample) float64 { return float64(s.links.Reads) })
	count("skein_link_writes_total", "Writes to links' sockets.", func(s *sample) float64 { return float64(s.links.Writes) })
	gauge("skein_gateway_sessions", "Links that have logged in.", func(s *sample) float64 { return float64(s.gateway.Sessions) })
	count("skein_gateway_logins_total", "Logins that succeeded.", func(s *sample) float64 { return float64(s.gateway.Logins) })
	count("skein_gateway_login_refused_total", "Logins that failed.", func(s *sample) float64 { return total(s.gateway.LoginRefused[:]) })
	count("skein_gateway_sends_total", "Sends received.", func(s *sample) float64 { return float64(s.gateway.Sends) })
	count("skein_gateway_send_refused_total", "Sends refused.", func(s *sample) float64 { return total(s.gateway.Refused[:]) })
	count("skein_gateway_calls_total", "Calls received.", func(s *sample) float64 { return float64(s.gateway.Calls) })
	count("skein_gateway_call_refused_total", "Calls answered with an error.", func(s *sample) float64 { return total(s.gateway.CallRefused[:]) })
	return c
}

func total(byKind []uint64) float64 {
	n := uint64(0)
	for _, v := range byKind {
		n += v
	}
	return float64(n)
}

func (c *collector) add(name, help string, typ prometheus.ValueType, read func(*sample) float64) {
	c.metrics = append(c.metrics, metric{prometheus.NewDesc(name, help, nil, nil), typ, read})
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := sample{
		mailbox: c.node.mailbox.Stats(), store: c.node.store.Metrics(),
		gateway: c.node.gateway.Stats(), links: c.node.links.Stats(),
	}
	if c.node.Health() == nil {
		s.healthy = 1
	}
	for _, m := range c.metrics {
		ch <- prometheus.MustNewConstMetric(m.desc, m.typ, m.read(&s))
	}
}
