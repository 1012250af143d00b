//go:build linux

package link

import (
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/skein-im/skein/internal/evloop"
)

// loops are the connections of the epoll engine: its Handler.
type loops struct {
	srv    *Server
	engine *evloop.Engine
	// began is what times of connections are counted from.
	began time.Time
	// desks has one for each loop. It is not changed after the start.
	desks map[*evloop.Loop]*desk
}

// spareInbox is room in the loops' inboxes beyond one request for each
// connection. So requests from here are never refused: a loop has waiting at
// most one for each connection being adopted, one of its desk, and the few of
// Shutdown.
const spareInbox = 1 << 10

func newLoops(s *Server) (loopEngine, error) {
	e := &loops{srv: s, began: time.Now(), desks: map[*evloop.Loop]*desk{}}
	var err error
	e.engine, err = evloop.New(evloop.Config{
		Handler:  e,
		Accept:   e.acceptFrom,
		MaxConns: s.cfg.MaxConns + refusable,
		MaxInbox: s.cfg.MaxConns + refusable + spareInbox,
		// The bounds that count are kept here. These leave room for what
		// TLS and WebSocket add, and for the goodbye.
		MaxQueue:         min(s.cfg.MaxQueue+s.cfg.MaxQueue/16+1<<20, 512<<20),
		MaxLoopBytes:     s.cfg.MaxLoopBytes,
		Budget:           s.budget,
		MaxPartial:       math.MaxInt32,
		HandshakeTimeout: s.cfg.HandshakeTimeout,
		StallTimeout:     s.cfg.StallTimeout,
		Logger:           s.cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	for _, l := range e.engine.Loops() {
		d := &desk{loops: e, loop: l}
		d.serveFunc = d.serve
		e.desks[l] = d
	}
	return e, nil
}

func (e *loops) accept(ln net.Listener) error {
	err := e.engine.Accept(ln, evloop.Options{TLS: e.srv.cfg.TLS})
	if errors.Is(err, evloop.ErrNotAdoptable) {
		return errNotAdoptable
	}
	return err
}

// acceptFrom makes the state of a connection, if it may come.
func (e *loops) acceptFrom(from netip.AddrPort) (value any, ok bool) {
	if !e.srv.allow(from.Addr()) {
		return nil, false
	}
	return newLoopConn(from), true
}

func (e *loops) adopt(nc net.Conn, from netip.AddrPort, early []byte) error {
	c := newLoopConn(from)
	c.web = true
	// It may be open before Adopt returns.
	e.srv.stats.accepted.Add(1)
	err := e.engine.Adopt(nc, early, evloop.Options{Value: c})
	if err != nil {
		e.srv.stats.accepted.Add(^uint64(0))
	}
	if errors.Is(err, evloop.ErrNotAdoptable) {
		return errNotAdoptable
	}
	return err
}

func (e *loops) stopAccepting() { e.engine.StopAccepting() }

func (e *loops) everyone() []leaver {
	var mu sync.Mutex
	var all []leaver
	done := make(chan struct{})
	err := e.engine.Each(func(ec *evloop.Conn) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, ec.Value().(*loopConn))
	}, 0, func() { close(done) })
	if err != nil {
		// The loops have ended, and the connections with them.
		return nil
	}
	<-done
	return all
}

func (e *loops) broadcast(b *broadcast) (wait func()) {
	done := make(chan struct{})
	push := func(ec *evloop.Conn) { b.push(ec.Value().(*loopConn)) }
	if e.engine.Each(push, broadcastSlice, func() { close(done) }) != nil {
		// The loops have ended, and the connections with them.
		return func() {}
	}
	return func() { <-done }
}

func (e *loops) end() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	// That it cut connections is what it is for.
	_ = e.engine.Shutdown(ctx)
}

func (e *loops) addStats(s *Stats) {
	st := e.engine.Stats()
	s.Open += st.Open
	s.Accepted += st.Accepted
	s.Refused += st.Refused
	s.Reads += st.Reads
	s.Writes += st.Writes
}

// since is the time t as connections keep it.
func (e *loops) since(t time.Time) uint32 { return uint32(t.Sub(e.began).Milliseconds()) }

// Open implements evloop.Handler.
func (e *loops) Open(ec *evloop.Conn) {
	c := ec.Value().(*loopConn)
	refused, ok := e.srv.admitLoop()
	if !ok {
		ec.Close(nil)
		return
	}
	c.start(e.desks[ec.Loop()], ec)
	c.refused = refused
	ec.SetTimer(e.srv.cfg.HandshakeTimeout)
	if c.web {
		c.open()
	}
}

// Data implements evloop.Handler.
func (e *loops) Data(ec *evloop.Conn, b []byte) int {
	return ec.Value().(*loopConn).data(b)
}

// Timeout implements evloop.Handler.
func (e *loops) Timeout(ec *evloop.Conn) { ec.Value().(*loopConn).timeout() }

// Drained implements evloop.Handler.
func (e *loops) Drained(ec *evloop.Conn) { ec.Value().(*loopConn).flush() }

// Closed implements evloop.Handler.
func (e *loops) Closed(ec *evloop.Conn, err error) {
	c := ec.Value().(*loopConn)
	e.srv.gone(c.from())
	if c.desk == nil {
		// It was hung up on before anyone heard of it.
		return
	}
	c.closed(err)
	e.srv.forgetLoop()
}

// Failed implements evloop.Handler.
func (e *loops) Failed(ec *evloop.Conn, _ error) {
	e.srv.gone(ec.Value().(*loopConn).from())
	e.srv.stats.handshakeFailed.Add(1)
}

// desk is where other goroutines leave connections of a loop that have
// something to be done about. A connection is there at most once, and the loop
// is asked only when the desk was empty.
type desk struct {
	loops *loops
	loop  *evloop.Loop
	// serveFunc is serve, made once.
	serveFunc func()

	mu           sync.Mutex
	conns, spare []*loopConn
	asked        bool

	// dec and ws cut what a connection has received into frames, and pong
	// is where an answer is put together; they are the loop's.
	dec  decoder
	ws   wsDecoder
	pong [ws.MaxControlFramePayloadSize + ws.MaxHeaderSize]byte
}

func (d *desk) add(c *loopConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns = append(d.conns, c)
	if !d.asked {
		d.asked = d.loop.Post(d.serveFunc) == nil
	}
}

// keepDesk is how many connections a desk keeps room for.
const keepDesk = 1 << 10

// serve runs on the loop.
func (d *desk) serve() {
	d.mu.Lock()
	conns := d.conns
	d.conns, d.asked = d.spare[:0], false
	d.mu.Unlock()
	for i, c := range conns {
		conns[i] = nil
		c.left()
	}
	if cap(conns) > keepDesk && len(conns) < cap(conns)/4 {
		conns = nil
	}
	// Only the loop has it.
	d.spare = conns
}
