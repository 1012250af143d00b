//go:build linux && !race

package remote

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// directConn reads and writes past Go's scheduler, as the loops of package evloop
// do and for the same reason: the socket does not block, and telling the
// scheduler of a system call wakes a thread of it in a process that is mostly
// idle, as one of very many gateway workers is.
type directConn struct {
	net.Conn
	raw    syscall.RawConn
	in     direct
	out    direct
	reads  func(fd uintptr) bool
	writes func(fd uintptr) bool
}

// direct is one call: what it is about, and what came of it.
type direct struct {
	buf []byte
	n   int
	err error
}

// past makes a connection read and write past the scheduler if it is a socket.
// One goroutine may read and another write.
func past(nc net.Conn) net.Conn {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nc
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nc
	}
	c := &directConn{Conn: nc, raw: raw}
	c.reads = func(fd uintptr) bool { return c.in.do(unix.SYS_READ, fd) }
	c.writes = func(fd uintptr) bool { return c.out.do(unix.SYS_WRITE, fd) }
	return c
}

// do makes the call, and reports whether it need not be made again later.
func (d *direct) do(trap, fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(d.buf))), uintptr(len(d.buf)))
		switch errno {
		case 0:
			d.n, d.err = int(n), nil
			return true
		case unix.EAGAIN:
			return false
		case unix.EINTR:
		default:
			d.n, d.err = 0, errno
			return true
		}
	}
}

func (c *directConn) Read(b []byte) (int, error) {
	c.in = direct{buf: b}
	if err := c.raw.Read(c.reads); err != nil {
		return 0, err
	}
	if c.in.err != nil {
		return 0, os.NewSyscallError("read", c.in.err)
	}
	if c.in.n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return c.in.n, nil
}

func (c *directConn) Write(b []byte) (written int, err error) {
	for written < len(b) {
		c.out = direct{buf: b[written:]}
		if err := c.raw.Write(c.writes); err != nil {
			return written, err
		}
		if c.out.err != nil {
			return written, os.NewSyscallError("write", c.out.err)
		}
		written += c.out.n
	}
	return written, nil
}

// CloseWrite ends the outgoing direction.
func (c *directConn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return net.ErrClosed
	}
	return half.CloseWrite()
}
