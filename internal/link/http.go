package link

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"

	"github.com/gobwas/ws"
)

// ServeHTTP upgrades a request to a WebSocket and takes it over.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.full() {
		s.stats.refused.Add(1)
		w.Header().Set("Retry-After", strconv.Itoa(1+int(s.spread().Seconds())))
		http.Error(w, "too many connections", http.StatusServiceUnavailable)
		return
	}
	// It is not valid if the server listens on something else.
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	if !s.allow(plain(from.Addr())) {
		s.stats.refused.Add(1)
		w.Header().Set("Retry-After", strconv.Itoa(1+int(s.spread().Seconds())))
		http.Error(w, "too many connections from this address", http.StatusTooManyRequests)
		return
	}
	if !s.upgradeHTTP(w, r, from) {
		s.gone(plain(from.Addr()))
	}
}

// upgradeHTTP reports whether the connection was taken over.
func (s *Server) upgradeHTTP(w http.ResponseWriter, r *http.Request, from netip.AddrPort) bool {
	loops, err := s.engine()
	if err != nil {
		s.stats.refused.Add(1)
		http.Error(w, "links are not served", http.StatusInternalServerError)
		s.cfg.Logger.Error("cannot serve a link", "err", err)
		return false
	}
	nc, rw, _, err := ws.HTTPUpgrader{Timeout: s.cfg.HandshakeTimeout}.Upgrade(r, w)
	if err != nil {
		s.stats.handshakeFailed.Add(1)
		if nc != nil {
			nc.Close()
		}
		return false
	}
	// What the client sent behind its request has been read by now; there
	// is no error for bytes that are there.
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	return s.takeOver(loops, nc, from, early)
}

// takeOver runs a WebSocket out of an HTTP server: on the epoll engine, or on
// a goroutine if there is TLS below it, whose state cannot be taken out.
func (s *Server) takeOver(loops loopEngine, nc net.Conn, from netip.AddrPort, early []byte) bool {
	if loops != nil {
		err := loops.adopt(nc, from, early)
		if err == nil {
			return true
		}
		if !errors.Is(err, errNotAdoptable) {
			s.stats.refused.Add(1)
			nc.Close()
			return false
		}
	}
	d := &decoder{buf: newBuffer(&s.buffers), ws: &wsDecoder{side: ws.StateServerSide, budget: s.budget}}
	d.buf.budget = s.budget
	d.buf.put(early)
	s.start(nc, plain(from.Addr()), d)
	return true
}

// plain is an address as Config.Accept and Gone know it.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func (s *Server) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining || len(s.conns)+s.looped >= s.cfg.MaxConns
}
