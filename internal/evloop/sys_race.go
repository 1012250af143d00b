//go:build linux && race

package evloop

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The race detector has to see that what one side does before it writes comes
// before what the other does after it has read: package unix tells it.

func sysRead(fd int, b []byte) (int, error)  { return unix.Read(fd, b) }
func sysWrite(fd int, b []byte) (int, error) { return unix.Write(fd, b) }

func sysEpollWait(fd int, events []unix.EpollEvent) (int, error) {
	return unix.EpollWait(fd, events, 0)
}

func sysEpollCtl(epfd, op, fd int, ev *unix.EpollEvent) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(epfd, op, fd, ev))
}

func sysAccept(fd int, peer *unix.RawSockaddrAny) (int, error) {
	size := uint32(unix.SizeofSockaddrAny)
	n, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(peer)),
		uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
