//go:build linux

package evloop

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"
)

func TestShutdownWaitsForConnections(t *testing.T) {
	r := newRig(t, "tcp", Config{Loops: 1}, nil)
	nc := r.dial(t)
	c := wait(t, r.opened, "connection")
	done := make(chan error, 1)
	go func() { done <- r.e.Shutdown(t.Context()) }()
	for !r.e.stopping.Load() {
		runtime.Gosched()
	}
	if err := r.e.Loops()[0].Dial(r.addr, DialOptions{}); err != ErrShutdown {
		t.Errorf("dialing while shutting down: %v", err)
	}
	if _, err := r.e.Listen(t.Context(), "127.0.0.1:0", Options{}); err != ErrShutdown {
		t.Errorf("listening while shutting down: %v", err)
	}
	// What goes on, goes on.
	on(t, c, func() { _ = c.Write([]byte("still here")) })
	expect(t, nc, []byte("still here"))
	select {
	case <-done:
		t.Fatal("Shutdown did not wait")
	default:
	}
	nc.Close()
	if err := wait(t, done, "end of Shutdown"); err != nil {
		t.Error(err)
	}
	if err := c.Loop().Post(func() {}); err != ErrClosed {
		t.Errorf("posting to a loop that is gone: %v", err)
	}
	if err := r.e.Each(func(*Conn) {}, 0, nil); err != ErrClosed {
		t.Errorf("Each of an engine that is gone: %v", err)
	}
}

func TestShutdownCutsConnections(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, nil)
		for range 5 {
			r.dial(t)
			wait(t, r.opened, "connection")
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		why := errors.New("no time")
		cancel(why)
		if err := r.e.Shutdown(ctx); !errors.Is(err, why) {
			t.Errorf("Shutdown: %v", err)
		}
		for range 5 {
			if err := wait(t, r.closed, "end"); err != ErrShutdown {
				t.Errorf("closed with %v", err)
			}
		}
	})
}

func TestNothingIsLeftOpen(t *testing.T) {
	count := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	round := func() {
		r := newRig(t, "tls", Config{Loops: 3}, nil)
		for range 5 {
			nc := r.dial(t)
			wait(t, r.opened, "connection")
			nc.Close()
		}
		r.stop()
	}
	round()
	before := count()
	for range 5 {
		round()
	}
	if after := count(); after > before {
		t.Errorf("%d files are open, %d before", after, before)
	}
}
