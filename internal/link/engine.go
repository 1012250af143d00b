package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/skein-im/skein/internal/evloop"
	"github.com/skein-im/skein/internal/im"
)

// Engines of Config.Engine. EngineAuto is EngineEpoll where the system has it,
// and EngineGoroutine elsewhere.
const (
	EngineAuto      = "auto"
	EngineGoroutine = "goroutine"
	EngineEpoll     = "epoll"
)

// CheckEngine says what is wrong with a name of an engine: it is unknown, or
// this system does not have it.
func CheckEngine(name string) error {
	switch name {
	case "", EngineAuto, EngineGoroutine:
		return nil
	case EngineEpoll:
		if evloop.Supported() {
			return nil
		}
		return im.Errorf(im.Invalid, "this system does not have the engine %q", name)
	}
	return im.Errorf(im.Invalid, "there is no engine %q, only %s, %s and %s", name, EngineAuto, EngineGoroutine, EngineEpoll)
}

// loopEngine is the epoll engine as the Server sees it.
type loopEngine interface {
	// accept takes over a listener. It fails with errNotAdoptable if that
	// is not a bare socket.
	accept(ln net.Listener) error
	// adopt takes over a connection on which WebSocket is spoken, with what
	// was read from it. After an error, it is still the caller's.
	adopt(nc net.Conn, from netip.AddrPort, early []byte) error
	// stopAccepting closes the listeners, everyone lists the connections,
	// and end cuts what is left and ends the loops.
	stopAccepting()
	everyone() []leaver
	end()
	// broadcast pushes to every connection; wait returns when it has.
	broadcast(b *broadcast) (wait func())
	// addStats adds the counters, and open connections, to s.
	addStats(s *Stats)
}

// errNotAdoptable: the socket belongs to something else, such as TLS.
var errNotAdoptable = errors.New("not a bare socket")

// engine returns the epoll engine, which the first call starts; nil means that
// connections get goroutines, or that the server is draining.
func (s *Server) engine() (loopEngine, error) {
	if err := CheckEngine(s.cfg.Engine); err != nil {
		return nil, err
	}
	if s.cfg.Engine == EngineGoroutine || !evloop.Supported() {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loops != nil || s.draining {
		return s.loops, nil
	}
	loops, err := newLoops(s)
	if err != nil {
		return nil, im.Errorf(im.Unavailable, "cannot start the epoll engine: %w", err)
	}
	s.loops = loops
	return loops, nil
}

// serveLoops lets the epoll engine accept from ln until the server drains. It reports
// false if the connections are to get goroutines instead.
func (s *Server) serveLoops(ln net.Listener) (served bool, err error) {
	loops, err := s.engine()
	if err != nil || loops == nil {
		return false, err
	}
	if err := s.acceptLoops(loops, ln); err != nil {
		if errors.Is(err, errNotAdoptable) && s.cfg.Engine != EngineEpoll {
			return false, nil
		}
		return false, fmt.Errorf("cannot accept links: %w", err)
	}
	<-s.stop
	return true, nil
}

// acceptLoops does not overlap with the end of accepting.
func (s *Server) acceptLoops(loops loopEngine, ln net.Listener) error {
	s.accepting.Lock()
	defer s.accepting.Unlock()
	if s.isDraining() {
		return nil
	}
	err := loops.accept(ln)
	if s.isDraining() {
		// The listener was closed meanwhile, here or by Shutdown.
		return nil
	}
	return err
}

// admitLoop counts a connection of the epoll engine in. refused: it is beyond
// the limit and can only be told so. It fails for those that cannot.
func (s *Server) admitLoop() (refused, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := len(s.conns) + s.looped
	if s.draining || open >= s.cfg.MaxConns {
		s.stats.refused.Add(1)
		refused = true
	}
	if s.stopped || open >= s.cfg.MaxConns+refusable {
		return refused, false
	}
	s.looped++
	s.tasks.Add(1)
	return refused, true
}

// forgetLoop counts it out.
func (s *Server) forgetLoop() {
	s.mu.Lock()
	s.looped--
	s.mu.Unlock()
	s.tasks.Done()
}
