//go:build linux

package evloop

import (
	"cmp"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Dial connects to an address. What becomes of it, Open or Failed tells. Dial
// itself fails like Post, and with ErrTooMany, ErrShutdown and ErrInvalidAddr. It is safe for
// concurrent use.
func (l *Loop) Dial(to netip.AddrPort, opts DialOptions) error {
	if !to.IsValid() {
		return ErrInvalidAddr
	}
	if err := l.engine.admit(); err != nil {
		return err
	}
	opts.Timeout = cmp.Or(opts.Timeout, l.cfg.HandshakeTimeout)
	err := l.post(func() { l.dial(to, &opts) }, false)
	if err != nil {
		l.engine.open.Add(-1)
	}
	return err
}

func (l *Loop) dial(to netip.AddrPort, opts *DialOptions) {
	fd, err := dialSocket(to, opts)
	if err != nil {
		l.fail(opts.Value, err)
		return
	}
	c := l.add(fd, connecting, &opts.Options)
	if c == nil {
		return
	}
	if l.stopping {
		c.end(ErrShutdown)
		return
	}
	if opts.TLS != nil {
		c.tls = newClientTLS(c, opts.TLS)
	}
	c.SetTimer(opts.Timeout)
}

// dialSocket makes a socket that is about to be connected.
func dialSocket(to netip.AddrPort, opts *DialOptions) (fd int, err error) {
	sa, family := sockaddr(to)
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if opts.Local.IsValid() {
		err = bindLocal(fd, opts.Local)
	}
	if err == nil {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	}
	if err == nil {
		if err = unix.Connect(fd, sa); err == unix.EINPROGRESS {
			err = nil
		}
		err = os.NewSyscallError("connect", err)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// bindLocal chooses the address to connect from and leaves the port for
// connect, which can take one that is in use towards other servers.
func bindLocal(fd int, local netip.Addr) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	sa, _ := sockaddr(netip.AddrPortFrom(local, 0))
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}

// connected hears that connecting has come to an end, one way or the other.
func (c *Conn) connected() {
	if err := c.socketError(); err != nil {
		c.end(os.NewSyscallError("connect", err))
		return
	}
	c.state = handshaking
	if c.tls != nil {
		c.shake()
		return
	}
	c.opened()
	c.proceed()
}

// establish begins with a connection that is connected.
func (c *Conn) establish(opts *Options) {
	switch {
	case c.loop.stopping:
		c.end(ErrShutdown)
	case opts.TLS != nil:
		c.tls = newServerTLS(c, opts.TLS)
		c.SetTimer(c.loop.cfg.HandshakeTimeout)
	default:
		c.opened()
	}
}

// opened tells the handler.
func (c *Conn) opened() {
	c.state = open
	c.flags |= wasOpened
	c.deadline = 0
	c.loop.handler.Open(c)
}
