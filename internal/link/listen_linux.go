package link

import (
	"cmp"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// canShare: the system deals connections out to several listeners of a port.
const canShare = true

// silentSeconds is about how long a connection on which nothing comes is not
// accepted.
const silentSeconds = 1

// sharePort lets a socket share its port, and defers connections until
// something comes.
func sharePort(_, _ string, raw syscall.RawConn) error {
	var err error
	return cmp.Or(raw.Control(func(fd uintptr) {
		err = setShared(int(fd))
		// It saves work, and nothing depends on it.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, silentSeconds)
	}), err)
}

func setShared(fd int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
}

func setReuse(fd, on int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, on))
}

// reservePort binds a socket and does not listen. Without an address it is one
// of both families, as a listener's would be, if the system has both.
func reservePort(want *net.TCPAddr) (bound *net.TCPAddr, release func() error, err error) {
	v4, fd := want.IP.To4(), -1
	if v4 == nil {
		sa := &unix.SockaddrInet6{Port: want.Port}
		copy(sa.Addr[:], want.IP)
		fd, err = boundSocket(unix.AF_INET6, sa)
	}
	if v4 != nil || err != nil && want.IP == nil {
		sa := &unix.SockaddrInet4{Port: want.Port}
		copy(sa.Addr[:], v4)
		fd, err = boundSocket(unix.AF_INET, sa)
	}
	if err != nil {
		return nil, nil, err
	}
	release = sync.OnceValue(func() error { return unix.Close(fd) })
	sa, err := unix.Getsockname(fd)
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}, release, nil
	case *unix.SockaddrInet6:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}, release, nil
	}
	_ = release()
	return nil, nil, os.NewSyscallError("getsockname", err)
}

func boundSocket(family int, sa unix.Sockaddr) (fd int, err error) {
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if family == unix.AF_INET6 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	// Only with SO_REUSEADDR do connections not matter that a listener which did
	// not share closed a moment ago; but with it, such listeners could come.
	if err = setShared(fd); err == nil {
		err = cmp.Or(setReuse(fd, 1), os.NewSyscallError("bind", unix.Bind(fd, sa)), setReuse(fd, 0))
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
