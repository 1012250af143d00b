package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skein-im/skein/internal/api"
	"github.com/skein-im/skein/internal/gateway"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/telemetry"
	"github.com/skein-im/skein/internal/wire"
)

func (n *Node) frontCollector() prometheus.Collector {
	c := &collector[frontSample]{samples: n.frontSamples}
	addClientLinks(c)
	addGateway(c)
	addRequests(c)
	addAPI(c)
	addRemote(c)
	addShakes(c)
	addProcess(c, func(s *frontSample) *processSample { return &s.Process })
	addTraces(c, func(s *frontSample) *traceStats { return &s.Traces })
	return c
}

// addClientLinks exports the links of clients.
func addClientLinks(c *collector[frontSample]) {
	c.gauge("skein_link_open", "Links open now, logged in or not.", func(s *frontSample) float64 { return float64(s.Links.Open) })
	c.gauge("skein_link_limit", "How many links may be open.", func(s *frontSample) float64 { return float64(s.MaxLinks) })
	c.count("skein_link_accepted_total", "Links accepted.", func(s *frontSample) float64 { return float64(s.Links.Accepted) })
	const refused = "Links refused: too many in all, too many of one address, or opened too fast by one address."
	c.count("skein_link_refused_total", refused, func(s *frontSample) float64 { return float64(s.Links.Refused) }, "reason", "limit")
	c.count("skein_link_refused_total", refused, func(s *frontSample) float64 { return float64(s.Limit.TooManyOpen) }, "reason", "address_open")
	c.count("skein_link_refused_total", refused, func(s *frontSample) float64 { return float64(s.Limit.TooFast) }, "reason", "address_rate")
	c.count("skein_link_handshake_failed_total", "Links that did not get as far as frames.", func(s *frontSample) float64 { return float64(s.Links.HandshakeFailed) })
	for reason, read := range map[string]func(*link.Stats) uint64{
		"slow":       func(l *link.Stats) uint64 { return l.Slow },
		"overloaded": func(l *link.Stats) uint64 { return l.Overloaded },
		"idle":       func(l *link.Stats) uint64 { return l.Idle },
		"bad":        func(l *link.Stats) uint64 { return l.Bad },
	} {
		c.count("skein_link_closed_total", "Links closed because the client did not read (slow), all links together held too many bytes (overloaded), nothing arrived (idle), or frames were malformed, unexpected or oversized (bad).",
			func(s *frontSample) float64 { return float64(read(&s.Links)) }, "reason", reason)
	}
	c.count("skein_link_reads_total", "Reads from links' sockets.", func(s *frontSample) float64 { return float64(s.Links.Reads) })
	c.count("skein_link_writes_total", "Writes to links' sockets.", func(s *frontSample) float64 { return float64(s.Links.Writes) })
	c.queueBytes("links", func(s *frontSample) int { return s.Links.Held }, func(s *frontSample) int { return s.MaxHeld })
	var types []string
	for t := range wire.Type(wire.Types) {
		if types = append(types, ""); t.Known() {
			types[t] = t.String()
		}
	}
	types[0] = "unknown"
	const frames = "Frames to and from clients; those of type close are not counted when they are sent."
	c.countEach("skein_gateway_frames_total", frames, "type", types, func(s *frontSample) []uint64 { return s.Gateway.FramesIn[:] }, "direction", "in")
	c.countEach("skein_gateway_frames_total", frames, "type", types, func(s *frontSample) []uint64 { return s.Gateway.FramesOut[:] }, "direction", "out")
}

// addGateway exports sessions, and what is refused by limits.
func addGateway(c *collector[frontSample]) {
	c.gauge("skein_gateway_sessions", "Links that have logged in.", func(s *frontSample) float64 { return float64(s.Gateway.Sessions) })
	c.count("skein_gateway_logins_total", "Logins that succeeded.", func(s *frontSample) float64 { return float64(s.Gateway.Logins) })
	c.count("skein_gateway_shed_total", "Requests refused because the mailbox is overloaded.", func(s *frontSample) float64 { return float64(s.Gateway.Shed) })
	c.count("skein_gateway_limited_total", "Requests refused because a device or an address asks for too much.", func(s *frontSample) float64 { return float64(s.Gateway.Limited) })
	c.count("skein_gateway_repeats_total", "Acks, pulls and detaches repeated because the mailbox was busy.", func(s *frontSample) float64 { return float64(s.Gateway.Busy) })
	c.gauge("skein_gateway_resuming", "Sessions that wait for their mailbox to come back.", func(s *frontSample) float64 { return float64(s.Gateway.Resuming) })
	c.count("skein_gateway_resumed_total", "Sessions that went on after their mailbox came back.", func(s *frontSample) float64 { return float64(s.Gateway.Resumed) })
	c.count("skein_gateway_unresumed_total", "Sessions closed because their mailbox did not come back in time.", func(s *frontSample) float64 { return float64(s.Gateway.Unresumed) })
	c.queue("logins", func(s *frontSample) int { return s.Gateway.WaitingLogins }, func(s *frontSample) int { return s.Gateway.MaxWaitingLogins })
	c.queue("calls", func(s *frontSample) int { return s.Gateway.RunningCalls }, func(s *frontSample) int { return s.Gateway.MaxCalls })
	c.queueBytes("sends", func(s *frontSample) int { return int(s.Gateway.Bytes) }, func(s *frontSample) int { return int(s.Gateway.MaxBytes) })
}

// addRequests exports what clients ask for over links.
func addRequests(c *collector[frontSample]) {
	for op := range gateway.Ops {
		c.times("skein_gateway_request_duration_seconds", "How long clients waited for the answers to logins that succeeded, and to sends, calls and shakes, refused ones included.",
			func(s *frontSample) *telemetry.Counts { return &s.Gateway.Took[op] }, "op", op.String())
	}
	const errors = "Logins, sends and calls over links that failed, by kind of error."
	c.countEach("skein_gateway_errors_total", errors, "kind", errorKinds(), func(s *frontSample) []uint64 { return s.Gateway.LoginRefused[:] }, "op", "login")
	c.countEach("skein_gateway_errors_total", errors, "kind", errorKinds(), func(s *frontSample) []uint64 { return s.Gateway.Refused[:] }, "op", "send")
	c.countEach("skein_gateway_errors_total", errors, "kind", errorKinds(), func(s *frontSample) []uint64 { return s.Gateway.CallRefused[:] }, "op", "call")
}

// addAPI exports the methods of the API.
func addAPI(c *collector[frontSample]) {
	for i, name := range api.Methods() {
		c.times("skein_api_request_duration_seconds", "How long the methods of the API took, over HTTP and links; the wait of a long poll counts.",
			func(s *frontSample) *telemetry.Counts { return s.API.took(i) }, "method", name)
	}
	c.countEach("skein_api_errors_total", "Requests to the API that failed, by kind of error.", "kind", errorKinds(), func(s *frontSample) []uint64 { return s.API.Errors[:] })
	c.queue("polls", func(s *frontSample) int { return s.Polls }, func(s *frontSample) int { return s.MaxPolls })
	c.queue("passwords", func(s *frontSample) int { return s.Hashing }, func(s *frontSample) int { return s.MaxHashing })
}

// addRemote exports what is known of the links to a mailbox in another process.
func addRemote(c *collector[frontSample]) {
	c.gauge("skein_remote_up", "Links to the mailbox that are up.", func(s *frontSample) float64 { return truth(s.Remote.Up) })
	c.queue("remote", func(s *frontSample) int { return s.Remote.Queued }, func(s *frontSample) int { return s.Remote.MaxQueued })
	c.queueBytes("remote", func(s *frontSample) int { return s.Remote.QueuedBytes }, func(s *frontSample) int { return s.Remote.MaxQueuedBytes })
	c.gauge("skein_remote_in_flight", "Commands that wait for the mailbox's answer.", func(s *frontSample) float64 { return float64(s.Remote.InFlight) })
	c.times("skein_remote_round_trip_seconds", "How long commands took to be answered by a mailbox in another process, waiting included.", func(s *frontSample) *telemetry.Counts { return &s.Remote.Trips })
	c.count("skein_remote_losses_total", "Links to the mailbox that broke.", func(s *frontSample) float64 { return float64(s.Remote.Losses) })
	c.count("skein_remote_repeated_total", "Commands sent again because their fate was unknown.", func(s *frontSample) float64 { return float64(s.Remote.Repeated) })
	c.count("skein_remote_expired_total", "Commands that waited too long for the mailbox to come back.", func(s *frontSample) float64 { return float64(s.Remote.Expired) })
	c.count("skein_remote_busy_total", "Commands refused because too many waited.", func(s *frontSample) float64 { return float64(s.Remote.Busy) })
}

// shakeOutcomes are the values of the label outcome.
var shakeOutcomes = [im.ShakeBusy + 1]string{
	im.ShakeNothing: "nothing", im.ShakeWon: "won", im.ShakeLimit: "limit", im.ShakeClosed: "closed", im.ShakeBusy: "busy",
}

// addShakes exports what became of shakes, and of what campaigns have lent.
func addShakes(c *collector[frontSample]) {
	c.countEach("skein_shakes_total", "Shakes, by what was answered.", "outcome", shakeOutcomes[:], func(s *frontSample) []uint64 { return s.Shakes.Outcomes[:] })
	c.count("skein_leases_total", "Envelopes that campaigns have lent.", func(s *frontSample) float64 { return float64(s.Shakes.Leases) })
	c.count("skein_leases_claimed_total", "Lent envelopes that were won.", func(s *frontSample) float64 { return float64(s.Shakes.Claimed) })
	c.count("skein_leases_returned_total", "Lent envelopes that were given back.", func(s *frontSample) float64 { return float64(s.Shakes.Returned) })
	c.count("skein_leases_expired_total", "Lent envelopes that nobody won in time.", func(s *frontSample) float64 { return float64(s.Shakes.Expired) })
	c.gauge("skein_leases_queued", "Lent envelopes that wait for a shake.", func(s *frontSample) float64 { return float64(s.Shakes.Queued) })
}
