package node

import "github.com/prometheus/client_golang/prometheus"

func (n *Node) frontCollector() prometheus.Collector {
	c := &collector[frontSample]{samples: n.frontSamples}
	c.gauge("skein_link_open", "Links open now, logged in or not.", func(s *frontSample) float64 { return float64(s.Links.Open) })
	c.count("skein_link_accepted_total", "Links accepted.", func(s *frontSample) float64 { return float64(s.Links.Accepted) })
	c.count("skein_link_refused_total", "Links over the limit.", func(s *frontSample) float64 { return float64(s.Links.Refused) })
	c.count("skein_link_refused_addr_total", "Links refused because their address had too many, or opened them too fast.", func(s *frontSample) float64 { return float64(s.Limit.TooManyOpen + s.Limit.TooFast) })
	c.count("skein_link_handshake_failed_total", "Links that did not get as far as frames.", func(s *frontSample) float64 { return float64(s.Links.HandshakeFailed) })
	c.count("skein_link_closed_slow_total", "Links closed because the client did not read.", func(s *frontSample) float64 { return float64(s.Links.Slow) })
	c.count("skein_link_closed_overloaded_total", "Links closed because all of them together held too many bytes.", func(s *frontSample) float64 { return float64(s.Links.Overloaded) })
	c.gauge("skein_link_held_bytes", "Bytes held for links: what waits to be sent, and what has come and is not whole.", func(s *frontSample) float64 { return float64(s.Links.Held) })
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
	c.count("skein_gateway_shed_total", "Requests refused because the mailbox is overloaded.", func(s *frontSample) float64 { return float64(s.Gateway.Shed) })
	c.count("skein_gateway_limited_total", "Requests refused because a device or an address asks for too much.", func(s *frontSample) float64 { return float64(s.Gateway.Limited) })
	c.gauge("skein_gateway_resuming", "Sessions that wait for their mailbox to come back.", func(s *frontSample) float64 { return float64(s.Gateway.Resuming) })
	c.count("skein_gateway_resumed_total", "Sessions that went on after their mailbox came back.", func(s *frontSample) float64 { return float64(s.Gateway.Resumed) })
	c.count("skein_gateway_unresumed_total", "Sessions closed because their mailbox did not come back in time.", func(s *frontSample) float64 { return float64(s.Gateway.Unresumed) })
	addRemote(c)
	return c
}

// addRemote exports what is known of the links to a mailbox in another process.
func addRemote(c *collector[frontSample]) {
	c.gauge("skein_remote_up", "Links to the mailbox that are up.", func(s *frontSample) float64 {
		if s.Remote.Up {
			return 1
		}
		return 0
	})
	c.gauge("skein_remote_queued", "Commands that wait to be sent to the mailbox.", func(s *frontSample) float64 { return float64(s.Remote.Queued) })
	c.gauge("skein_remote_in_flight", "Commands that wait for the mailbox's answer.", func(s *frontSample) float64 { return float64(s.Remote.InFlight) })
	c.count("skein_remote_losses_total", "Links to the mailbox that broke.", func(s *frontSample) float64 { return float64(s.Remote.Losses) })
	c.count("skein_remote_repeated_total", "Commands sent again because their fate was unknown.", func(s *frontSample) float64 { return float64(s.Remote.Repeated) })
	c.count("skein_remote_expired_total", "Commands that waited too long for the mailbox to come back.", func(s *frontSample) float64 { return float64(s.Remote.Expired) })
	c.count("skein_remote_busy_total", "Commands refused because too many waited.", func(s *frontSample) float64 { return float64(s.Remote.Busy) })
}

func total(byKind []uint64) float64 {
	n := uint64(0)
	for _, v := range byKind {
		n += v
	}
	return float64(n)
}
