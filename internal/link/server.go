package link

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/accept"
	"github.com/skein-im/skein/internal/evloop"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// Server accepts connections and runs them. It is an http.Handler that takes
// WebSockets out of an HTTP server.
type Server struct {
	cfg Config

	mu sync.Mutex
	// conns have goroutines; looped counts those of the epoll engine.
	conns     map[*conn]struct{}
	looped    int
	listeners map[net.Listener]struct{}
	// draining: nothing is accepted any more, and what comes in spite of it
	// is told to go to addresses; stop is closed. stopped: it is hung up on.
	draining, stopped bool
	addresses         []string
	// returnWithin is Config.ReturnWithin for those who are few.
	returnWithin time.Duration
	stop         chan struct{}
	// loops is the epoll engine, once it was needed.
	loops loopEngine
	// accepting is held while the epoll engine takes over a listener.
	accepting sync.Mutex
	// tasks are the connections.
	tasks sync.WaitGroup

	// broadcasts are under way.
	broadcasts atomic.Int32
	// budget counts what is held for all connections.
	budget          *evloop.Budget
	buffers, chunks sync.Pool
	stats           counters
}

// NewServer makes a Server; Serve, ServeHTTP and Pipe bring it connections.
func NewServer(cfg Config) *Server {
	cfg = cfg.withDefaults()
	return &Server{
		cfg:       cfg,
		budget:    evloop.NewBudget(cfg.MaxBytes, nil),
		conns:     map[*conn]struct{}{},
		listeners: map[net.Listener]struct{}{},
		stop:      make(chan struct{}),
	}
}

// Serve accepts TCP connections, with TLS if Config.TLS is set, and closes ln
// in the end. It returns nil after Drain and Shutdown.
func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close()
	if !s.track(ln) {
		return nil
	}
	defer s.untrack(ln)
	if served, err := s.serveLoops(ln); served || err != nil {
		return err
	}
	return accept.Loop(ln, s.stop, s.cfg.Logger, s.accept)
}

func (s *Server) track(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.draining {
		s.listeners[ln] = struct{}{}
	}
	return !s.draining
}

func (s *Server) untrack(ln net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, ln)
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// accept runs a connection, if it may come.
func (s *Server) accept(nc net.Conn) {
	var from netip.Addr
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		from = plain(a.AddrPort().Addr())
	}
	if !s.allow(from) {
		s.stats.refused.Add(1)
		nc.Close()
		return
	}
	s.start(nc, from, nil)
}

// allow asks Config.Accept; gone takes its word back.
func (s *Server) allow(from netip.Addr) bool { return !from.IsValid() || s.cfg.Accept(from) }

func (s *Server) gone(from netip.Addr) {
	if from.IsValid() {
		s.cfg.Gone(from)
	}
}

// refusable is how many connections beyond MaxConns are served so far that
// they can be told to come back later.
const refusable = 64

// start runs a connection: one as accepted, or one on which WebSocket is
// spoken already and early was read.
func (s *Server) start(nc net.Conn, from netip.Addr, web *decoder) {
	c := &conn{srv: s, handler: s.cfg.Handler, sock: nc, nc: nc, from: from}
	c.handshakeBy = time.Now().Add(s.cfg.HandshakeTimeout)
	c.maxFrame.Store(int64(s.cfg.FirstFrame))
	if web != nil {
		c.in = *web
	} else {
		c.in.buf = newBuffer(&s.buffers)
		c.in.buf.budget = s.budget
	}
	if !s.admit(c) {
		c.in.close()
		s.stats.refused.Add(1)
		nc.Close()
		s.gone(from)
	}
}

// admit runs a connection, if there is room to do so or to refuse it in words.
func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := len(s.conns) + s.looped
	if s.stopped || open >= s.cfg.MaxConns+refusable {
		return false
	}
	if s.draining || open >= s.cfg.MaxConns {
		s.stats.refused.Add(1)
		c.handler = refuser{s}
	}
	s.stats.accepted.Add(1)
	s.conns[c] = struct{}{}
	s.tasks.Go(c.run)
	return true
}

func (s *Server) forget(c *conn) {
	defer s.gone(c.from)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// refuser handles connections beyond the limit, and those that come too late.
type refuser struct{ s *Server }

func (r refuser) Open(c Conn) {
	e := &CloseError{Code: im.CloseOverloaded, Reason: "too many connections", RetryAfter: r.s.spread()}
	if r.s.isDraining() {
		e = r.s.goingAway()
	}
	c.(leaver).leave(e)
}
func (refuser) Frame(Conn, wire.Type, []byte) {}
func (refuser) Closed(Conn, error)            {}

// spread is a moment within ReturnWithin.
func (s *Server) spread() time.Duration {
	return time.Duration(s.cfg.Rand(int64(s.cfg.ReturnWithin)))
}

// getChunk lends a chunk that counts itself.
func (s *Server) getChunk(b *evloop.Budget) *chunk {
	k, ok := s.chunks.Get().(*chunk)
	if !ok {
		k = newChunk()
	}
	k.budget = b
	k.count(cap(k.b))
	return k
}

func (s *Server) putChunk(k *chunk) {
	k.count(0)
	if cap(k.b) <= keepChunk {
		k.b = k.b[:headroom]
		s.chunks.Put(k)
	}
}
