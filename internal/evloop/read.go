//go:build linux

package evloop

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// event takes what the kernel tells of a connection. Each thing is told only
// once, so it is noted before anything else.
func (c *Conn) event(ev uint32) {
	if c.state == closed {
		return
	}
	if ev&unix.EPOLLOUT != 0 && c.flags&blocked != 0 {
		c.flags &^= blocked
		c.dirty()
	}
	if ev&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.flags |= hungUp | readable
	}
	if ev&unix.EPOLLIN != 0 {
		c.flags |= readable
	}
	if c.state == connecting {
		c.connected()
		return
	}
	if c.flags&finished != 0 && ev&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		// Reading would tell, but is not going to happen.
		c.broken()
		return
	}
	c.proceed()
}

// broken ends a connection that both sides have shut down, or one.
func (c *Conn) broken() {
	err := c.socketError()
	if err == nil {
		err = io.EOF
	}
	c.end(err)
}

// proceed reads what is there, at most readSize of it.
func (c *Conn) proceed() {
	if c.state == closed {
		return
	}
	if c.state == handshaking {
		c.shake()
		return
	}
	if c.flags&readable == 0 || c.flags&finished != 0 {
		return
	}
	if b := c.read(); b != nil {
		c.received(b)
	}
}

// read reads into the buffer of the loop. It deals itself with what is not
// data, and returns nil then.
func (c *Conn) read() []byte {
	l := c.loop
	l.stats.reads.Add(1)
	n, err := sysRead(int(c.fd), l.buf)
	switch {
	case n > 0:
		// A read that does not fill the buffer has emptied the socket;
		// new data is a new event.
		if n == len(l.buf) || c.flags&hungUp != 0 {
			c.later()
		} else {
			c.flags &^= readable
		}
		return l.buf[:n]
	case err == unix.EAGAIN:
		c.flags &^= readable
	case err == unix.EINTR:
		c.later()
	case err != nil:
		c.end(os.NewSyscallError("read", err))
	default:
		c.flags = c.flags&^readable | finished
		c.peerFinished()
	}
	return nil
}

// received takes bytes from the network.
func (c *Conn) received(b []byte) {
	switch {
	case c.state != open:
		// After CloseGently, it is read so that the peer gets everything:
		// closing with unread bytes would be a reset.
	case c.tls != nil:
		c.decrypt(b)
	default:
		c.deliver(b)
	}
}

// deliver hands bytes to the handler, behind those it has left over before,
// and keeps what it leaves.
func (c *Conn) deliver(b []byte) {
	l := c.loop
	kept := c.busy != nil && c.busy.in != nil
	if kept {
		c.busy.in = append(l.buffers.grow(c.busy.in, len(b)), b...)
		b = c.busy.in
	}
	n := l.handler.Data(c, b)
	if n < 0 || n > len(b) {
		panic(fmt.Sprintf("evloop: the handler consumed %d of %d bytes", n, len(b)))
	}
	if n > 0 && c.idle != 0 {
		c.deadline = l.tick + c.idle + 1
	}
	if c.state != open {
		return
	}
	switch {
	case n == len(b):
		if kept {
			l.buffers.dropIn(c.busy)
			c.rest()
		}
	case len(b)-n > l.cfg.MaxPartial:
		c.end(ErrTooLong)
	case kept && !l.budget.Room(len(b)-n, 0), !kept && !l.budget.Room(0, len(b)-n):
		c.end(ErrNoRoom)
	case kept:
		c.busy.in = b[:copy(b, b[n:])]
	default:
		in := l.buffers.get(len(b) - n)
		c.need().in = append(in, b[n:]...)
	}
}

// peerFinished deals with the end of what the peer sends. What is queued for
// it still leaves.
func (c *Conn) peerFinished() {
	if c.tls != nil && c.state == open {
		c.tls.eof = true
		c.decrypt(nil)
		return
	}
	c.finish(io.EOF)
}

// finish closes the connection when the queue is empty.
func (c *Conn) finish(err error) {
	if c.state == closed {
		return
	}
	if c.state == open && c.busy != nil && c.busy.in != nil {
		err = io.ErrUnexpectedEOF
	}
	if c.Queued() == 0 || c.state == handshaking {
		c.end(err)
		return
	}
	if c.state == open {
		c.queue.Or(endedBit)
		c.state, c.deadline = closing, 0
		c.need().cause = err
	}
	c.flags |= finished
}
