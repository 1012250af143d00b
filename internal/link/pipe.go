package link

import (
	"net"
	"net/netip"
)

// Pipe connects to the server within the process. What the client writes is
// taken by the server's reader directly, without a buffer between.
func (s *Server) Pipe() *ClientConn {
	client, server := net.Pipe()
	s.start(server, netip.Addr{}, nil)
	return newClientConn(client, DialOptions{}.withDefaults())
}
