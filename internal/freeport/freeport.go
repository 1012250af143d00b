package freeport

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Ports are from first up to, not including, beyond: Linux gives away those from
// 32,768 on, others still higher ones.
const first, beyond = 12_000, 32_000

// attempts is how many ports are looked at for one that is free.
const attempts = 1000

// taken are the ports of this process; locks is the file with its locks.
var (
	mu    sync.Mutex
	taken = map[int]bool{}
	locks *os.File
)

// Take returns an address on 127.0.0.1 that nobody listens at, and that belongs to
// this process until it ends.
func Take() (addr string, err error) {
	mu.Lock()
	defer mu.Unlock()
	if locks == nil {
		path := filepath.Join(os.TempDir(), fmt.Sprintf("skein-ports-%d", os.Getuid()))
		if locks, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
			return "", fmt.Errorf("free ports: %w", err)
		}
	}
	for range attempts {
		port := first + rand.IntN(beyond-first)
		if taken[port] {
			continue
		}
		ok, err := lock(port)
		if err != nil {
			return "", fmt.Errorf("free ports: lock port %d: %w", port, err)
		}
		if !ok {
			continue
		}
		// Whoever listens there will do so for a while: it need not be tried again.
		taken[port] = true
		if addr, ok := isFree(port); ok {
			return addr, nil
		}
	}
	return "", fmt.Errorf("no port from %d to %d is free", first, beyond-1)
}

// lock takes a port from all other processes; false: another one has it.
func lock(port int) (bool, error) {
	l := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: int64(port), Len: 1}
	err := syscall.FcntlFlock(locks.Fd(), syscall.F_SETLK, &l)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return false, nil
	}
	return err == nil, err
}

// isFree listens for a moment. No process is started meanwhile: until it runs its
// program, it would have the listener too.
func isFree(port int) (addr string, ok bool) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return "", false
	}
	defer ln.Close()
	return ln.Addr().String(), true
}
