//go:build unix

package samplelog

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/skein-im/skein/internal/im"
)

// lock takes a file's lock, which the system frees when the process ends.
func lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, im.Errorf(im.Unavailable, "the samples cannot be locked: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, im.Errorf(im.Busy, "another process writes the samples there")
	}
	return nil, im.Errorf(im.Unavailable, "the samples cannot be locked: %w", err)
}
