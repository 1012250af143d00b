//go:build linux

package link

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/evloop"
	"github.com/skein-im/skein/internal/im"
)

// loopConn is a connection of the epoll engine. loopread.go has what happens
// when bytes arrive, loopwrite.go how they leave. It is kept small: 112 bytes,
// beside those of evloop.Conn.
type loopConn struct {
	desk  *desk
	ec    *evloop.Conn
	value any
	// parts is there while fragments of a message have arrived; the loop's.
	parts *wsDecoder

	mu sync.Mutex
	// out is what waits to be handed to the loop.
	out *chunk
	// closing is there from when the connection begins to close. It does not
	// change.
	closing *closing
	// idle is the idle time, lastFrame when it began, in milliseconds. The
	// clock starts again from 0 after 49 days.
	idle, lastFrame uint32
	ip              [16]byte
	maxFrame        atomic.Int32
	// handing is how many bytes the loop will have when it has taken what is
	// being handed to it, 0 if nothing is.
	handing atomic.Int32
	port    uint16
	// stopped: frames are not handed over any more.
	stopped atomic.Bool
	// web: WebSocket is spoken; refused: it is beyond the limit. They are
	// the loop's.
	web, refused bool
	// waits: it is at the desk; corked: the loop is busy with it and will
	// look at what waits when it is done.
	waits, corked bool
	// ready is as in conn; parted: the loop has been told that it closes, or
	// it has closed.
	ready, parted bool
	// first: the first frame has not come. rearm: the timer is to be set.
	first, rearm bool
}

// closing is why a connection closes.
type closing struct {
	cause error
	// wsStatus is the status of the WebSocket close, 0 for that of the
	// goodbye.
	wsStatus uint16
}

// newLoopConn makes the state of a connection that has just come. Only what it
// is told by is set before start.
func newLoopConn(from netip.AddrPort) *loopConn {
	return &loopConn{ip: from.Addr().As16(), port: from.Port()}
}

// start begins with a connection when the handshakes below are done.
func (c *loopConn) start(d *desk, ec *evloop.Conn) {
	c.desk, c.ec, c.first = d, ec, true
	c.idle = idleTime(d.loops.srv.cfg.Idle)
	c.maxFrame.Store(int32(d.loops.srv.cfg.FirstFrame))
}

// from is where the connection comes from, if from anywhere.
func (c *loopConn) from() netip.Addr {
	if c.ip == [16]byte{} {
		return netip.Addr{}
	}
	return netip.AddrFrom16(c.ip).Unmap()
}

func (c *loopConn) srv() *Server { return c.desk.loops.srv }

func (c *loopConn) handler() Handler {
	if c.refused {
		return refuser{c.srv()}
	}
	return c.srv().cfg.Handler
}

func (c *loopConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.from(), c.port))
}

func (c *loopConn) Value() any { return c.value }

func (c *loopConn) SetValue(v any) { c.value = v }

func (c *loopConn) SetMaxFrame(n int) { c.maxFrame.Store(int32(min(n, 1<<30))) }

func (c *loopConn) SetIdle(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle, c.lastFrame = idleTime(d), c.desk.loops.since(time.Now())
	if c.closing == nil && !c.first {
		c.rearm = true
		c.callLoop()
	}
}

func (c *loopConn) Close(code im.CloseCode, reason string) { c.CloseRetry(code, reason, 0) }

func (c *loopConn) CloseRetry(code im.CloseCode, reason string, after time.Duration) {
	c.leave(&CloseError{Code: code, Reason: reason, RetryAfter: after})
}

func (c *loopConn) CloseTo(code im.CloseCode, reason string, addresses []string) {
	c.leave(&CloseError{Code: code, Reason: reason, Addresses: addresses})
}

// leave is CloseRetry in the words of e.
func (c *loopConn) leave(e *CloseError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked(e)
}

// closeLocked begins the goodbye.
func (c *loopConn) closeLocked(e *CloseError) {
	if c.closing != nil {
		return
	}
	c.srv().stats.closed(e.Code)
	c.closing = &closing{cause: e}
	c.stopped.Store(true)
	if e.Code == im.CloseSlow || e.Code == im.CloseOverloaded {
		// As in conn.
		c.dropLocked()
	}
	if c.ready {
		if frame, err := goodbyeFrame(e); err == nil {
			c.queueLocked(frame)
		}
	}
	c.callLoop()
}

// peerClosed answers a WebSocket close; the loop is about to look.
func (c *loopConn) peerClosed(status uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing == nil {
		c.closing = &closing{io.EOF, status}
		c.stopped.Store(true)
	}
}

// hangUp closes the connection at once; it is for the loop.
func (c *loopConn) hangUp(err error) {
	c.mu.Lock()
	if c.closing == nil {
		c.closing = &closing{cause: c.explain(err)}
	}
	c.parted = true
	c.stopped.Store(true)
	c.mu.Unlock()
	c.ec.Close(err)
}

// closed is the last that is heard of the connection.
func (c *loopConn) closed(err error) {
	c.mu.Lock()
	if c.closing == nil {
		c.closing = &closing{cause: c.explain(err)}
	}
	c.parted = true
	c.stopped.Store(true)
	c.dropLocked()
	cause := c.closing.cause
	c.mu.Unlock()
	if c.parts != nil {
		c.parts.release()
		c.parts = nil
	}
	if !c.ready {
		if !c.refused {
			c.srv().stats.handshakeFailed.Add(1)
		}
		return
	}
	c.handler().Closed(c, cause)
}

// explain puts an error of the loop into the terms of this package.
func (c *loopConn) explain(err error) error {
	switch {
	case errors.Is(err, evloop.ErrStalled), errors.Is(err, evloop.ErrQueueFull):
		c.srv().stats.closed(im.CloseSlow)
		return &CloseError{Code: im.CloseSlow, Reason: reasonStalled}
	case errors.Is(err, evloop.ErrNoRoom):
		return c.srv().noRoom()
	case errors.Is(err, evloop.ErrShutdown), errors.Is(err, evloop.ErrClosed):
		return ErrClosed
	case errors.Is(err, io.ErrUnexpectedEOF):
		return io.EOF
	}
	return err
}

// timeout sees what is overdue. Timers are not set anew with every frame:
// usually there is a later moment by now.
func (c *loopConn) timeout() {
	c.mu.Lock()
	if c.closing != nil {
		c.mu.Unlock()
		return
	}
	if !c.ready {
		c.mu.Unlock()
		c.hangUp(errHandshake)
		return
	}
	defer c.mu.Unlock()
	if c.first {
		c.closeLocked(&CloseError{Code: im.CloseIdle, Reason: reasonNoFirst})
	} else if !c.armLocked() {
		c.closeLocked(&CloseError{Code: im.CloseIdle, Reason: reasonIdle})
	}
}

// maxIdle is what the clock can tell apart.
const maxIdle = 24 * 24 * time.Hour

func idleTime(d time.Duration) uint32 { return uint32(min(d, maxIdle).Milliseconds()) }

// armLocked sets the timer to the end of the idle time, unless that is over.
func (c *loopConn) armLocked() bool {
	// The turn may have begun before the last frame.
	passed := int32(c.desk.loops.since(c.desk.loop.Now()) - c.lastFrame)
	left := int32(c.idle) - passed
	if left > 0 {
		c.ec.SetTimer(time.Duration(left) * time.Millisecond)
	}
	return left > 0
}

// errHandshake ends connections that do not get as far as frames in time.
var errHandshake = errors.New("no handshake in time")
