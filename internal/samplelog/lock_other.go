//go:build !unix

package samplelog

import (
	"io"
	"os"

	"github.com/skein-im/skein/internal/im"
)

// lock opens the file: this system has no lock that ends with the process, so
// two processes must not be given the same directory.
func lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, im.Errorf(im.Unavailable, "the samples cannot be locked: %w", err)
	}
	return f, nil
}
