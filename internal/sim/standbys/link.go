package standbys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/wire"
)

// link is a connection of a node to the standby. Either direction delivers what
// was written late and in pieces, stalls, and breaks in the middle of a frame.
type link struct {
	w         *world
	id        int
	node      *node
	up, down  *way
	stallTill time.Duration
	broken    bool
}

// way is one direction of a link.
type way struct {
	l      *link
	name   string
	to     *end
	frames [][]byte
	moving bool
}

// dial connects a node to the standby, if that is there.
func (w *world) dial(ctx context.Context, n *node, life int) (net.Conn, error) {
	type answer struct {
		nc  net.Conn
		err error
	}
	got := make(chan answer, 1)
	w.post(fmt.Sprintf("dial %d.%d", n.index, life), func() {
		w.after(w.between(0, 2*w.plan.linkDelay), func() {
			nc, err := w.connect(n, life)
			got <- answer{nc, err}
		})
	})
	select {
	case a := <-got:
		return a.nc, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

var errAway = errors.New("simulated: the standby is out of reach")

func (w *world) connect(n *node, life int) (net.Conn, error) {
	if n.life != life || n.src == nil || n.awayUntil > w.now() || w.standby.follower == nil {
		return nil, errAway
	}
	w.dialed++
	l := &link{w: w, id: w.dialed, node: n}
	near, far := newEnd(w, fmt.Sprintf("link %d up", l.id)), newEnd(w, fmt.Sprintf("link %d down", l.id))
	l.up, l.down = &way{l: l, name: "up", to: far}, &way{l: l, name: "down", to: near}
	near.out, far.out = l.up, l.down
	w.links = append(w.links, l)
	w.standby.listener.conns <- far
	w.logf("%s is connected by link %d", n.name(), l.id)
	return near, nil
}

// stall lets nothing through for a while.
func (l *link) stall(d time.Duration) { l.stallTill = max(l.stallTill, l.w.now()+d) }

// cut breaks a link: each end notices it at a time of its own.
func (l *link) cut() {
	if l.broken {
		return
	}
	l.broken = true
	l.w.logf("link %d breaks", l.id)
	for _, d := range []*way{l.up, l.down} {
		l.w.after(l.w.between(0, 3*l.w.plan.linkDelay), func() {
			d.frames = nil
			d.to.fail(io.ErrUnexpectedEOF)
		})
	}
}

// disturbLink does something to one link.
func (w *world) disturbLink() {
	w.links = slices.DeleteFunc(w.links, func(l *link) bool { return l.broken && !l.up.moving && !l.down.moving })
	if len(w.links) == 0 {
		return
	}
	l := w.links[w.rng.IntN(len(w.links))]
	if w.rng.IntN(3) > 0 {
		l.cut()
		return
	}
	d := w.between(0, 14*time.Second)
	w.logf("link %d stalls for %v", l.id, d)
	l.stall(d)
}

// push takes what one end has written.
func (d *way) push(b []byte) {
	for len(b) > 0 {
		_, header, size, err := wire.ParseHeader(b, 1<<30)
		if err != nil || header == 0 || header+size > len(b) {
			d.l.w.failf("link %d %s: %d bytes are no frames: %v", d.l.id, d.name, len(b), err)
		}
		if f := d.l.w.twist(d, b[:header+size]); f != nil {
			d.frames = append(d.frames, f)
		}
		b = b[header+size:]
	}
	d.move()
}

// move plans the next delivery.
func (d *way) move() {
	w := d.l.w
	if d.moving || len(d.frames) == 0 {
		return
	}
	d.moving = true
	wait := w.between(0, w.plan.linkDelay) + max(0, d.l.stallTill-w.now())
	w.after(wait, func() {
		d.moving = false
		if d.l.stallTill > w.now() {
			d.move()
			return
		}
		if len(d.frames) > 0 {
			d.to.deliver(d.cut())
			d.move()
		}
	})
}

// cut takes what is delivered at once: to the standby some frames and a part of
// one, to a node a frame or a part of it. What a node does with several frames at
// a time, its goroutines do in no order.
func (d *way) cut() (piece []byte) {
	whole := 1
	if d.name == "up" {
		whole = 1 + d.l.w.rng.IntN(len(d.frames))
	}
	partly := d.l.w.rng.IntN(3) == 0
	for i := range whole {
		f := d.frames[0]
		if partly && i == whole-1 && len(f) > 1 {
			n := 1 + d.l.w.rng.IntN(len(f)-1)
			d.frames[0] = f[n:]
			return append(piece, f[:n]...)
		}
		piece = append(piece, f...)
		d.frames = d.frames[1:]
	}
	return piece
}

// end is a link as one side has it.
type end struct {
	net.Conn
	w    *world
	name string
	out  *way

	mu       sync.Mutex
	in       []byte
	err      error
	closed   bool
	deadline time.Time
	ready    chan struct{}
}

func newEnd(w *world, name string) *end { return &end{w: w, name: name, ready: make(chan struct{}, 1)} }

func (e *end) wake() {
	select {
	case e.ready <- struct{}{}:
	default:
	}
}

func (e *end) deliver(b []byte) {
	e.mu.Lock()
	e.in = append(e.in, b...)
	e.mu.Unlock()
	e.wake()
}

func (e *end) fail(err error) {
	e.mu.Lock()
	if e.err == nil {
		e.err = err
	}
	e.mu.Unlock()
	e.wake()
}

// Read implements net.Conn.
func (e *end) Read(b []byte) (int, error) {
	for {
		n, deadline, err := e.take(b)
		if n > 0 || err != nil {
			return n, err
		}
		timer := time.NewTimer(time.Until(deadline))
		select {
		case <-e.ready:
			timer.Stop()
		case <-timer.C:
			return 0, os.ErrDeadlineExceeded
		}
	}
}

func (e *end) take(b []byte) (n int, deadline time.Time, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n = copy(b, e.in)
	e.in = e.in[n:]
	switch {
	case n > 0:
	case e.closed:
		err = net.ErrClosed
	case e.err != nil:
		err = e.err
	case !time.Now().Before(e.deadline):
		err = os.ErrDeadlineExceeded
	}
	return n, e.deadline, err
}

// Write implements net.Conn. It takes everything: what does not get through is
// noticed by the silence of the other end.
func (e *end) Write(b []byte) (int, error) {
	e.mu.Lock()
	closed := e.closed
	e.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	own := slices.Clone(b)
	e.w.post(e.name, func() {
		if !e.out.l.broken {
			e.out.push(own)
		}
	})
	return len(b), nil
}

// Close implements net.Conn. What is on its way may still arrive, or not.
func (e *end) Close() error {
	e.mu.Lock()
	was := e.closed
	e.closed = true
	e.mu.Unlock()
	e.wake()
	if !was {
		e.w.post(e.name+" closes", func() { e.out.l.cut() })
	}
	return nil
}

// SetReadDeadline implements net.Conn.
func (e *end) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	e.deadline = t
	e.mu.Unlock()
	return nil
}

// SetWriteDeadline implements net.Conn; writes never wait.
func (e *end) SetWriteDeadline(time.Time) error { return nil }

// RemoteAddr implements net.Conn.
func (e *end) RemoteAddr() net.Addr { return &net.UnixAddr{Name: e.name} }

// listener is where the standby takes connections.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newListener() *listener {
	return &listener{conns: make(chan net.Conn, 256), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: "standby"} }
