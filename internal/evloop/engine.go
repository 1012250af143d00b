//go:build linux

package evloop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Defaults of Config.
const (
	DefaultMaxConns         = 18000
	DefaultMaxQueue         = 4 << 20
	DefaultMaxLoopBytes     = 256 << 20
	DefaultMaxPartial       = 1 << 20
	DefaultMaxInbox         = 64 << 10
	DefaultMaxHandshakes    = 1024
	DefaultHandshakeTimeout = 10 * time.Second
	DefaultStallTimeout     = 15 * time.Second
)

// maxQueue is what fits in the state of a connection.
const maxQueue = 512 << 20

// Config is what an Engine needs. Zero values mean the defaults.
type Config struct {
	Handler Handler
	// Loops is how many loops there are; the default is GOMAXPROCS.
	Loops int
	// MaxConns is how many connections may be open. More are accepted and
	// closed at once.
	MaxConns int
	// Accept, when set, is asked about every connection that comes to a
	// listener, before anything is read or kept for it; value is its Value
	// then, in place of Options.Value. Of those it takes, Closed or Failed
	// tells the end; the others are closed. It is called on the loop.
	Accept func(from netip.AddrPort) (value any, ok bool)
	// MaxQueue is how many outgoing bytes a connection may have waiting,
	// at most 512 MiB.
	MaxQueue int
	// MaxLoopBytes is how many bytes a loop may hold for its connections:
	// their outgoing queues, what the handler leaves unconsumed, and of TLS
	// 32 KiB for each handshake under way and the largest record of each
	// connection. Beyond, those that hold more than
	// Spare get no more: their writes fail, or they are closed, with
	// ErrNoRoom; handshakes wait.
	MaxLoopBytes int
	// Budget, when set, bounds all loops together in the same way.
	Budget *Budget
	// MaxPartial is how many bytes a handler may leave unconsumed.
	MaxPartial int
	// MaxInbox is how many functions other goroutines may have waiting for
	// a loop.
	MaxInbox int
	// MaxHandshakes is how many TLS handshakes a loop has under way. Each
	// takes some 30 KiB until it is over; more wait for their turn.
	MaxHandshakes int
	// HandshakeTimeout bounds TLS handshakes, waiting included.
	HandshakeTimeout time.Duration
	// StallTimeout is how long a peer may take to read 64 KiB, or what is
	// left.
	StallTimeout time.Duration
	// Logger hears of failures to accept.
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	c.Loops = cmp.Or(c.Loops, runtime.GOMAXPROCS(0))
	c.MaxConns = cmp.Or(c.MaxConns, DefaultMaxConns)
	c.MaxQueue = cmp.Or(c.MaxQueue, DefaultMaxQueue)
	c.MaxLoopBytes = cmp.Or(c.MaxLoopBytes, DefaultMaxLoopBytes)
	c.MaxPartial = cmp.Or(c.MaxPartial, DefaultMaxPartial)
	c.MaxInbox = cmp.Or(c.MaxInbox, DefaultMaxInbox)
	c.MaxHandshakes = cmp.Or(c.MaxHandshakes, DefaultMaxHandshakes)
	c.HandshakeTimeout = cmp.Or(c.HandshakeTimeout, DefaultHandshakeTimeout)
	c.StallTimeout = cmp.Or(c.StallTimeout, DefaultStallTimeout)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Handler == nil:
		return c, errors.New("evloop: no handler")
	case c.MaxQueue > maxQueue:
		return c, fmt.Errorf("evloop: MaxQueue is over %d", maxQueue)
	case min(c.HandshakeTimeout, c.StallTimeout) < 0:
		return c, errors.New("evloop: a negative time")
	case min(c.Loops, c.MaxConns, c.MaxQueue, c.MaxLoopBytes, c.MaxPartial, c.MaxInbox, c.MaxHandshakes) < 0:
		return c, errors.New("evloop: a negative limit")
	}
	return c, nil
}

// Engine runs connections on its loops.
type Engine struct {
	cfg   Config
	loops []*Loop
	// open counts connections, those being dialed included.
	open     atomic.Int64
	stopping atomic.Bool
	// listening is held while listeners come and go.
	listening sync.Mutex
	// trimmer returns memory after many handshakes.
	trimmer *trimmer
	// adopted deals connections out.
	adopted atomic.Uint32
}

// New starts an Engine; Shutdown ends it.
func New(cfg Config) (*Engine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, trimmer: newTrimmer()}
	for range cfg.Loops {
		l, err := newLoop(e)
		if err != nil {
			for _, l := range e.loops {
				l.poller.close()
			}
			return nil, err
		}
		e.loops = append(e.loops, l)
	}
	for _, l := range e.loops {
		go l.run()
	}
	return e, nil
}

// Loops are the engine's loops, always the same.
func (e *Engine) Loops() []*Loop { return e.loops }

// Open is how many connections there are, those being dialed included.
func (e *Engine) Open() int { return int(e.open.Load()) }

// admit counts a connection in, if it may come.
func (e *Engine) admit() error {
	if e.stopping.Load() {
		return ErrShutdown
	}
	if e.open.Add(1) > int64(e.cfg.MaxConns) {
		e.open.Add(-1)
		return ErrTooMany
	}
	return nil
}

// Listen accepts TCP connections at an address. Each loop has a listener of
// its own (SO_REUSEPORT), among which the system deals out the connections;
// other processes of the same user may listen there too. To be alone, give a
// net.Listener to Accept. Neither may be called on a loop.
func (e *Engine) Listen(ctx context.Context, addr string, opts Options) (netip.AddrPort, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		return cmp.Or(raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}), os.NewSyscallError("setsockopt", err))
	}}
	var bound netip.AddrPort
	err := e.addListeners(func(l *Loop) error {
		ln, err := lc.Listen(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		defer ln.Close()
		// Port 0 becomes one that the others take too.
		addr = ln.Addr().String()
		if bound, err = netip.ParseAddrPort(addr); err != nil {
			return err
		}
		return l.adoptListener(ln.(*net.TCPListener), opts)
	})
	return bound, err
}

// Accept takes over a listener, which all loops share, and closes it. After an
// error, it is still the caller's. (EPOLLEXCLUSIVE would wake all loops the
// same: it counts threads blocked in epoll_wait, and there are none.)
func (e *Engine) Accept(ln net.Listener, opts Options) error {
	sc, ok := ln.(syscall.Conn)
	if !ok {
		return ErrNotAdoptable
	}
	if err := e.addListeners(func(l *Loop) error { return l.adoptListener(sc, opts) }); err != nil {
		return err
	}
	// The loops have descriptors of their own.
	_ = ln.Close()
	return nil
}

// addListeners lets add bring a listener to all loops, or to none.
func (e *Engine) addListeners(add func(l *Loop) error) error {
	e.listening.Lock()
	defer e.listening.Unlock()
	for i, l := range e.loops {
		if err := add(l); err != nil {
			for _, l := range e.loops[:i] {
				l.do(l.dropListener)
			}
			return err
		}
	}
	return nil
}

// Adopt takes over a connection that was accepted elsewhere, with the bytes
// that were read from it. After an error, it is still the caller's.
func (e *Engine) Adopt(nc net.Conn, early []byte, opts Options) error {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return ErrNotAdoptable
	}
	if err := e.admit(); err != nil {
		return err
	}
	fd, err := duplicate(sc)
	if err == nil {
		early = append([]byte(nil), early...)
		l := e.loops[e.adopted.Add(1)%uint32(len(e.loops))]
		if err = l.post(func() { l.adopt(fd, early, opts) }, false); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		e.open.Add(-1)
		return err
	}
	// The loop has a descriptor of its own.
	_ = nc.Close()
	return nil
}

// duplicate gives a socket a second descriptor, one that Go does not watch.
func duplicate(sc syscall.Conn) (fd int, err error) {
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, err
	}
	var dupErr error
	err = raw.Control(func(s uintptr) { fd, dupErr = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, cmp.Or(err, os.NewSyscallError("fcntl", dupErr))
}

// Each calls fn for every connection, as Loop.Each does on each loop. done,
// unless nil, is called once by the last loop. After an error, some of the
// loops may go through their connections, and done is not called.
func (e *Engine) Each(fn func(*Conn), slice int, done func()) error {
	left := atomic.Int64{}
	left.Store(int64(len(e.loops)))
	finished := func() {
		if left.Add(-1) == 0 && done != nil {
			done()
		}
	}
	for _, l := range e.loops {
		if err := l.Each(fn, slice, finished); err != nil {
			return err
		}
	}
	return nil
}

// StopAccepting closes the listeners, once the connections that had come by
// then are accepted. It waits for the loops and must not be called on one.
func (e *Engine) StopAccepting() {
	e.listening.Lock()
	defer e.listening.Unlock()
	for _, l := range e.loops {
		l.do(l.closeListeners)
	}
}

// Shutdown stops accepting, waits until all connections are closed, which is
// the handler's business, and ends the loops. When ctx ends first, the
// connections that are left are closed with ErrShutdown. It must not be called
// on a loop.
func (e *Engine) Shutdown(ctx context.Context) error {
	e.listening.Lock()
	for _, l := range e.loops {
		l.do(func() {
			l.closeListeners()
			l.stopping = true
		})
	}
	e.stopping.Store(true)
	e.listening.Unlock()
	cut := 0
	for _, l := range e.loops {
		select {
		case <-l.done:
			continue
		case <-ctx.Done():
		}
		_ = l.post(func() { cut += l.closeAll() }, true)
		<-l.done
	}
	e.trimmer.close()
	if cut > 0 {
		return fmt.Errorf("evloop: %d connections were cut: %w", cut, context.Cause(ctx))
	}
	return nil
}
