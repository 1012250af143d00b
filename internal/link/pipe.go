package link

import "net"

// Pipe connects to the server within the process. What the client writes is
// taken by the server's reader directly, without a buffer between.
func (s *Server) Pipe() *ClientConn {
	client, server := net.Pipe()
	s.start(server, nil)
	return newClientConn(client, DialOptions{}.withDefaults())
}
