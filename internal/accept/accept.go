package accept

import (
	"errors"
	"log/slog"
	"net"
	"syscall"
	"time"
)

// How long to wait after a failure, doubling.
const (
	minWait = 5 * time.Millisecond
	maxWait = time.Second
)

// Loop hands every connection to take, which must not block. It returns nil when
// accepting fails after stop was closed, and otherwise why it fails for good. To
// end it, close stop and then the listener.
func Loop(ln net.Listener, stop <-chan struct{}, log *slog.Logger, take func(net.Conn)) error {
	wait := minWait
	for {
		nc, err := ln.Accept()
		if err == nil {
			wait = minWait
			take(nc)
			continue
		}
		select {
		case <-stop:
			return nil
		default:
		}
		if !passing(err) {
			return err
		}
		log.Warn("cannot accept a connection", "addr", ln.Addr().String(), "err", err, "again_in", wait)
		timer := time.NewTimer(wait)
		select {
		case <-stop:
			timer.Stop()
			return nil
		case <-timer.C:
		}
		wait = min(2*wait, maxWait)
	}
}

// passing reports whether accepting may succeed again by itself.
func passing(err error) bool {
	for _, no := range []error{syscall.ECONNABORTED, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}
