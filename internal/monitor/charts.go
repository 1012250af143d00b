package monitor

// Chart is some lines that belong together.
type Chart struct {
	// ID is what the dashboard has titles for; Title is the English one.
	ID    string `json:"id"`
	Title string `json:"title"`
	// Unit is that of the values: "/s", "s", "bytes", "bytes/s", "s/s" or ""
	// for a number of things.
	Unit  string `json:"unit"`
	Lines []Line `json:"lines"`
	// Optional: where there is nothing to draw, there is no chart either.
	Optional bool `json:"optional,omitempty"`
}

// Line is the sum of some series.
type Line struct {
	ID string     `json:"id"`
	Of []selector `json:"series"`
}

func line(id string, of ...selector) Line { return Line{id, of} }

func chart(id, title, unit string, lines ...Line) Chart {
	return Chart{ID: id, Title: title, Unit: unit, Lines: lines}
}

// Charts are those of the dashboard and of reports, in order.
func Charts() []Chart {
	some := ofSome()
	for i := range some {
		some[i].Optional = true
	}
	return append(everywhere(), some...)
}

// everywhere are the charts of what every cluster has.
func everywhere() []Chart {
	return []Chart{
		chart("messages", "Chat messages", "/s", line("sent", metricRequest+count+`{op="send"}`), line("delivered", metricDeliveries)),
		chart("qps", "Client and server QPS", "/s", line("client", seriesRequests), line("server", metricCommands, metricShakes)),
		chart("envelopes", "Envelopes", "/s",
			line("issued", metricLeases), line("won", metricShakes+`{outcome="won"}`),
			line("sent", metricEnvelopes+`{event="sent"}`), line("opened", metricEnvelopes+`{event="opened"}`)),
		chart("latency", "Time of a send", "s",
			line("median", metricRequest+medianSuffix+`{op="send"}`), line("tail", metricRequest+tailSuffix+`{op="send"}`)),
		chart("gateway", "Gateway", "", line("links", metricLinks), line("sessions", metricSessions)),
		chart("refused", "Gateway: refused", "/s", line("failed", faults...), line("shed", metricShed), line("limited", metricLimited)),
		chart("mailbox", "Mailbox: queue", "", line("queued", metricQueueLength+`{queue="mailbox"}`)),
		chart("links", "Mailbox: messages to other mailboxes", "/s",
			line("taken", metricLinkMessages), line("acknowledged", metricLinkAcks), line("again", metricAgain)),
		chart("outbox", "Mailbox: messages that wait for another's ack", "", line("waiting", metricOutbox)),
		chart("store", "Store: commits", "/s", line("commits", metricCommits), line("entries", metricEntries)),
		chart("storetime", "Store: time of a commit and a sync", "s", line("commit", metricCommitTime+meanSuffix), line("sync", metricSyncTime+meanSuffix)),
		chart("cpu", "Processor time", "s/s", line("all", metricCPU)),
		chart("memory", "Memory", "bytes", line("resident", metricMemory)),
	}
}

// ofSome are the charts of what some clusters have: the embedded store or one that
// nodes share, regions, a standby, routers.
func ofSome() []Chart {
	return []Chart{
		chart("storebytes", "Store: bytes committed", "bytes/s", line("committed", metricCommitBytes)),
		chart("disk", "Disk", "bytes", line("used", metricDisk), line("free", metricDiskFree)),
		chart("regions", "Relay: messages between regions", "/s",
			line("sent", metricRelaySent), line("received", metricRelayTaken), line("dropped", metricRelayDropped, metricUplinkLost)),
		chart("reach", "Relay: regions", "",
			line("connected", metricRelayUp), line("cutoff", metricUplinkCutOff), line("owing", metricRelayOwing)),
		chart("relaybytes", "Relay: bytes sent", "bytes/s", line("raw", metricRelayRaw), line("compressed", metricRelayBytes)),
		chart("standby", "Standby: how far it is behind", "s", line("behind", metricBehind)),
		chart("copy", "Standby: slots", "", line("copying", metricBehindSlots), line("broken", metricCopyBroken)),
		chart("router", "Router", "/s",
			line("asked", metricRouterRequests), line("failed", metricRouterErrors), line("limited", metricRouterRefused)),
		chart("confirm", "Shared store: writes in doubt", "/s",
			line("unconfirmed", metricRedisAlone, metricPostgresAlone), line("unknown", metricRedisUnknown, metricPostgresUnknown),
			line("again", metricRedisRetries, metricPostgresRetries)),
	}
}
