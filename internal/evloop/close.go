//go:build linux

package evloop

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ending is a connection to be closed, and why.
type ending struct {
	conn *Conn
	err  error
}

// Close closes the connection; Closed follows at the end of the turn. Of what
// is queued, only what the kernel takes at once is sent, and the peer gets
// nothing of that either if there is something it sent that was not read. A
// nil err counts as ErrClosed.
func (c *Conn) Close(err error) {
	if err == nil {
		err = ErrClosed
	}
	c.end(err)
}

// CloseGently calls Data no more, writes what is queued, ends the outgoing
// direction, and waits for the peer to do the same, all within a time. Closed
// is called with err. Once the connection is closing, it does nothing.
func (c *Conn) CloseGently(err error, within time.Duration) {
	if c.state == closing || c.state == closed {
		return
	}
	if err == nil {
		err = ErrClosed
	}
	if c.state != open {
		c.end(err)
		return
	}
	c.queue.Or(endedBit)
	c.state = closing
	b := c.need()
	b.cause = err
	c.loop.buffers.dropIn(b)
	c.SetTimer(max(within, 1))
	c.flags |= halfClose
	if c.flags&readable != 0 {
		c.later()
	}
	c.dirty()
}

// closeWrite ends the outgoing direction, with TLS not before the peer was
// told so.
func (c *Conn) closeWrite() {
	if c.tls != nil && c.tls.sayGoodbye() {
		// Once that has left, flush comes back.
		c.dirty()
		return
	}
	c.flags |= halfClosed
	if err := unix.Shutdown(int(c.fd), unix.SHUT_WR); err != nil {
		c.end(os.NewSyscallError("shutdown", err))
	}
}

// end closes the connection at the end of the turn. What it is closed with is
// decided once.
func (c *Conn) end(err error) {
	if c.state == closed {
		return
	}
	if c.state == closing {
		err = c.busy.cause
	}
	c.queue.Or(endedBit)
	c.state = closed
	c.loop.ended = append(c.loop.ended, ending{c, err})
}

// closeEnded closes what the turn has ended. Until now the descriptor was not
// free to become another connection's.
func (l *Loop) closeEnded() {
	for i := 0; i < len(l.ended); i++ {
		e := l.ended[i]
		l.ended[i] = ending{}
		e.conn.close(e.err)
	}
	l.ended = l.ended[:0]
}

func (c *Conn) close(err error) {
	l := c.loop
	if c.tls != nil {
		l.stopHandshake(c)
		c.tls.sayGoodbye()
		l.budget.Add(-int(c.tls.records.largest))
	}
	c.writeOut()
	l.wheel.clear(c.slot)
	l.table.release(c.slot)
	l.engine.open.Add(-1)
	if c.flags&wasOpened != 0 {
		l.handler.Closed(c, err)
	} else {
		l.stats.failed.Add(1)
		l.handler.Failed(c, err)
	}
	// Closing takes the descriptor out of the epoll.
	unix.Close(int(c.fd))
	c.fd = -1
	if c.busy != nil {
		l.buffers.putBusy(c.busy)
		c.busy = nil
	}
	c.tls = nil
}
