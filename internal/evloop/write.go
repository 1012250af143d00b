//go:build linux

package evloop

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	// gatherSize is from which size on a write is not copied if the kernel
	// takes it at once.
	gatherSize = 16 << 10
	// flushSize is how many bytes may gather before the end of the turn.
	flushSize = 64 << 10
	// maxPieces is how many pieces are gathered, a bit less than the system
	// takes.
	maxPieces = 1000
	// stallPace is how many bytes a peer must take within
	// Config.StallTimeout.
	stallPace = 64 << 10
)

// Write queues pieces, all or none. What a turn writes to a connection leaves
// together at the turn's end, or earlier when it is much. It fails with
// ErrQueueFull, ErrNoRoom and ErrClosed. The pieces are the caller's again when it
// returns.
func (c *Conn) Write(pieces ...[]byte) error {
	total := 0
	for _, p := range pieces {
		total += len(p)
	}
	q := c.queue.Load()
	if q&endedBit != 0 {
		return ErrClosed
	}
	if int(q&queueMask)+total > c.loop.cfg.MaxQueue {
		return ErrQueueFull
	}
	if !c.loop.budget.Room(int(q&queueMask), total) {
		return ErrNoRoom
	}
	c.write(total, pieces...)
	return nil
}

func (c *Conn) write(total int, pieces ...[]byte) {
	switch {
	case total == 0:
	case c.tls != nil:
		c.encrypt(total, pieces)
	case total >= gatherSize && c.flags&blocked == 0 && len(pieces) <= maxPieces:
		c.gather(total, pieces)
	default:
		for _, p := range pieces {
			c.push(p)
		}
	}
}

// push adds bytes to the queue.
func (c *Conn) push(p []byte) {
	if c.fd < 0 || len(p) == 0 {
		return
	}
	b := c.need()
	if b.off > 0 && len(b.out)+len(p) > cap(b.out) {
		b.out = b.out[:copy(b.out, b.out[b.off:])]
		b.off = 0
	}
	if b.out == nil {
		b.out = c.loop.buffers.get(len(p))
	}
	b.out = append(c.loop.buffers.grow(b.out, len(p)), p...)
	c.queue.Add(uint32(len(p)))
	c.dirty()
	if len(b.out)-b.off >= flushSize {
		c.writeOut()
	}
}

// gather writes what is queued and the pieces in one go, and queues what is
// left of them.
func (c *Conn) gather(total int, pieces [][]byte) {
	vec := make([][]byte, 0, 8)
	queued := 0
	if b := c.busy; b != nil && b.out != nil {
		vec = append(vec, b.out[b.off:])
		queued = len(b.out) - b.off
	}
	vec = append(vec, pieces...)
	c.loop.stats.writes.Add(1)
	n, err := unix.Writev(int(c.fd), vec)
	if err != nil && err != unix.EAGAIN && err != unix.EINTR {
		c.end(os.NewSyscallError("writev", err))
		return
	}
	n = max(n, 0)
	if queued > 0 {
		c.took(min(n, queued))
	}
	n = max(n-queued, 0)
	for _, p := range pieces {
		skip := min(n, len(p))
		n -= skip
		if skip < len(p) {
			c.push(p[skip:])
		}
	}
	c.dirty()
}

// writeOut writes what is queued, as far as the kernel takes it.
func (c *Conn) writeOut() {
	b := c.busy
	for b != nil && b.out != nil && c.flags&blocked == 0 {
		c.loop.stats.writes.Add(1)
		n, err := sysWrite(int(c.fd), b.out[b.off:])
		switch {
		case err == nil:
			c.took(n)
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			c.flags |= blocked
			if b.stallBy == 0 {
				c.pace()
			}
		default:
			c.flags |= blocked
			c.end(os.NewSyscallError("write", err))
		}
	}
}

// took accounts for queued bytes that the kernel has.
func (c *Conn) took(n int) {
	b := c.busy
	c.unqueue(n)
	b.off += n
	if b.off == len(b.out) {
		c.loop.buffers.dropOut(b)
		b.stallBy = 0
		return
	}
	if b.pace -= n; b.stallBy != 0 && b.pace <= 0 {
		c.pace()
	}
}

// pace gives the peer time to take the next bytes.
func (c *Conn) pace() {
	c.busy.stallBy = c.loop.after(c.loop.cfg.StallTimeout)
	c.busy.pace = stallPace
	c.schedule()
}

// flush writes what is queued, and does what was to be done after that.
func (c *Conn) flush() {
	if c.state == closed {
		return
	}
	c.writeOut()
	if c.state == closed || c.Queued() > 0 {
		return
	}
	switch {
	case c.flags&finished != 0 && c.state == closing:
		c.end(nil)
		return
	case c.flags&(halfClose|halfClosed) == halfClose:
		c.closeWrite()
	}
	c.rest()
	if c.flags&notify != 0 && c.state == open {
		c.flags &^= notify
		c.loop.handler.Drained(c)
	}
}

// NotifyDrained makes Drained be called, once, when nothing is queued any
// more: in this turn or a later one.
func (c *Conn) NotifyDrained() {
	c.flags |= notify
	c.dirty()
}
