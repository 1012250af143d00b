package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skein-im/skein/internal/mailbox"
	"github.com/skein-im/skein/internal/remote"
	"github.com/skein-im/skein/internal/store/pebble"
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
	addAdmission(c)
	addRoles(c)
	return c
}

// addAdmission exports what the mailbox does about overload.
func addAdmission(c *collector[backSample]) {
	c.gauge("skein_mailbox_queue_bound", "How many inputs the queues hold.", func(s *backSample) float64 { return float64(s.mailbox.QueueSize) })
	c.gauge("skein_mailbox_queued_bytes", "Bytes of the inputs waiting in queues.", func(s *backSample) float64 { return float64(s.mailbox.QueuedBytes) })
	c.gauge("skein_mailbox_queue_bytes_bound", "How many bytes the queues hold.", func(s *backSample) float64 { return float64(s.mailbox.QueueBytes) })
	c.gauge("skein_admission_level", "The level that is admitted; 4294967295 is everything.", func(s *backSample) float64 { return float64(s.mailbox.Admission.Level) })
	c.count("skein_admission_admitted_total", "Commands admitted.", func(s *backSample) float64 { return float64(s.mailbox.Admission.Admitted) })
	c.count("skein_admission_shed_total", "Commands refused because of overload.", func(s *backSample) float64 { return total(s.mailbox.Admission.Shed[:]) })
	c.count("skein_admission_windows_total", "Windows of measurement.", func(s *backSample) float64 { return float64(s.mailbox.Admission.Windows) })
	c.count("skein_admission_overloaded_windows_total", "Windows in which commands waited too long.", func(s *backSample) float64 { return float64(s.mailbox.Admission.Overloaded) })
	c.gauge("skein_admission_queueing_seconds", "Mean time that commands of the last window waited.", func(s *backSample) float64 { return s.mailbox.Admission.MeanQueued.Seconds() })
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
	c.count("skein_role_links_cut_total", "Role links cut because the gateway did not read, or sent what is not acceptable.", func(s *backSample) float64 { return float64(s.roles.Slow + s.roles.Broken) })
	c.count("skein_role_received_bytes_total", "Bytes read from role links.", func(s *backSample) float64 { return float64(s.roles.BytesIn) })
	c.count("skein_role_sent_bytes_total", "Bytes written to role links.", func(s *backSample) float64 { return float64(s.roles.BytesOut) })
}
