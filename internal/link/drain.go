package link

import (
	"cmp"
	"context"
	"net"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// DrainOptions say how connections are taken leave of.
type DrainOptions struct {
	// Over is the time over which goodbyes are spread, evenly; 0 says them
	// all at once. Clients are told to come back within returnTimes of it, or
	// Config.ReturnWithin if that is less or Over is 0: few need not wait long.
	Over time.Duration
	// Addresses are where clients are told to connect instead, best first:
	// host:port, for the transport and path that each uses, or URLs as Dial
	// takes them.
	Addresses []string
}

// returnTimes is over how many times the time of goodbyes clients come back: to log
// in costs more than to say goodbye.
const returnTimes = 5

// leaver is a connection that the server can take leave of.
type leaver interface{ leave(e *CloseError) }

// Shutdown is Drain without delay.
func (s *Server) Shutdown(ctx context.Context) error { return s.Drain(ctx, DrainOptions{}) }

// Drain stops accepting at once, then says GOING_AWAY on one connection after
// the other, each with a moment of its own to come back, and waits until all
// are gone. Until its turn comes, a connection goes on as before; one that is
// new in spite of all is told at once. When ctx ends first, the goodbyes that
// are left are said at once and the connections cut. Drain may be called again
// meanwhile, for less patience. The Handler must not call it.
func (s *Server) Drain(ctx context.Context, opts DrainOptions) error {
	loops := s.stopAccepting(opts)
	s.takeLeave(ctx, s.everyone(), opts.Over, func(int) *CloseError { return s.goingAway() })
	s.stopServing()
	// Those that came after the others had been listed.
	for _, c := range s.everyone() {
		c.leave(s.goingAway())
	}
	if loops != nil {
		// Connections whose TLS handshake goes on are not waited for.
		defer loops.end()
	}
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
	cut := s.cut()
	if loops != nil {
		loops.end()
	}
	<-done
	if !cut {
		return nil
	}
	return im.Errorf(im.Unavailable, "links were cut: %w", context.Cause(ctx))
}

// stopAccepting closes the listeners. Connections that have come by then are
// accepted on the epoll engine; elsewhere they are reset.
func (s *Server) stopAccepting(opts DrainOptions) loopEngine {
	s.mu.Lock()
	if !s.draining {
		s.draining = true
		close(s.stop)
	}
	if len(opts.Addresses) > 0 {
		s.addresses = opts.Addresses
	}
	if opts.Over > 0 {
		s.returnWithin = min(s.cfg.ReturnWithin, returnTimes*opts.Over)
	}
	listeners, loops := make([]net.Listener, 0, len(s.listeners)), s.loops
	for ln := range s.listeners {
		listeners = append(listeners, ln)
	}
	s.mu.Unlock()
	for _, ln := range listeners {
		ln.Close()
	}
	if loops != nil {
		s.accepting.Lock()
		loops.stopAccepting()
		s.accepting.Unlock()
	}
	return loops
}

// everyone lists the connections, but for those in a TLS handshake on the epoll
// engine.
func (s *Server) everyone() []leaver {
	s.mu.Lock()
	all, loops := make([]leaver, 0, len(s.conns)), s.loops
	for c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	if loops != nil {
		all = append(all, loops.everyone()...)
	}
	return all
}

// drainStep is how often it is looked whose turn it is.
const drainStep = 50 * time.Millisecond

// takeLeave says goodbye to each, evenly over a time. It ends early with ctx,
// and when there is nobody any more.
func (s *Server) takeLeave(ctx context.Context, conns []leaver, over time.Duration, words func(i int) *CloseError) {
	began := time.Now()
	for told := 0; told < len(conns); {
		due := len(conns)
		if passed := time.Since(began); passed < over {
			due = min(due, 1+int(float64(due)*passed.Seconds()/over.Seconds()))
		}
		for ; told < due; told++ {
			conns[told].leave(words(told))
		}
		if told == len(conns) || s.open() == 0 {
			return
		}
		select {
		case <-time.After(drainStep):
		case <-ctx.Done():
			return
		}
	}
}

// goingAway are the words of a goodbye.
func (s *Server) goingAway() *CloseError {
	s.mu.Lock()
	addresses, within := s.addresses, cmp.Or(s.returnWithin, s.cfg.ReturnWithin)
	s.mu.Unlock()
	after := time.Duration(s.cfg.Rand(int64(within)))
	return &CloseError{Code: im.CloseGoingAway, Reason: "the server is stopping", RetryAfter: after, Addresses: addresses}
}

// stopServing hangs up on whatever comes from now on.
func (s *Server) stopServing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
}

// open is how many connections there are.
func (s *Server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) + s.looped
}

// cut gives up the connections that have goroutines, and reports whether there
// was anything to cut.
func (s *Server) cut() bool {
	s.mu.Lock()
	conns, some := make([]*conn, 0, len(s.conns)), len(s.conns)+s.looped > 0
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.abort(ErrClosed)
	}
	return some
}
