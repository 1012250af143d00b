//go:build linux

package evloop

import (
	"crypto/tls"
	"io"
	"iter"
	"net"
	"time"
)

// tlsLayer is TLS on a connection: the standard crypto/tls over a net.Conn that
// reads from what the loop has read and writes to the queue.
//
// Reading fails with a temporary error when there is nothing more; crypto/tls
// keeps the part of a record it has and goes on the next time. That is so after
// the handshake only: an error during it is final, and the handshake itself is
// a function that waits for the peer in its middle. So it runs in a coroutine,
// which has a stack of its own while it lasts: where it would have to wait, it
// goes back to the loop, and on when there is more. No other goroutine or lock
// is involved; it is as if it ran on the loop.
type tlsLayer struct {
	owner *Conn
	conn  *tls.Conn
	// in is what was read and conn has not taken, which is nothing between
	// turns.
	in []byte
	// eof: nothing comes after in. goodbye: the peer was told that nothing
	// more comes from here.
	eof, goodbye bool
	// shaking is nil when the handshake is over.
	shaking *handshake
	records records
}

// handshake is the coroutine of a handshake.
type handshake struct {
	// resume runs it until it needs more, and reports whether it does.
	// Both are nil before the start.
	resume func() (struct{}, bool)
	stop   func()
	park   func(struct{}) bool
	err    error
}

// handshakes are those of a loop.
type handshakes struct {
	// ready are connections whose handshake can go on. Only a few do so in
	// a turn, because each takes as long as a hundred requests.
	ready []*Conn
	// waiting are those that cannot begin because too many are under way.
	waiting []*Conn
	running int
}

// handshakesPerTurn is how many handshakes make a step in a turn.
const handshakesPerTurn = 4

const (
	// handshakeBytes is what a handshake takes while it lasts, about.
	handshakeBytes = 32 << 10
	// minHandshakes may be under way even if there is no room.
	minHandshakes = 4
)

// wouldBlock is the temporary net.Error by which crypto/tls knows that it may
// read again.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "evloop: nothing to read yet" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

func newServerTLS(c *Conn, cfg *tls.Config) *tlsLayer {
	t := &tlsLayer{owner: c, shaking: &handshake{}}
	t.conn = tls.Server(t, cfg)
	return t
}

func newClientTLS(c *Conn, cfg *tls.Config) *tlsLayer {
	t := &tlsLayer{owner: c, shaking: &handshake{}}
	t.conn = tls.Client(t, cfg)
	return t
}

// Read is called by crypto/tls.
func (t *tlsLayer) Read(p []byte) (int, error) {
	for len(t.in) == 0 {
		if t.eof {
			return 0, io.EOF
		}
		if h := t.shaking; h == nil || !h.park(struct{}{}) {
			return 0, wouldBlock{}
		}
	}
	n := copy(p, t.in)
	t.in = t.in[n:]
	if !t.records.note(p[:n], t.owner.loop.budget) {
		return 0, ErrNoRoom
	}
	return n, nil
}

// Write is called by crypto/tls.
func (t *tlsLayer) Write(p []byte) (int, error) {
	t.owner.push(p)
	return len(p), nil
}

// Close does nothing: the loop closes the connection.
func (t *tlsLayer) Close() error { return nil }

func (t *tlsLayer) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(t.owner.LocalAddr()) }
func (t *tlsLayer) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(t.owner.RemoteAddr()) }

// The loop has its own timers.
func (t *tlsLayer) SetDeadline(time.Time) error      { return nil }
func (t *tlsLayer) SetReadDeadline(time.Time) error  { return nil }
func (t *tlsLayer) SetWriteDeadline(time.Time) error { return nil }

// TLS is the state of TLS on the connection, if there is one.
func (c *Conn) TLS() (state tls.ConnectionState, ok bool) {
	if c.tls == nil {
		return state, false
	}
	return c.tls.conn.ConnectionState(), true
}

// shake queues the next step of the handshake.
func (c *Conn) shake() {
	if c.flags&inShaking == 0 {
		c.flags |= inShaking
		c.loop.tls.ready = append(c.loop.tls.ready, c)
	}
}

// stepHandshakes goes on with some of the handshakes.
func (l *Loop) stepHandshakes() {
	n := min(len(l.tls.ready), handshakesPerTurn)
	steps := l.tls.ready[:n]
	l.tls.ready = l.tls.ready[n:]
	for _, c := range steps {
		c.flags &^= inShaking
		if c.state != handshaking {
			continue
		}
		if c.tls.shaking.resume == nil && !l.beginHandshake(c) {
			continue
		}
		c.stepHandshake()
	}
}

// beginHandshake makes the coroutine, if there may be one more.
func (l *Loop) beginHandshake(c *Conn) bool {
	if n := l.tls.running; n >= l.cfg.MaxHandshakes || n >= minHandshakes && !l.budget.Room(Spare, handshakeBytes) {
		l.tls.waiting = append(l.tls.waiting, c)
		c.flags |= inShaking
		return false
	}
	l.tls.running++
	l.engine.trimmer.begin()
	l.budget.Add(handshakeBytes)
	t, h := c.tls, c.tls.shaking
	h.resume, h.stop = iter.Pull(func(yield func(struct{}) bool) {
		h.park = yield
		h.err = t.conn.Handshake()
	})
	return true
}

// stepHandshake gives the handshake what has arrived.
func (c *Conn) stepHandshake() {
	var b []byte
	switch {
	case c.busy != nil && c.busy.in != nil:
		// Read before the connection was adopted.
		b = c.busy.in
		c.busy.in = nil
		defer c.loop.buffers.put(b)
	case c.flags&readable != 0 && c.flags&finished == 0:
		b = c.read()
	}
	if c.state != handshaking {
		return
	}
	t, h := c.tls, c.tls.shaking
	t.in = b
	if _, more := h.resume(); more {
		return
	}
	c.loop.stopHandshake(c)
	if h.err != nil {
		c.end(h.err)
		return
	}
	c.opened()
	if c.state == open {
		// What came behind the handshake may be in there already.
		c.decrypt(t.in)
	}
}

// stopHandshake takes the coroutine down, and lets another begin.
func (l *Loop) stopHandshake(c *Conn) {
	h := c.tls.shaking
	if h == nil {
		return
	}
	c.tls.shaking = nil
	if h.resume == nil {
		return
	}
	h.stop()
	l.tls.running--
	l.engine.trimmer.end()
	l.budget.Add(-handshakeBytes)
	// Two, for there may be room again for more than there were.
	for left := 2; left > 0 && len(l.tls.waiting) > 0; {
		next := l.tls.waiting[0]
		l.tls.waiting = l.tls.waiting[1:]
		next.flags &^= inShaking
		if next.state == handshaking {
			next.shake()
			left--
		}
	}
}

// decrypt hands over what is in the records that have arrived.
func (c *Conn) decrypt(b []byte) {
	l, t := c.loop, c.tls
	if l.plain == nil {
		l.plain = make([]byte, plainSize)
	}
	t.in = b
	for c.state == open {
		n, err := 0, error(nil)
		for n < len(l.plain) && err == nil {
			var k int
			k, err = t.conn.Read(l.plain[n:])
			n += k
		}
		if n > 0 {
			c.deliver(l.plain[:n])
		}
		if err == nil {
			continue
		}
		if err != error(wouldBlock{}) {
			c.tlsEnded(err)
		}
		break
	}
	t.in = nil
}

// tlsEnded deals with the end of what TLS reads: the peer's goodbye, or an
// error.
func (c *Conn) tlsEnded(err error) {
	if err == io.EOF {
		c.flags = c.flags&^readable | finished
		c.finish(err)
		return
	}
	c.end(err)
}

// encrypt writes pieces as records.
func (c *Conn) encrypt(total int, pieces [][]byte) {
	joined := pieces[0]
	if len(pieces) > 1 {
		// Small pieces share a record.
		joined = c.loop.buffers.get(total)
		for _, p := range pieces {
			joined = append(joined, p...)
		}
		defer c.loop.buffers.put(joined)
	}
	if _, err := c.tls.conn.Write(joined); err != nil {
		c.end(err)
	}
}

// sayGoodbye queues the notice that nothing more comes, and reports whether it
// is the first time.
func (t *tlsLayer) sayGoodbye() bool {
	if t.goodbye {
		return false
	}
	t.goodbye = true
	// It fails when there was no handshake.
	return t.conn.CloseWrite() == nil
}
