//go:build linux

package evloop

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
)

// openFiles is how many files this process has.
func openFiles(t testing.TB) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// TestAcceptOnAllLoopsOrNone: when a loop cannot take a listener, those that
// have are rid of it again.
func TestAcceptOnAllLoopsOrNone(t *testing.T) {
	r := newRig(t, "tcp", Config{Loops: 3}, nil)
	last := r.e.Loops()[2]
	stopping := func(is bool) {
		done := make(chan struct{})
		if err := last.Post(func() { last.stopping = is; close(done) }); err != nil {
			t.Fatal(err)
		}
		wait(t, done, "posted function")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	// So that the loop does not end. Both ends are here, and both have to be
	// open before files are counted.
	if err := last.Dial(r.addr, DialOptions{}); err != nil {
		t.Fatal(err)
	}
	c, other := wait(t, r.opened, "connection"), wait(t, r.opened, "connection")
	if c.Loop() != last {
		c = other
	}
	stopping(true)
	before := openFiles(t)
	if err := r.e.Accept(ln, Options{}); err != ErrShutdown {
		t.Errorf("accept: %v", err)
	}
	if _, err := r.e.Listen(t.Context(), "127.0.0.1:0", Options{}); err != ErrShutdown {
		t.Errorf("listen: %v", err)
	}
	stopping(false)
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, %d before", after, before)
	}
	// It is still the caller's.
	r.addr = netip.MustParseAddrPort(ln.Addr().String())
	r.dial(t)
	if nc, err := ln.Accept(); err != nil {
		t.Error(err)
	} else {
		nc.Close()
	}
	on(t, c, func() { c.Close(nil) })
}

func TestAcceptRacesShutdown(t *testing.T) {
	round := func() {
		r := newRig(t, "tcp", Config{Loops: 3}, nil)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var racing sync.WaitGroup
		racing.Go(func() {
			if err := r.e.Accept(ln, Options{}); err != nil && err != ErrShutdown && err != ErrClosed {
				t.Errorf("accept: %v", err)
			}
		})
		r.stop()
		racing.Wait()
		ln.Close()
	}
	round()
	before := openFiles(t)
	for range 50 {
		round()
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d files are open, %d before", after, before)
	}
}

// errClose is what closing fails with here.
var errClose = errors.New("cannot close")

type stubbornListener struct{ *net.TCPListener }

func (l stubbornListener) Close() error {
	l.TCPListener.Close()
	return errClose
}

type stubbornConn struct{ *net.TCPConn }

func (c stubbornConn) Close() error {
	c.TCPConn.Close()
	return errClose
}

// TestTakenOverIsTakenOver: what the caller's socket says to being closed does
// not matter any more.
func TestTakenOverIsTakenOver(t *testing.T) {
	r := newRig(t, "tcp", Config{}, func(h *hooks) { h.data = echoMessages })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = netip.MustParseAddrPort(ln.Addr().String())
	nc := r.dial(t)
	served, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.e.Adopt(stubbornConn{served.(*net.TCPConn)}, nil, Options{}); err != nil {
		t.Errorf("adopt: %v", err)
	}
	mustWrite(t, nc, []byte{0, 1, 2})
	expect(t, nc, []byte{0, 1, 2})
	if err := r.e.Accept(stubbornListener{ln.(*net.TCPListener)}, Options{}); err != nil {
		t.Errorf("accept: %v", err)
	}
	nc = r.dial(t)
	mustWrite(t, nc, []byte{0, 1, 3})
	expect(t, nc, []byte{0, 1, 3})
}

func TestShutdownWithNothingToCut(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 20 {
		r := newRig(t, "tcp", Config{}, nil)
		if err := r.e.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
