package swarm

import (
	"fmt"
	"net/netip"
)

// Limits are what the system allows one process.
type Limits struct {
	// Files is how many files it may have open, Ports how many connections
	// go from one address to another.
	Files, Ports int
}

// spareFiles are open besides connections; sparePorts are those of
// connections that have ended and are not free yet.
const (
	spareFiles = 64
	sparePorts = 10 // percent
)

// PerMember is how many connections a member can have.
func (l Limits) PerMember() int {
	return min(l.Files-spareFiles, l.Ports*(100-sparePorts)/100)
}

// maxMembers keeps a mistake from starting thousands of processes.
const maxMembers = 1000

// Members is how many processes conns connections need, and no fewer than
// asked for.
func (l Limits) Members(conns, asked int) (int, error) {
	per := l.PerMember()
	if per < 1 {
		return 0, fmt.Errorf("%d open files and %d ports leave no room for connections (ulimit -n, net.ipv4.ip_local_port_range)", l.Files, l.Ports)
	}
	need := (conns + per - 1) / per
	if asked > 0 && asked < need {
		return 0, fmt.Errorf("%d connections need %d processes of at most %d each (%d open files, %d ports)",
			conns, need, per, l.Files, l.Ports)
	}
	n := min(max(need, asked), conns)
	if n > maxMembers {
		return 0, fmt.Errorf("%d connections would need %d processes; the limit is %d", conns, n, maxMembers)
	}
	return n, nil
}

// perSource is how many connections of a member come from one address. Linux
// looks for a free port among every other one first, one after the other: once
// half of them are taken, each connection would look at all of those.
const perSource = 8000

// from is where a member's connection comes from: further addresses of its own
// follow on source.
func from(source netip.Addr, index uint32) netip.Addr {
	if !source.Is4() || !source.IsLoopback() {
		return source
	}
	a := source.As4()
	a[1] += byte(index / perSource)
	return netip.AddrFrom4(a)
}

// source is where a member connects from at first. Towards a loopback address
// each member has addresses, and with them ports, of its own.
func source(target netip.AddrPort, member int) netip.Addr {
	if !target.Addr().Unmap().Is4() || !target.Addr().IsLoopback() {
		return netip.Addr{}
	}
	n := member + 1
	return netip.AddrFrom4([4]byte{127, 1, byte(n >> 8), byte(n)})
}

// oneAddress fails when connections that all come from one address are more
// than it has ports.
func (l Limits) oneAddress(conns int, targets []netip.AddrPort) error {
	outside := 0
	for _, t := range targets {
		if !source(t, 0).IsValid() {
			outside++
		}
	}
	if most := outside * l.Ports * (100 - sparePorts) / 100; outside > 0 && conns*outside/len(targets) > most {
		return fmt.Errorf("from one address %d connections at most go to %d server addresses off 127.0.0.0/8 (net.ipv4.ip_local_port_range)",
			most, outside)
	}
	return nil
}
