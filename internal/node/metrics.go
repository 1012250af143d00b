package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skein-im/skein/internal/mailbox"
	"github.com/skein-im/skein/internal/store/pebble"
	"github.com/skein-im/skein/internal/supervise"
)

// metric is one exported number, read from a sample of type S.
type metric[S any] struct {
	desc *prometheus.Desc
	typ  prometheus.ValueType
	read func(*S) float64
}

// collector exports the counters that roles keep anyway: at each scrape it
// takes one sample of each process and adds them up.
type collector[S any] struct {
	samples func() []S
	metrics []metric[S]
}

func (c *collector[S]) count(name, help string, read func(*S) float64) {
	c.metrics = append(c.metrics, metric[S]{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, read})
}

func (c *collector[S]) gauge(name, help string, read func(*S) float64) {
	c.metrics = append(c.metrics, metric[S]{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, read})
}

// Describe implements prometheus.Collector.
func (c *collector[S]) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector[S]) Collect(ch chan<- prometheus.Metric) {
	samples := c.samples()
	for _, m := range c.metrics {
		sum := 0.0
		for i := range samples {
			sum += m.read(&samples[i])
		}
		ch <- prometheus.MustNewConstMetric(m.desc, m.typ, sum)
	}
}

// collectors are those of the roles that the node has.
func (n *Node) collectors() []prometheus.Collector {
	all := []prometheus.Collector{n.healthCollector()}
	if n.back != nil {
		all = append(all, n.backCollector())
	}
	if n.front != nil {
		all = append(all, n.frontCollector())
	}
	if n.workers != nil {
		all = append(all, n.workersCollector())
	}
	return all
}

func (n *Node) workersCollector() prometheus.Collector {
	c := &collector[supervise.WorkerInfo]{samples: n.workers.supervisor.Workers}
	c.gauge("skein_workers", "Worker processes that there should be.", func(*supervise.WorkerInfo) float64 { return 1 })
	c.gauge("skein_workers_ready", "Worker processes that serve links.", func(w *supervise.WorkerInfo) float64 {
		if w.State == supervise.Ready {
			return 1
		}
		return 0
	})
	c.count("skein_worker_restarts_total", "Worker processes started in place of others.", func(w *supervise.WorkerInfo) float64 { return float64(w.Restarts) })
	return c
}

func (n *Node) healthCollector() prometheus.Collector {
	c := &collector[float64]{samples: func() []float64 {
		if n.Health() != nil {
			return []float64{0}
		}
		return []float64{1}
	}}
	c.gauge("skein_healthy", "1 while every slot is served and the store takes writes; in a gateway, while it reaches its mailbox.", func(s *float64) float64 { return *s })
	return c
}

// backSample is what the backend's collector reads at one scrape.
type backSample struct {
	mailbox mailbox.Stats
	store   pebble.Metrics
}

func (n *Node) backCollector() prometheus.Collector {
	c := &collector[backSample]{samples: func() []backSample {
		return []backSample{{n.back.mailbox.Stats(), n.back.store.Metrics()}}
	}}
	c.count("skein_mailbox_commands_total", "Commands applied.", func(s *backSample) float64 { return float64(s.mailbox.Commands) })
	c.count("skein_mailbox_link_messages_total", "Link messages taken or recognized as repeated.", func(s *backSample) float64 { return float64(s.mailbox.Messages) })
	c.count("skein_mailbox_link_acks_total", "Link acks received.", func(s *backSample) float64 { return float64(s.mailbox.Acks) })
	c.count("skein_mailbox_retransmitted_total", "Link messages sent again.", func(s *backSample) float64 { return float64(s.mailbox.Retransmitted) })
	c.count("skein_mailbox_dropped_total", "Link messages dropped because a queue was full; they are sent again.", func(s *backSample) float64 { return float64(s.mailbox.Dropped) })
	c.count("skein_mailbox_busy_total", "Commands refused because a queue was full.", func(s *backSample) float64 { return float64(s.mailbox.Busy) })
	c.gauge("skein_mailbox_queued", "Inputs waiting in queues.", func(s *backSample) float64 { return float64(s.mailbox.Queued) })
	c.count("skein_mailbox_entries_total", "Log entries written.", func(s *backSample) float64 { return float64(s.mailbox.Entries) })
	c.count("skein_mailbox_records_total", "Records written or deleted.", func(s *backSample) float64 { return float64(s.mailbox.Records) })
	c.count("skein_mailbox_delivered_total", "Timeline entries delivered to sessions.", func(s *backSample) float64 { return float64(s.mailbox.Delivered) })
	c.count("skein_mailbox_commits_total", "Batches committed or tried.", func(s *backSample) float64 { return float64(s.mailbox.Commits) })
	c.count("skein_mailbox_commit_errors_total", "Batches whose fate is unknown.", func(s *backSample) float64 { return float64(s.mailbox.CommitErrors) })
	c.count("skein_mailbox_fenced_total", "Batches of which a newer owner refused a part.", func(s *backSample) float64 { return float64(s.mailbox.Fenced) })
	c.gauge("skein_mailbox_hot_entities", "Entities in memory.", func(s *backSample) float64 { return float64(s.mailbox.Hot) })
	c.count("skein_mailbox_loads_total", "Entities read from the store.", func(s *backSample) float64 { return float64(s.mailbox.Loads) })
	c.count("skein_mailbox_load_errors_total", "Entities that could not be read.", func(s *backSample) float64 { return float64(s.mailbox.LoadErrors) })
	c.count("skein_mailbox_evictions_total", "Entities put out of memory.", func(s *backSample) float64 { return float64(s.mailbox.Evictions) })
	c.gauge("skein_mailbox_sessions", "Device sessions.", func(s *backSample) float64 { return float64(s.mailbox.Sessions) })
	c.gauge("skein_mailbox_unserved_slots", "Slots that wait to be acquired again.", func(s *backSample) float64 { return float64(s.mailbox.Unserved) })
	c.count("skein_store_commits_total", "Commits that are durable.", func(s *backSample) float64 { return float64(s.store.Commits) })
	c.count("skein_store_commit_seconds_total", "Time spent in commits.", func(s *backSample) float64 { return s.store.CommitTime.Seconds() })
	c.count("skein_store_commit_bytes_total", "Bytes committed.", func(s *backSample) float64 { return float64(s.store.CommitBytes) })
	c.count("skein_store_syncs_total", "Syncs of the write-ahead log.", func(s *backSample) float64 { return float64(s.store.Syncs) })
	c.count("skein_store_sync_seconds_total", "Time spent in syncs.", func(s *backSample) float64 { return s.store.SyncTime.Seconds() })
	c.count("skein_store_stalls_total", "Commits that waited for compactions or flushes.", func(s *backSample) float64 { return float64(s.store.Stalls) })
	c.count("skein_store_background_errors_total", "Errors in flushes and compactions.", func(s *backSample) float64 { return float64(s.store.BackgroundErrors) })
	c.gauge("skein_store_disk_bytes", "Bytes on disk.", func(s *backSample) float64 { return float64(s.store.DiskBytes) })
	c.gauge("skein_store_compaction_debt_bytes", "Bytes that compactions have yet to write, estimated.", func(s *backSample) float64 { return float64(s.store.CompactionDebt) })
	return c
}

func (n *Node) frontCollector() prometheus.Collector {
	c := &collector[frontSample]{samples: n.frontSamples}
	c.gauge("skein_link_open", "Links open now, logged in or not.", func(s *frontSample) float64 { return float64(s.Links.Open) })
	c.count("skein_link_accepted_total", "Links accepted.", func(s *frontSample) float64 { return float64(s.Links.Accepted) })
	c.count("skein_link_refused_total", "Links over the limit.", func(s *frontSample) float64 { return float64(s.Links.Refused) })
	c.count("skein_link_refused_addr_total", "Links refused because their address had too many, or opened them too fast.", func(s *frontSample) float64 { return float64(s.Limit.TooManyOpen + s.Limit.TooFast) })
	c.count("skein_link_handshake_failed_total", "Links that did not get as far as frames.", func(s *frontSample) float64 { return float64(s.Links.HandshakeFailed) })
	c.count("skein_link_closed_slow_total", "Links closed because the client did not read.", func(s *frontSample) float64 { return float64(s.Links.Slow) })
	c.count("skein_link_closed_idle_total", "Links closed because nothing arrived.", func(s *frontSample) float64 { return float64(s.Links.Idle) })
	c.count("skein_link_closed_bad_total", "Links closed for malformed, unexpected or oversized frames.", func(s *frontSample) float64 { return float64(s.Links.Bad) })
	c.count("skein_link_reads_total", "Reads from links' sockets.", func(s *frontSample) float64 { return float64(s.Links.Reads) })
	c.count("skein_link_writes_total", "Writes to links' sockets.", func(s *frontSample) float64 { return float64(s.Links.Writes) })
	c.gauge("skein_gateway_sessions", "Links that have logged in.", func(s *frontSample) float64 { return float64(s.Gateway.Sessions) })
	c.count("skein_gateway_logins_total", "Logins that succeeded.", func(s *frontSample) float64 { return float64(s.Gateway.Logins) })
	c.count("skein_gateway_login_refused_total", "Logins that failed.", func(s *frontSample) float64 { return total(s.Gateway.LoginRefused[:]) })
	c.count("skein_gateway_sends_total", "Sends received.", func(s *frontSample) float64 { return float64(s.Gateway.Sends) })
	c.count("skein_gateway_send_refused_total", "Sends refused.", func(s *frontSample) float64 { return total(s.Gateway.Refused[:]) })
	c.count("skein_gateway_calls_total", "Calls received.", func(s *frontSample) float64 { return float64(s.Gateway.Calls) })
	c.count("skein_gateway_call_refused_total", "Calls answered with an error.", func(s *frontSample) float64 { return total(s.Gateway.CallRefused[:]) })
	return c
}

func total(byKind []uint64) float64 {
	n := uint64(0)
	for _, v := range byKind {
		n += v
	}
	return float64(n)
}
