//go:build linux

package evloop

import (
	"encoding/binary"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// How many connections a turn accepts from one listener.
const acceptBatch = 64

// maxBacklog is how many are accepted before a listener is closed.
const maxBacklog = 4096

// How many ticks to wait after a failure to accept, doubling.
const (
	minAcceptWait = 1
	maxAcceptWait = 16
)

// acceptor is a listening socket of a loop.
type acceptor struct {
	fd   int
	opts Options
	// index is the place in Loop.listeners.
	index int32
	// spoken: connections come when their first bytes have (TCP_DEFER_ACCEPT).
	spoken bool
	// wait is how many ticks to wait after the next failure, retryAt when
	// to try again after the last, 0 if there was none.
	wait, retryAt uint32
}

// adoptListener makes the loop accept from a listener, with a descriptor of
// its own.
func (l *Loop) adoptListener(sc syscall.Conn, opts Options) error {
	fd, err := duplicate(sc)
	if err != nil {
		return err
	}
	// Accepted sockets inherit it. On sockets without TCP both fail.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	deferred, _ := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT)
	a := &acceptor{fd: fd, opts: opts, spoken: deferred > 0, wait: minAcceptWait}
	result := make(chan error, 1)
	err = l.post(func() { result <- l.addListener(a) }, true)
	if err != nil {
		unix.Close(fd)
		return err
	}
	return <-result
}

func (l *Loop) addListener(a *acceptor) error {
	if l.stopping {
		unix.Close(a.fd)
		return ErrShutdown
	}
	a.index = int32(len(l.listeners))
	if err := l.watch(a); err != nil {
		unix.Close(a.fd)
		return err
	}
	l.listeners = append(l.listeners, a)
	return nil
}

// watch asks for events as long as there is something to accept.
func (l *Loop) watch(a *acceptor) error {
	return l.poller.add(a.fd, unix.EPOLLIN, ^a.index, 0)
}

// accept takes connections, a batch a turn.
func (l *Loop) accept(index int32) {
	if int(index) >= len(l.listeners) {
		return
	}
	a := l.listeners[index]
	for range acceptBatch {
		if !l.acceptOne(a) {
			return
		}
	}
	l.more = true
}

func (l *Loop) acceptOne(a *acceptor) (more bool) {
	fd, err := sysAccept(a.fd, &l.peer)
	switch err {
	case nil:
		a.wait = minAcceptWait
		l.accepted(fd, a)
		return true
	case unix.EAGAIN:
		return false
	case unix.EINTR, unix.ECONNABORTED:
		return true
	}
	l.stopAccept(a, err)
	return false
}

// accepted takes a connection of l.peer, if it may come.
func (l *Loop) accepted(fd int, a *acceptor) {
	opts := a.opts
	ok := l.engine.admit() == nil
	if ok && l.cfg.Accept != nil {
		if opts.Value, ok = l.cfg.Accept(rawAddrPort(&l.peer)); !ok {
			l.engine.open.Add(-1)
		}
	}
	if !ok {
		l.stats.refused.Add(1)
		unix.Close(fd)
		return
	}
	if c := l.add(fd, handshaking, &opts); c != nil {
		l.stats.accepted.Add(1)
		c.establish(&opts)
		if a.spoken {
			c.flags |= readable
			c.later()
		}
	}
}

// rawAddrPort is an address as the system tells it.
func rawAddrPort(sa *unix.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case unix.AF_INET:
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), networkPort(&sa.Port))
	case unix.AF_INET6:
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), networkPort(&sa.Port))
	}
	return netip.AddrPort{}
}

// networkPort reads a port as it is on the network.
func networkPort(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }

// stopAccept ignores a listener for a while, usually for lack of descriptors:
// its events would keep the loop busy with failing.
func (l *Loop) stopAccept(a *acceptor, err error) {
	l.cfg.Logger.Warn("cannot accept connections",
		"err", os.NewSyscallError("accept", err), "again_in", time.Duration(a.wait)*tickLength)
	a.retryAt = l.tick + a.wait + 1
	a.wait = min(2*a.wait, maxAcceptWait)
	if err := l.poller.remove(a.fd); err != nil {
		l.cfg.Logger.Error("cannot pause a listener", "err", err)
	}
}

// retryAccept takes a listener up again when its time has come.
func (l *Loop) retryAccept(a *acceptor) {
	if a.retryAt == 0 || a.retryAt > l.tick {
		return
	}
	a.retryAt = 0
	if err := l.watch(a); err != nil {
		l.stopAccept(a, err)
	}
}

// closeListeners closes the listeners. Connections that wait to be accepted
// would be reset with them.
func (l *Loop) closeListeners() {
	for len(l.listeners) > 0 {
		a := l.listeners[len(l.listeners)-1]
		// Not all that come: they could come for ever.
		for range maxBacklog {
			if !l.acceptOne(a) {
				break
			}
		}
		l.dropListener()
	}
}

// dropListener closes the listener that came last.
func (l *Loop) dropListener() {
	if len(l.listeners) == 0 {
		// The loop was about to end.
		return
	}
	last := len(l.listeners) - 1
	a := l.listeners[last]
	l.listeners = l.listeners[:last]
	if a.retryAt == 0 {
		_ = l.poller.remove(a.fd)
	}
	unix.Close(a.fd)
}
