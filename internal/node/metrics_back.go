package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/mailbox"
	"github.com/skein-im/skein/internal/remote"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/store/pebble"
	"github.com/skein-im/skein/internal/telemetry"
)

// backSample is what the backend's collector reads at one scrape.
type backSample struct {
	mailbox mailbox.Stats
	store   pebble.Metrics
	roles   remote.ServerStats
}

func (n *Node) backCollector() prometheus.Collector {
	c := &collector[backSample]{samples: func() []backSample {
		return []backSample{{n.back.mailbox.Stats(), n.storeMetrics(), n.back.roles.Stats()}}
	}}
	addCommands(c)
	addSlots(c)
	addLinks(c)
	addMoney(c)
	addStore(c)
	if n.back.store != nil {
		addDisk(c)
	}
	addAdmission(c)
	addRoles(c)
	return c
}

// addCommands exports what the mailbox is asked for, and what becomes of it.
func addCommands(c *collector[backSample]) {
	for op := range shard.Ops {
		c.times("skein_mailbox_command_duration_seconds", "From submission to the answer, which is after the commit, by groups of commands. Resolution: 1 ms.",
			func(s *backSample) *telemetry.Counts { return &s.mailbox.Took[op] }, "op", op.String())
	}
	c.times("skein_mailbox_queue_duration_seconds", "How long commands waited to be begun. Resolution: 1 ms.", func(s *backSample) *telemetry.Counts { return &s.mailbox.Queueing })
	c.times("skein_mailbox_read_duration_seconds", "How long pages of timelines and statements took to be read.", func(s *backSample) *telemetry.Counts { return &s.mailbox.Reads })
	c.countEach("skein_mailbox_errors_total", "Commands that failed, by kind of error.", "kind", errorKinds(), func(s *backSample) []uint64 { return s.mailbox.Errors[:] })
	c.count("skein_mailbox_commands_total", "Commands applied.", func(s *backSample) float64 { return float64(s.mailbox.Commands) })
	c.count("skein_mailbox_busy_total", "Commands refused because a queue was full.", func(s *backSample) float64 { return float64(s.mailbox.Busy) })
	c.queue("mailbox", func(s *backSample) int { return s.mailbox.Queued }, func(s *backSample) int { return s.mailbox.QueueSize })
	c.queueBytes("mailbox", func(s *backSample) int { return s.mailbox.QueuedBytes }, func(s *backSample) int { return s.mailbox.QueueBytes })
	c.queue("loads", func(s *backSample) int { return s.mailbox.Parked }, func(s *backSample) int { return s.mailbox.MaxParked })
	c.count("skein_mailbox_entries_total", "Log entries written.", func(s *backSample) float64 { return float64(s.mailbox.Entries) })
	c.count("skein_mailbox_records_total", "Records written or deleted.", func(s *backSample) float64 { return float64(s.mailbox.Records) })
	c.count("skein_mailbox_trimmed_total", "Log entries let go of.", func(s *backSample) float64 { return float64(s.mailbox.Trimmed) })
	c.count("skein_mailbox_swept_total", "Users looked at for history that need not be kept.", func(s *backSample) float64 { return float64(s.mailbox.Swept) })
	c.count("skein_mailbox_deliveries_total", "Timeline entries delivered to sessions.", func(s *backSample) float64 { return float64(s.mailbox.Delivered) })
	c.gauge("skein_mailbox_sessions", "Device sessions.", func(s *backSample) float64 { return float64(s.mailbox.Sessions) })
}

// addSlots exports what is served here, and what of it is in memory.
func addSlots(c *collector[backSample]) {
	c.gauge("skein_mailbox_slots", "Slots that are served here.", func(s *backSample) float64 { return float64(s.mailbox.Served) })
	c.gauge("skein_mailbox_unserved_slots", "Slots that are to be served here, and wait to be acquired.", func(s *backSample) float64 { return float64(s.mailbox.Unserved) })
	c.gauge("skein_mailbox_hot_entities", "Entities in memory.", func(s *backSample) float64 { return float64(s.mailbox.Hot) })
	c.count("skein_mailbox_loads_total", "Entities read from the store.", func(s *backSample) float64 { return float64(s.mailbox.Loads) })
	c.count("skein_mailbox_load_errors_total", "Entities that could not be read.", func(s *backSample) float64 { return float64(s.mailbox.LoadErrors) })
	c.count("skein_mailbox_evictions_total", "Entities put out of memory.", func(s *backSample) float64 { return float64(s.mailbox.Evictions) })
	c.count("skein_mailbox_commits_total", "Batches committed or tried.", func(s *backSample) float64 { return float64(s.mailbox.Commits) })
	c.count("skein_mailbox_commit_errors_total", "Batches whose fate is unknown.", func(s *backSample) float64 { return float64(s.mailbox.CommitErrors) })
	c.count("skein_mailbox_fenced_total", "Batches of which a newer owner refused a part.", func(s *backSample) float64 { return float64(s.mailbox.Fenced) })
	c.sizes("skein_mailbox_batch_entities", "How many entities a batch was for.", func(s *backSample) *telemetry.Counts { return &s.mailbox.BatchSize })
}

// addLinks exports how messages get from entity to entity.
func addLinks(c *collector[backSample]) {
	c.count("skein_mailbox_link_messages_total", "Link messages taken or recognized as repeated.", func(s *backSample) float64 { return float64(s.mailbox.Messages) })
	c.count("skein_mailbox_link_acks_total", "Link acks received.", func(s *backSample) float64 { return float64(s.mailbox.Acks) })
	c.count("skein_mailbox_link_retransmissions_total", "Link messages sent again.", func(s *backSample) float64 { return float64(s.mailbox.Retransmitted) })
	c.count("skein_mailbox_link_stray_total", "Link messages that came for entities of other nodes; they are sent again.", func(s *backSample) float64 { return float64(s.mailbox.Stray) })
	c.count("skein_mailbox_link_dropped_total", "Link messages dropped because a queue was full; they are sent again.", func(s *backSample) float64 { return float64(s.mailbox.Dropped) })
	const rewound = "Link messages that have met the loss of a store's end: taken from who does not know any more of having sent them (unsaid), sent once more to who has lost them (again), in no log any more (gone)."
	for what, read := range map[string]func(*entity.Rewound) uint64{
		"unsaid": func(r *entity.Rewound) uint64 { return r.Unsaid },
		"again":  func(r *entity.Rewound) uint64 { return r.Again },
		"gone":   func(r *entity.Rewound) uint64 { return r.Gone },
	} {
		c.count("skein_mailbox_link_rewound_total", rewound, func(s *backSample) float64 { return float64(read(&s.mailbox.Rewound)) }, "what", what)
	}
	c.times("skein_mailbox_link_round_trip_seconds", "From a link message to its ack, both commits included. Resolution: 1 ms.", func(s *backSample) *telemetry.Counts { return &s.mailbox.LinkTrip })
	c.gauge("skein_mailbox_outbox_messages", "Link messages that are not acknowledged.", func(s *backSample) float64 { return float64(s.mailbox.Owed) })
	c.gauge("skein_mailbox_outbox_oldest_seconds", "For how long the oldest link message waits for its ack, among those that had to be sent again within the last 40 to 80 s; 0: all arrive at once.", func(s *backSample) float64 { return s.mailbox.OldestOwed.Seconds() })
}

// addMoney exports what becomes of money; repeated commands do not count.
func addMoney(c *collector[backSample]) {
	const help = "Envelopes of users that were sent, shares of them that were opened, and envelopes of campaigns that were lent to gateways and won."
	for event, read := range map[string]func(*shard.MoneyStats) uint64{
		"sent":   func(m *shard.MoneyStats) uint64 { return m.Envelopes },
		"opened": func(m *shard.MoneyStats) uint64 { return m.Opened },
		"lent":   func(m *shard.MoneyStats) uint64 { return m.Leased },
		"won":    func(m *shard.MoneyStats) uint64 { return m.Won },
	} {
		c.count("skein_mailbox_envelopes_total", help, func(s *backSample) float64 { return float64(read(&s.mailbox.Money)) }, "event", event)
	}
	c.count("skein_mailbox_campaigns_total", "Campaigns that were funded.", func(s *backSample) float64 { return float64(s.mailbox.Money.Campaigns) })
	c.count("skein_mailbox_payments_total", "Payments into and out of wallets.", func(s *backSample) float64 { return float64(s.mailbox.Money.TopUps) }, "type", "top_up")
	c.count("skein_mailbox_payments_total", "Payments into and out of wallets.", func(s *backSample) float64 { return float64(s.mailbox.Money.Withdrawals) }, "type", "withdrawal")
}

// addStore exports what every engine has.
func addStore(c *collector[backSample]) {
	c.times("skein_store_commit_duration_seconds", "How long commits took that became durable.", func(s *backSample) *telemetry.Counts { return &s.store.CommitTimes })
	c.count("skein_store_fenced_slots_total", "Slots refused in commits because they have a newer owner.", func(s *backSample) float64 { return float64(s.store.Fenced) })
}

// addDisk exports the embedded store and its disk.
func addDisk(c *collector[backSample]) {
	c.times("skein_store_sync_duration_seconds", "How long syncs of the write-ahead log took.", func(s *backSample) *telemetry.Counts { return &s.store.SyncTimes })
	c.count("skein_store_commit_bytes_total", "Bytes committed.", func(s *backSample) float64 { return float64(s.store.CommitBytes) })
	c.count("skein_store_stalls_total", "Commits that waited for compactions or flushes.", func(s *backSample) float64 { return float64(s.store.Stalls) })
	c.count("skein_store_background_errors_total", "Errors in flushes and compactions.", func(s *backSample) float64 { return float64(s.store.BackgroundErrors) })
	c.count("skein_store_corruptions_total", "Damaged blocks met.", func(s *backSample) float64 { return float64(s.store.Corruptions) })
	c.gauge("skein_store_disk_bytes", "Bytes on disk.", func(s *backSample) float64 { return float64(s.store.DiskBytes) })
	c.gauge("skein_store_disk_free_bytes", "Bytes that are free on the file system of the data directory.", func(s *backSample) float64 { return float64(s.store.DiskFree) })
	c.gauge("skein_store_disk_size_bytes", "Size of the file system of the data directory.", func(s *backSample) float64 { return float64(s.store.DiskSize) })
	c.gauge("skein_store_wal_bytes", "Bytes of the write-ahead log.", func(s *backSample) float64 { return float64(s.store.WALBytes) })
	c.gauge("skein_store_memtable_bytes", "Memory of write buffers.", func(s *backSample) float64 { return float64(s.store.MemTableBytes) })
	c.gauge("skein_store_cache_bytes", "Memory of the block cache.", func(s *backSample) float64 { return float64(s.store.CacheBytes) })
	c.count("skein_store_cache_hits_total", "Blocks found in the cache.", func(s *backSample) float64 { return float64(s.store.CacheHits) })
	c.count("skein_store_cache_misses_total", "Blocks read from the disk.", func(s *backSample) float64 { return float64(s.store.CacheMisses) })
	c.count("skein_store_flushed_bytes_total", "Bytes written by flushes.", func(s *backSample) float64 { return float64(s.store.BytesFlushed) })
	c.count("skein_store_compacted_bytes_total", "Bytes written by compactions.", func(s *backSample) float64 { return float64(s.store.BytesCompacted) })
	c.gauge("skein_store_compaction_debt_bytes", "Bytes that compactions have yet to write, estimated.", func(s *backSample) float64 { return float64(s.store.CompactionDebt) })
	c.gauge("skein_store_layers", "Layers of tables that wait for compaction.", func(s *backSample) float64 { return float64(s.store.Layers) })
}

// addAdmission exports what the mailbox does about overload.
func addAdmission(c *collector[backSample]) {
	c.gauge("skein_admission_level", "The level that is admitted; 4294967295 is everything.", func(s *backSample) float64 { return float64(s.mailbox.Admission.Level) })
	c.gauge("skein_admission_capacity", "Commands per second that were begun when there was more to do; 0: not known.", func(s *backSample) float64 { return s.mailbox.Admission.Capacity })
	c.gauge("skein_admission_offered", "Commands per second that came, in the last window.", func(s *backSample) float64 { return s.mailbox.Admission.Offered })
	c.count("skein_admission_admitted_total", "Commands admitted.", func(s *backSample) float64 { return float64(s.mailbox.Admission.Admitted) })
	for class := range admit.Classes {
		c.count("skein_admission_shed_total", "Commands and reads refused because of overload, by what they are for.", func(s *backSample) float64 { return float64(s.mailbox.Admission.Shed[class]) }, "class", class.String())
	}
	c.count("skein_admission_windows_total", "Windows of measurement.", func(s *backSample) float64 { return float64(s.mailbox.Admission.Windows) })
	c.count("skein_admission_overloaded_windows_total", "Windows in which commands waited too long.", func(s *backSample) float64 { return float64(s.mailbox.Admission.Overloaded) })
	c.gauge("skein_admission_queueing_seconds", "Mean time that commands of the last window waited.", func(s *backSample) float64 { return time.Duration(s.mailbox.Admission.MeanQueued).Seconds() })
}

// addRoles exports what is known of gateways in other processes.
func addRoles(c *collector[backSample]) {
	c.gauge("skein_role_links", "Links of gateways in other processes.", func(s *backSample) float64 { return float64(s.roles.Links) })
	c.gauge("skein_role_sessions", "Device sessions over role links.", func(s *backSample) float64 { return float64(s.roles.Sessions) })
	c.count("skein_role_links_accepted_total", "Role links accepted.", func(s *backSample) float64 { return float64(s.roles.Accepted) })
	c.count("skein_role_handshakes_failed_total", "Connections that did not become role links.", func(s *backSample) float64 { return float64(s.roles.HandshakesFailed) })
	c.count("skein_role_wrong_secrets_total", "Connections that did not know the cluster's secret.", func(s *backSample) float64 { return float64(s.roles.WrongSecrets) })
	c.count("skein_role_commands_total", "Commands that came over role links.", func(s *backSample) float64 { return float64(s.roles.Commands) })
	c.count("skein_role_deliveries_total", "Deliveries that left over role links.", func(s *backSample) float64 { return float64(s.roles.Deliveries) })
	const cut = "Role links cut because the gateway did not read, or sent what is not acceptable."
	c.count("skein_role_links_cut_total", cut, func(s *backSample) float64 { return float64(s.roles.Slow) }, "reason", "slow")
	c.count("skein_role_links_cut_total", cut, func(s *backSample) float64 { return float64(s.roles.Broken) }, "reason", "broken")
	c.count("skein_role_received_bytes_total", "Bytes read from role links.", func(s *backSample) float64 { return float64(s.roles.BytesIn) })
	c.count("skein_role_sent_bytes_total", "Bytes written to role links.", func(s *backSample) float64 { return float64(s.roles.BytesOut) })
}
