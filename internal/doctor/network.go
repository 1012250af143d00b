package doctor

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// backlog is how many connections a listener should be able to keep waiting:
// a tenth of all may come back within a moment.
func (e *exam) backlog() int { return min(max(e.cfg.MaxConns/10, 128), 4096) }

func (e *exam) somaxconn() Finding {
	have, ok := e.sysctl("net.core.somaxconn")
	if !ok {
		return unknown("net.core.somaxconn")
	}
	need := e.backlog()
	f := Finding{Level: OK, Value: fmt.Sprint(have), Need: fmt.Sprint(need)}
	if have < need {
		f.Level, f.Fix = Warn, sysctl("net.core.somaxconn", fmt.Sprint(need))
		f.Why = "so many connections of a listener can wait to be accepted; when many clients come back at once, those beyond it wait a second or more"
	}
	return f
}

func (e *exam) synBacklog() Finding {
	const key = "net.ipv4.tcp_max_syn_backlog"
	have, ok := e.sysctl(key)
	if !ok {
		return unknown(key)
	}
	need := e.backlog()
	f := Finding{Level: OK, Value: fmt.Sprint(have), Need: fmt.Sprint(need)}
	if have >= need {
		return f
	}
	f.Why, f.Fix = "so many handshakes of a listener can be under way", sysctl(key, fmt.Sprint(need))
	if cookies, ok := e.sysctl("net.ipv4.tcp_syncookies"); ok && cookies > 0 {
		f.Level, f.Why = Info, f.Why+"; beyond it net.ipv4.tcp_syncookies, which is on, does without keeping them"
		return f
	}
	f.Level = Warn
	return f
}

func (e *exam) portRange() Finding {
	const key = "net.ipv4.ip_local_port_range"
	r := e.numbers("proc/sys/net/ipv4/ip_local_port_range")
	if len(r) != 2 || r[1] < r[0] {
		return unknown(key)
	}
	ports := r[1] - r[0] + 1
	f := Finding{Level: OK, Value: fmt.Sprintf("%d to %d", r[0], r[1])}
	if taken := e.portsWithin(r[0], r[1]); len(taken) > 0 {
		list := strings.Join(taken, ",")
		f.Level, f.Need = Warn, "listening ports outside of it"
		f.Why = fmt.Sprintf("port %s is within it: while Skein does not run, a connection that some program opens may take it", list)
		f.Fix = sysctl("net.ipv4.ip_local_reserved_ports", list)
		return f
	}
	f.Need = fmt.Sprintf("a proxy or load generator opens %d connections from one address to one port", ports)
	sources := (e.cfg.MaxConns + ports - 1) / ports
	if sources > 1 {
		f.Level = Info
		f.Why = fmt.Sprintf("a proxy or load generator on one machine needs %d source addresses for %d links; clients that connect directly are not concerned", sources, e.cfg.MaxConns)
		if ports < 64000 {
			f.Fix = "for 64512 ports, on the proxy or load generator: " + sysctl(key, "1024 65535")
		}
	}
	return f
}

// portsWithin are the ports of the settings between two others.
func (e *exam) portsWithin(least, most int) (list []string) {
	for _, a := range e.addresses() {
		if p := portOf(a.addr); p >= least && p <= most {
			list = append(list, strconv.Itoa(p))
		}
	}
	return list
}

// portOf is the number of an address's port, 0 if it has none.
func portOf(addr string) int {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0
	}
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		return 0
	}
	return n
}

// tcpMem looks at what all sockets together may keep in their queues. A link
// that is idle keeps nothing there; a push to everybody puts a page into the
// queue of each.
func (e *exam) tcpMem() Finding {
	const key = "net.ipv4.tcp_mem"
	pages := e.numbers("proc/sys/net/ipv4/tcp_mem")
	if len(pages) != 3 {
		return unknown(key)
	}
	page := os.Getpagesize()
	most, need := pages[2], e.cfg.MaxConns
	f := Finding{Level: OK, Value: size(most * page), Need: size(need*page) + " when everybody is sent something at once"}
	switch {
	case most < need/8:
		f.Level = Fail
	case most < need:
		f.Level = Warn
	default:
		return f
	}
	f.Why = "all sockets together may keep so much in their queues, counted as a page for each link; beyond it the kernel drops what arrives, to be sent again, and takes no more to send"
	f.Fix = sysctl(key, fmt.Sprintf("%d %d %d", need*3/4, need, need*3/2))
	return f
}

func (e *exam) conntrack() Finding {
	const key = "net.netfilter.nf_conntrack_max"
	most, ok := e.sysctl(key)
	if !ok {
		return Finding{Level: OK, Value: "no table of connections"}
	}
	// Both ends of a connection are one entry; a tenth is for others.
	need := e.cfg.MaxConns + e.cfg.MaxConns/10 + 1000
	f := Finding{Level: OK, Value: fmt.Sprint(most), Need: fmt.Sprint(need)}
	if most >= need {
		return f
	}
	f.Fix = sysctl(key, fmt.Sprint(need))
	if count, ok := e.sysctl("net.netfilter.nf_conntrack_count"); ok && count == 0 {
		f.Level, f.Why = Info, "the table is there, but no rule has connections entered into it now"
		return f
	}
	f.Level, f.Why = Fail, "the firewall enters every link into this table, and drops packets of new ones when it is full"
	return f
}

func (e *exam) congestion() Finding {
	name := e.text("proc/sys/net/ipv4/tcp_congestion_control")
	if name == "" {
		return unknown("net.ipv4.tcp_congestion_control")
	}
	f := Finding{Level: OK, Value: name}
	if name == "bbr" {
		f.Level = Info
		f.Why = "good over the internet; on loopback it costs 6 to 16% more CPU, so say it with figures that were measured there"
	}
	return f
}

func (e *exam) clock() Finding {
	synced, err := e.Synchronized()
	if err != nil {
		return unknown("whether the clock is synchronized")
	}
	if synced {
		return Finding{Level: OK, Value: "synchronized"}
	}
	return Finding{
		Level: Warn, Value: "not synchronized", Need: "a clock that follows a reference",
		Why: "messages carry the server's time, and certificates expire by it; order and delivery do not depend on it. " +
			"In a virtual machine the host may keep the time without telling",
		Fix: "systemctl enable --now systemd-timesyncd, or chronyd",
	}
}
