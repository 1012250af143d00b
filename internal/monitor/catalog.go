package monitor

import (
	"strings"

	"github.com/skein-im/skein/internal/series"
)

// The metrics that rules, charts and the list of nodes are made of. This file
// is the only one that names them; a test holds it against what nodes export.
const (
	metricHealthy        = "skein_healthy"
	metricLinks          = "skein_link_open"
	metricSessions       = "skein_gateway_sessions"
	metricRequest        = "skein_gateway_request_duration_seconds"
	metricAPI            = "skein_api_request_duration_seconds"
	metricErrors         = "skein_gateway_errors_total"
	metricAPIErrors      = "skein_api_errors_total"
	metricShed           = "skein_gateway_shed_total"
	metricLimited        = "skein_gateway_limited_total"
	metricQueueLength    = "skein_queue_length"
	metricQueueLimit     = "skein_queue_limit"
	metricCommands       = "skein_mailbox_commands_total"
	metricDeliveries     = "skein_mailbox_deliveries_total"
	metricLinkMessages   = "skein_mailbox_link_messages_total"
	metricLinkAcks       = "skein_mailbox_link_acks_total"
	metricAgain          = "skein_mailbox_link_retransmissions_total"
	metricOutbox         = "skein_mailbox_outbox_messages"
	metricOldest         = "skein_mailbox_outbox_oldest_seconds"
	metricEnvelopes      = "skein_mailbox_envelopes_total"
	metricLeases         = "skein_leases_total"
	metricShakes         = "skein_shakes_total"
	metricCommits        = "skein_mailbox_commits_total"
	metricEntries        = "skein_mailbox_entries_total"
	metricCommitTime     = "skein_store_commit_duration_seconds"
	metricSyncTime       = "skein_store_sync_duration_seconds"
	metricCommitBytes    = "skein_store_commit_bytes_total"
	metricDisk           = "skein_store_disk_bytes"
	metricDiskFree       = "skein_store_disk_free_bytes"
	metricDiskSize       = "skein_store_disk_size_bytes"
	metricAdmission      = "skein_admission_level"
	metricQueueing       = "skein_admission_queueing_seconds"
	metricCPU            = "skein_cpu_seconds_total"
	metricMemory         = "skein_memory_resident_bytes"
	metricReady          = "skein_ready"
	metricMonitorTargets = "skein_monitor_targets"

	// Relays, and mailbox nodes that reach them over uplinks.
	metricRelayUp      = "skein_relay_up"
	metricRelaySent    = "skein_relay_sent_total"
	metricRelayTaken   = "skein_relay_received_total"
	metricRelayDropped = "skein_relay_dropped_total"
	metricRelayOwing   = "skein_relay_owing"
	metricRelayRaw     = "skein_relay_raw_bytes_total"
	metricRelayBytes   = "skein_relay_sent_bytes_total"
	metricUplinkCutOff = "skein_uplink_cut_off"
	metricUplinkLost   = "skein_uplink_dropped_total"

	// A region's standby, seen from the region, and its own copy.
	metricBehind      = "skein_standby_behind_seconds"
	metricBehindSlots = "skein_standby_copying_slots"
	metricCopyNodes   = "skein_copy_nodes"
	metricCopyBroken  = "skein_copy_broken_slots"

	metricRouterGateways  = "skein_router_gateways"
	metricRouterRequests  = "skein_router_requests_total"
	metricRouterErrors    = "skein_router_errors_total"
	metricRouterRefused   = "skein_router_refused_total"
	metricRedisAlone      = "skein_redis_unconfirmed_total"
	metricRedisUnknown    = "skein_redis_unknown_total"
	metricRedisRetries    = "skein_redis_retries_total"
	metricPostgresAlone   = "skein_postgres_unconfirmed_total"
	metricPostgresUnknown = "skein_postgres_unknown_total"
	metricPostgresRetries = "skein_postgres_retries_total"
)

// roleMetrics are those by which a process is known to have a role.
var roleMetrics = []struct {
	role string
	of   selector
}{
	{"gateway", metricSessions}, {"mailbox", metricCommands}, {"relay", metricRelayUp}, {"router", metricRouterGateways},
	{"standby", metricCopyNodes}, {"monitor", metricMonitorTargets},
}

// The Monitor's own series. Those of a node are called ID@NODE, where ID is one
// of these or of perNode.
const (
	// seriesUp is how many nodes answer; per node it is 1 or 0.
	seriesUp = "up"
	// seriesRequests is how many requests a second clients make.
	seriesRequests = "requests"
)

const count = "_count"

var (
	// requests are what clients ask for. Calls over links are in the API's.
	requests = []selector{
		metricRequest + count + `{op="login"}`, metricRequest + count + `{op="send"}`, metricRequest + count + `{op="shake"}`,
		metricAPI + count,
	}
	// faults are requests that failed though nothing was wrong with them.
	faults = []selector{
		metricErrors + `{kind="busy",op="login"}`, metricErrors + `{kind="busy",op="send"}`, metricAPIErrors + `{kind="busy"}`,
		metricErrors + `{kind="unavailable",op="login"}`, metricErrors + `{kind="unavailable",op="send"}`, metricAPIErrors + `{kind="unavailable"}`,
		metricErrors + `{kind="internal",op="login"}`, metricErrors + `{kind="internal",op="send"}`, metricAPIErrors + `{kind="internal"}`,
	}
)

// merges are the gauges of which a sum over nodes says nothing. What counts is
// always added up.
var merges = map[string]series.Merge{
	metricHealthy:   series.Min,
	metricReady:     series.Min,
	metricAdmission: series.Min,
	metricQueueing:  series.Max,
	metricOldest:    series.Max,
	metricBehind:    series.Max,
}

// mergeOf says how a series is merged across nodes and over time. The worst
// times matter.
func mergeOf(name string) series.Merge {
	f := family(name)
	if m, ok := merges[f]; ok {
		return m
	}
	if strings.HasSuffix(f, medianSuffix) || strings.HasSuffix(f, tailSuffix) || strings.HasSuffix(f, meanSuffix) {
		return series.Max
	}
	return series.Sum
}

// nodeSeries is what is kept for each node too.
type nodeSeries struct {
	id    string
	merge series.Merge
	of    []selector
}

var perNode = []nodeSeries{
	{"healthy", series.Min, []selector{metricHealthy}},
	{seriesRequests, series.Sum, requests},
	{"links", series.Sum, []selector{metricLinks}},
	{"commands", series.Sum, []selector{metricCommands}},
	{"queued", series.Sum, []selector{metricQueueLength + `{queue="mailbox"}`}},
	{"cpu", series.Sum, []selector{metricCPU}},
	{"memory", series.Sum, []selector{metricMemory}},
	{"disk_free", series.Min, []selector{metricDiskFree}},
	{"disk_size", series.Max, []selector{metricDiskSize}},
}

// wanted reports whether a metric is kept at all: those of libraries are not.
func wanted(name string) bool { return strings.HasPrefix(name, "skein_") }

// Metrics are what of the exported metrics rules, charts and the list of nodes
// need, with labels, for a test to look for them.
func Metrics() []string {
	names := map[string]bool{}
	add := func(of []selector) {
		for _, s := range of {
			f, labels, _ := strings.Cut(string(s), "{")
			for _, suffix := range []string{count, medianSuffix, tailSuffix, meanSuffix} {
				f = strings.TrimSuffix(f, suffix)
			}
			names[f+"{"+labels] = true
		}
	}
	for _, c := range Charts() {
		for _, l := range c.Lines {
			add(l.Of)
		}
	}
	for _, n := range perNode {
		add(n.of)
	}
	for _, r := range Rules() {
		add(r.of)
	}
	for _, r := range roleMetrics {
		add([]selector{r.of})
	}
	for name := range merges {
		names[name+"{"] = true
	}
	delete(names, seriesRequests+"{")
	return sorted(names)
}
