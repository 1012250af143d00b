package remote

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/accept"
	"github.com/skein-im/skein/internal/im"
)

// Server offers a Mailbox to Clients.
type Server struct {
	cfg ServerConfig
	// leveler is the mailbox, if it says its level.
	leveler     im.Leveler
	incarnation uint64
	// reads holds one element per running read.
	reads chan struct{}
	stop  chan struct{}

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	// greeting are the connections in their handshake.
	greeting map[net.Conn]struct{}
	links    map[*serverLink]struct{}
	stopped  bool
	// tasks are the connections and their reads.
	tasks sync.WaitGroup

	refusals refusals
	stats    serverCounters
	traffic  traffic
}

// NewServer makes a Server; Serve brings it connections.
func NewServer(cfg ServerConfig) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg:         cfg,
		incarnation: randomID(),
		reads:       make(chan struct{}, cfg.MaxReads),
		stop:        make(chan struct{}),
		listeners:   map[net.Listener]struct{}{},
		greeting:    map[net.Conn]struct{}{},
		links:       map[*serverLink]struct{}{},
	}
	s.leveler, _ = cfg.Mailbox.(im.Leveler)
	return s, nil
}

func randomID() uint64 {
	var b [8]byte
	// It never fails.
	_, _ = rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:]) | 1
}

// Serve accepts connections until Shutdown, and closes ln in the end. It
// returns nil after Shutdown.
func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close()
	if !s.track(ln) {
		return nil
	}
	return accept.Loop(ln, s.stop, s.cfg.Logger, s.start)
}

func (s *Server) track(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.listeners[ln] = struct{}{}
	}
	return !s.stopped
}

// start runs a connection, unless there are too many.
func (s *Server) start(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || len(s.greeting) >= s.cfg.MaxHandshakes || len(s.links) >= s.cfg.MaxLinks {
		s.stats.refused.Add(1)
		nc.Close()
		return
	}
	s.greeting[nc] = struct{}{}
	s.tasks.Go(func() { s.serve(nc) })
}

// serve is a connection's goroutine.
func (s *Server) serve(nc net.Conn) {
	in := newInbox(nc)
	me := welcome{node: s.cfg.Node, incarnation: s.incarnation, window: uint32(s.cfg.Window)}
	peer, err := receive(&in, s.cfg.Secret, me, s.cfg.HandshakeTimeout)
	if err != nil {
		s.refused(nc, err)
		return
	}
	in.grow()
	l := newServerLink(s, in, peer)
	if err := l.choose(); err != nil {
		s.refused(nc, err)
		return
	}
	before, ok := s.admit(nc, l)
	if !ok {
		refuse(nc, im.CloseGoingAway, "the mailbox node is stopping")
		nc.Close()
		return
	}
	for _, old := range before {
		old.fail(errReplaced)
		<-old.done
	}
	l.run()
	s.mu.Lock()
	delete(s.links, l)
	s.mu.Unlock()
	close(l.done)
}

// errReplaced ends a link whose process has made another.
var errReplaced = im.Errorf(im.Unavailable, "the process connected again")

// refused ends a connection whose handshake failed.
func (s *Server) refused(nc net.Conn, err error) {
	s.mu.Lock()
	delete(s.greeting, nc)
	s.mu.Unlock()
	s.stats.handshakesFailed.Add(1)
	code, reason := im.CloseProtocol, im.AsError(err).Detail
	if errors.Is(err, errWrongSecret) {
		s.stats.wrongSecrets.Add(1)
		code = im.CloseUnauthenticated
	}
	if im.KindOf(err) != im.Internal {
		refuse(nc, code, reason)
	}
	nc.Close()
	if from := host(nc); s.refusals.due(from, time.Now()) {
		s.cfg.Logger.Warn("a role link was refused", "from", from, "err", err)
	}
}

// admit makes a connection a link, and returns the ones that the same process
// had before: they must end before the new one begins, or commands left in
// them would be applied after what was sent later.
func (s *Server) admit(nc net.Conn, l *serverLink) (before []*serverLink, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.greeting, nc)
	if s.stopped {
		return nil, false
	}
	for old := range s.links {
		if old.peer.instance == l.peer.instance && old.peer.region == l.peer.region {
			before = append(before, old)
		}
	}
	s.links[l] = struct{}{}
	s.stats.accepted.Add(1)
	return before, true
}

// Shutdown stops accepting and asks the clients to leave, so that they connect
// again elsewhere at once. What is in flight is still answered. When ctx ends
// first, the links are cut.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopAccepting()
	done := make(chan struct{})
	go func() {
		s.tasks.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for l := range s.links {
		l.fail(context.Cause(ctx))
	}
	s.mu.Unlock()
	<-done
	return im.Errorf(im.Unavailable, "role links were cut: %w", context.Cause(ctx))
}

func (s *Server) stopAccepting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.stopped = true
		close(s.stop)
	}
	for ln := range s.listeners {
		ln.Close()
	}
	for nc := range s.greeting {
		nc.Close()
	}
	for l := range s.links {
		l.askToLeave()
	}
}

// host is where a connection comes from, without the port.
func host(nc net.Conn) string {
	addr := nc.RemoteAddr().String()
	if h, _, err := net.SplitHostPort(addr); err == nil {
		return h
	}
	return addr
}
