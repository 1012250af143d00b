package link

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// conn is a connection of a Server. read.go has the goroutine that reads,
// write.go the one that writes; this file what they share.
type conn struct {
	srv     *Server
	handler Handler
	// sock is the connection as accepted, nc the same or TLS on it.
	sock, nc net.Conn
	// from is where it comes from, if from anywhere.
	from     netip.Addr
	in       decoder
	value    any
	maxFrame atomic.Int64
	// stopped: frames are not handed over any more.
	stopped atomic.Bool

	// handshakeBy is when the first frame must have come.
	handshakeBy time.Time

	mu sync.Mutex
	// ready: the handshakes are done and the handler has been told.
	ready bool
	// opened: Open has returned, and the handler is not the server's own.
	opened bool
	// closing: a goodbye is queued, nothing else is taken. dead: no writer
	// may start any more.
	closing, dead bool
	cause         error
	closeBy       time.Time
	// wsStatus is the status of the WebSocket close.
	wsStatus uint16
	wsReason string

	idle      time.Duration
	lastFrame time.Time
	first     bool

	outgoing
}

func (c *conn) RemoteAddr() net.Addr { return c.sock.RemoteAddr() }

func (c *conn) Value() any { return c.value }

func (c *conn) SetValue(v any) { c.value = v }

// setConn puts TLS on the connection.
func (c *conn) setConn(nc net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nc = nc
}

func (c *conn) SetMaxFrame(n int) { c.maxFrame.Store(int64(n)) }

func (c *conn) SetIdle(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle, c.lastFrame = d, time.Now()
	if !c.closing && !c.first {
		_ = c.nc.SetReadDeadline(c.lastFrame.Add(d))
	}
}

func (c *conn) Close(code im.CloseCode, reason string) { c.CloseRetry(code, reason, 0) }

func (c *conn) CloseRetry(code im.CloseCode, reason string, after time.Duration) {
	c.leave(&CloseError{Code: code, Reason: reason, RetryAfter: after})
}

func (c *conn) CloseTo(code im.CloseCode, reason string, addresses []string) {
	c.leave(&CloseError{Code: code, Reason: reason, Addresses: addresses})
}

// leave is CloseRetry in the words of e.
func (c *conn) leave(e *CloseError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked(e)
}

// closeLocked begins the goodbye.
func (c *conn) closeLocked(e *CloseError) {
	if c.closing || c.dead {
		return
	}
	c.srv.stats.closed(e.Code)
	c.endLocked(e)
	if !c.ready {
		return
	}
	if e.Code == im.CloseSlow || e.Code == im.CloseOverloaded {
		// The peer does not read; the goodbye must not wait behind what
		// it will fetch again anyway.
		c.dropLocked()
	}
	if frame, err := goodbyeFrame(e); err == nil {
		c.queueLocked(frame)
	}
	c.wsStatus, c.wsReason = 4000+uint16(e.Code), validReason(e.Reason)
	c.startWriter()
}

// endLocked stops both directions for new things; what is queued has until
// closeBy. Before the handshakes are done there is no one to say goodbye to.
func (c *conn) endLocked(cause error) {
	c.closing, c.corked = true, false
	c.stopped.Store(true)
	c.cause = cause
	if !c.ready {
		c.sock.Close()
		return
	}
	c.closeBy = time.Now().Add(c.srv.cfg.CloseTimeout)
	_ = c.nc.SetDeadline(c.closeBy)
}

// peerClosed answers a WebSocket close.
func (c *conn) peerClosed(status uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.dead {
		return
	}
	c.endLocked(io.EOF)
	c.wsStatus = status
	c.startWriter()
}

// abort gives the connection up at once; the reader notices.
func (c *conn) abort(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = &CloseError{Code: im.CloseSlow, Reason: reasonStalled}
			c.srv.stats.closed(im.CloseSlow)
		}
		c.cause = err
	}
	c.closing, c.dead = true, true
	c.stopped.Store(true)
	c.sock.Close()
}

// finish ends the connection after reading has ended with err.
func (c *conn) finish(err error) {
	c.mu.Lock()
	leaving := c.closing && errors.Is(err, io.EOF)
	if !c.closing {
		c.cause = err
	}
	c.closing = true
	c.stopped.Store(true)
	c.mu.Unlock()
	if leaving {
		// The peer has finished sending, but may still read the goodbye.
		c.writers.Wait()
	}
	c.mu.Lock()
	c.dead = true
	c.mu.Unlock()
	c.sock.Close()
	c.writers.Wait()
	c.mu.Lock()
	c.dropLocked()
	c.mu.Unlock()
	c.in.close()
}

// readDeadline is until when reading may take.
func (c *conn) readDeadline() time.Time {
	switch {
	case c.closing:
		return c.closeBy
	case c.first:
		return c.handshakeBy
	}
	return c.lastFrame.Add(c.idle)
}

// overdue decides what a read that ran into its deadline means. Deadlines are
// not moved with every frame: usually there is a later one by now.
func (c *conn) overdue() (over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.readDeadline(); time.Now().Before(d) {
		_ = c.nc.SetReadDeadline(d)
		return false
	}
	if c.closing {
		return true
	}
	reason := reasonIdle
	if c.first {
		reason = reasonNoFirst
	}
	c.closeLocked(&CloseError{Code: im.CloseIdle, Reason: reason})
	return false
}
