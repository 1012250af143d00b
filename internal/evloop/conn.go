//go:build linux

package evloop

import (
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// state is how far a connection has come.
type state uint8

const (
	connecting state = iota
	// handshaking: connected, but Open has not been called.
	handshaking
	open
	// closing: what is queued has still to leave, and then, after
	// CloseGently, the peer to finish.
	closing
	// closed: it is in Loop.ended or was.
	closed
)

// flags are what else there is to know about a connection.
type flags uint16

const (
	// readable: there may be something to read, no new event will tell.
	readable flags = 1 << iota
	// hungUp: the end is to be read; no new event will tell of it.
	hungUp
	// finished: the end was read.
	finished
	// blocked: the kernel takes no more, and will tell when it does.
	blocked
	// inAgain, inDirty and inShaking: the connection is in that list.
	inAgain
	inDirty
	inShaking
	// notify: call Drained.
	notify
	// halfClose: end the outgoing direction when everything has left.
	// halfClosed: that was done.
	halfClose
	halfClosed
	// wasOpened: Open was called.
	wasOpened
)

// Conn is a connection of a loop. Loop and Queued are safe for concurrent use;
// all other methods are for the loop's goroutine, that is for calls of the
// Handler and for posted functions. A Conn is never used again for another
// connection.
//
// It is kept small: 64 bytes, and 24 in the table.
type Conn struct {
	loop  *Loop
	value any
	// busy is nil while nothing waits.
	busy *busy
	tls  *tlsLayer
	fd   int32
	slot int32
	// deadline is the tick of the next Timeout, 0 if there is none.
	deadline uint32
	// idle is how many ticks data moves the deadline ahead, 0 if it does
	// not.
	idle uint32
	// queue has the outgoing bytes that wait, and on top endedBit.
	queue atomic.Uint32
	flags flags
	state state
}

// endedBit: nothing more is taken.
const (
	endedBit  = 1 << 31
	queueMask = endedBit - 1
)

// Loop is the loop that owns the connection.
func (c *Conn) Loop() *Loop { return c.loop }

// Value is the handler's own state.
func (c *Conn) Value() any { return c.value }

// SetValue sets Value.
func (c *Conn) SetValue(v any) { c.value = v }

// Queued is how many outgoing bytes wait.
func (c *Conn) Queued() int { return int(c.queue.Load() & queueMask) }

// FD is the socket, for setting options; -1 once it is closed.
func (c *Conn) FD() int { return int(c.fd) }

// RemoteAddr asks the system for the peer's address. The result is not valid
// if the peer is gone already.
func (c *Conn) RemoteAddr() netip.AddrPort {
	sa, _ := unix.Getpeername(int(c.fd))
	return addrPort(sa)
}

// LocalAddr asks the system for this end's address.
func (c *Conn) LocalAddr() netip.AddrPort {
	sa, _ := unix.Getsockname(int(c.fd))
	return addrPort(sa)
}

// SetTimer makes Timeout be called after d, once; 0 takes back what was set
// before. Resolution is 100 ms; it is never early.
func (c *Conn) SetTimer(d time.Duration) {
	c.deadline, c.idle = 0, 0
	if d > 0 {
		c.deadline = c.loop.after(d)
		c.schedule()
	}
}

// SetIdle makes Timeout be called, once, when Data has consumed nothing for d.
// It takes the place of SetTimer.
func (c *Conn) SetIdle(d time.Duration) {
	c.SetTimer(d)
	if d > 0 {
		c.idle = ticks(d)
	}
}

func (c *Conn) unqueue(n int) { c.queue.Add(-uint32(n)) }

// need makes sure that there is a busy.
func (c *Conn) need() *busy {
	if c.busy == nil {
		c.busy = c.loop.buffers.getBusy()
	}
	return c.busy
}

// rest gives the busy back if nothing waits.
func (c *Conn) rest() {
	if b := c.busy; b != nil && b.in == nil && b.out == nil && b.cause == nil {
		c.loop.buffers.putBusy(b)
		c.busy = nil
	}
}

// later lets proceed be called in the next turn.
func (c *Conn) later() {
	if c.flags&inAgain == 0 {
		c.flags |= inAgain
		c.loop.again = append(c.loop.again, c)
	}
}

// dirty lets flush be called in this turn.
func (c *Conn) dirty() {
	if c.flags&inDirty == 0 {
		c.flags |= inDirty
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// socketError is what the system has to say about the connection.
func (c *Conn) socketError() error {
	code, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		return os.NewSyscallError("getsockopt", err)
	case code != 0:
		return unix.Errno(code)
	}
	return nil
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// sockaddr is an address as the system wants it, and its family.
func sockaddr(a netip.AddrPort) (unix.Sockaddr, int) {
	if a.Addr().Unmap().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().Unmap().As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}, unix.AF_INET6
}
