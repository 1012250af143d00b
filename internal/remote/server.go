package remote

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// Defaults of ServerConfig.
const (
	DefaultWindow           = 1024
	DefaultMaxLinks         = 1024
	DefaultMaxHandshakes    = 64
	DefaultHandshakeTimeout = 5 * time.Second
	DefaultMaxQueue         = 64 << 20
	DefaultMaxReads         = 16
)

// MaxWindow is the highest Window.
const MaxWindow = 1 << 16

// ServerConfig is what a Server needs. Zero values mean the defaults.
type ServerConfig struct {
	Mailbox im.Mailbox
	// Secret is shared by all nodes; at least MinSecret bytes.
	Secret []byte
	// Node names this node.
	Node   string
	Logger *slog.Logger
	// Window is how many commands of a link may be in flight.
	Window int
	// MaxLinks is how many links there may be, MaxHandshakes how many
	// connections that have not shown yet that they know the secret.
	MaxLinks, MaxHandshakes int
	HandshakeTimeout        time.Duration
	// MaxQueue is how many outgoing bytes of a link may wait; beyond them
	// the link is cut.
	MaxQueue int
	// MaxReads is how many reads of timelines run at a time.
	MaxReads  int
	Heartbeat Heartbeat
}

func (c ServerConfig) withDefaults() ServerConfig {
	c.Window = cmp.Or(c.Window, DefaultWindow)
	c.MaxLinks = cmp.Or(c.MaxLinks, DefaultMaxLinks)
	c.MaxHandshakes = cmp.Or(c.MaxHandshakes, DefaultMaxHandshakes)
	c.HandshakeTimeout = cmp.Or(c.HandshakeTimeout, DefaultHandshakeTimeout)
	c.MaxQueue = cmp.Or(c.MaxQueue, DefaultMaxQueue)
	c.MaxReads = cmp.Or(c.MaxReads, DefaultMaxReads)
	c.Heartbeat = c.Heartbeat.withDefaults()
	return c
}

func (c *ServerConfig) check() error {
	switch {
	case c.Mailbox == nil || c.Logger == nil:
		return errors.New("a role link's server needs a mailbox and a logger")
	case c.Window < 1 || c.Window > MaxWindow:
		return im.Errorf(im.Invalid, "a role link's window is 1 to %d commands", MaxWindow)
	}
	return checkIdentity(c.Secret, c.Node)
}

func checkIdentity(secret []byte, node string) error {
	if len(secret) < MinSecret {
		return im.Errorf(im.Invalid, "the secret of role links needs at least %d bytes", MinSecret)
	}
	if node == "" || len(node) > MaxNode {
		return im.Errorf(im.Invalid, "a node's name has 1 to %d bytes", MaxNode)
	}
	return nil
}

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

// How long to wait after a failure to accept, doubling.
const (
	minAcceptWait = 5 * time.Millisecond
	maxAcceptWait = time.Second
)

// Serve accepts connections until Shutdown, and closes ln in the end. It
// returns nil after Shutdown.
func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close()
	if !s.track(ln) {
		return nil
	}
	wait := minAcceptWait
	for {
		nc, err := ln.Accept()
		if err == nil {
			wait = minAcceptWait
			s.start(nc)
			continue
		}
		if s.isStopped() {
			return nil
		}
		if !passing(err) {
			return err
		}
		s.cfg.Logger.Warn("cannot accept a role link", "err", err, "again_in", wait)
		select {
		case <-s.stop:
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, maxAcceptWait)
	}
}

// passing reports whether accepting may succeed again by itself.
func passing(err error) bool {
	for _, no := range []error{syscall.ECONNABORTED, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

func (s *Server) track(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.listeners[ln] = struct{}{}
	}
	return !s.stopped
}

func (s *Server) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
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
		if old.peer.instance == l.peer.instance {
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

const (
	// refusalEvery is how often refusals of one address are logged.
	refusalEvery = time.Minute
	// maxRefusals is how many addresses are remembered for it; those of
	// others are counted only.
	maxRefusals = 1024
)

// refusals remembers when a refusal of an address was last logged.
type refusals struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// due reports whether a refusal is to be logged, and notes that it was.
func (r *refusals) due(from string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.last[from]) < refusalEvery {
		return false
	}
	if len(r.last) >= maxRefusals {
		for k, at := range r.last {
			if now.Sub(at) >= refusalEvery {
				delete(r.last, k)
			}
		}
	}
	if len(r.last) >= maxRefusals {
		return false
	}
	if r.last == nil {
		r.last = map[string]time.Time{}
	}
	r.last[from] = now
	return true
}

type serverCounters struct {
	accepted, refused, handshakesFailed, wrongSecrets atomic.Uint64
	commands, answers, deliveries, entries, kicks     atomic.Uint64
	unknown, slow, broken                             atomic.Uint64
	sessions                                          atomic.Int64
}

// ServerStats are a Server's counters and gauges.
type ServerStats struct {
	// Links and Sessions are those that there are now.
	Links, Sessions int
	// Accepted links; Refused connections, because there were too many;
	// HandshakesFailed, WrongSecrets among them.
	Accepted, Refused, HandshakesFailed, WrongSecrets uint64
	// Commands taken and Answers given; Deliveries and the Entries in them.
	Commands, Answers, Deliveries, Entries, Kicks uint64
	// Unknown commands and frames, of a later version.
	Unknown, Skipped uint64
	// Slow links were cut because too much waited to be read, Broken ones
	// because what they sent is not acceptable.
	Slow, Broken uint64

	BytesIn, BytesOut uint64
}

// Stats returns the counters.
func (s *Server) Stats() ServerStats {
	s.mu.Lock()
	links := len(s.links)
	s.mu.Unlock()
	c := &s.stats
	return ServerStats{
		Links: links, Sessions: int(c.sessions.Load()),
		Accepted: c.accepted.Load(), Refused: c.refused.Load(),
		HandshakesFailed: c.handshakesFailed.Load(), WrongSecrets: c.wrongSecrets.Load(),
		Commands: c.commands.Load(), Answers: c.answers.Load(),
		Deliveries: c.deliveries.Load(), Entries: c.entries.Load(), Kicks: c.kicks.Load(),
		Unknown: c.unknown.Load(), Skipped: s.traffic.skipped.Load(),
		Slow: c.slow.Load(), Broken: c.broken.Load(),
		BytesIn: s.traffic.bytesIn.Load(), BytesOut: s.traffic.bytesOut.Load(),
	}
}
