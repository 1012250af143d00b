//go:build linux

package evloop

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDial(t *testing.T) {
	server := newRig(t, "tcp", Config{}, func(h *hooks) { h.data = echoMessages })
	got := make(chan string, 1)
	r := newRig(t, "tcp", Config{Loops: 1}, func(h *hooks) {
		h.open = func(c *Conn) {
			if c.LocalAddr().Addr() != netip.MustParseAddr("127.0.0.77") || c.RemoteAddr() != server.addr || c.Value() != "v" {
				t.Errorf("connection from %v to %v, value %v", c.LocalAddr(), c.RemoteAddr(), c.Value())
			}
			_ = c.Write([]byte{0, 2, 'o', 'k'})
		}
		h.data = func(_ *Conn, b []byte) int {
			got <- string(b)
			return len(b)
		}
	})
	l := r.e.Loops()[0]
	opts := DialOptions{Options: Options{Value: "v"}, Local: netip.MustParseAddr("127.0.0.77")}
	if err := l.Dial(server.addr, opts); err != nil {
		t.Fatal(err)
	}
	if s := wait(t, got, "echo"); s != "\x00\x02ok" {
		t.Errorf("got %q", s)
	}
	server.e.StopAccepting()
	for what, c := range map[string]struct {
		to   netip.AddrPort
		opts DialOptions
		want error
	}{
		"a closed port":           {server.addr, opts, syscall.ECONNREFUSED},
		"from an address not his": {server.addr, DialOptions{Local: netip.MustParseAddr("192.0.2.1")}, syscall.EADDRNOTAVAIL},
		"no address":              {netip.AddrPort{}, DialOptions{}, ErrInvalidAddr},
	} {
		err := l.Dial(c.to, c.opts)
		if err == nil {
			err = wait(t, r.failed, "call of Failed")
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := r.e.Open(); n != 1 {
		t.Errorf("%d connections are counted", n)
	}
}

func TestDialedServerSpeaksFirst(t *testing.T) {
	greeted := make(chan struct{}, 1)
	server := newRig(t, "tcp", Config{}, func(h *hooks) {
		h.open = func(c *Conn) {
			_ = c.Write([]byte("hello"))
			c.NotifyDrained()
		}
		h.drained = func(*Conn) { greeted <- struct{}{} }
	})
	got := make(chan string, 1)
	r := newRig(t, "tcp", Config{Loops: 1}, func(h *hooks) {
		h.data = func(_ *Conn, b []byte) int {
			got <- string(b)
			return len(b)
		}
	})
	l := r.e.Loops()[0]
	if err := l.Dial(server.addr, DialOptions{}); err != nil {
		t.Fatal(err)
	}
	// One event tells of the connection and the greeting.
	release := hold(t, l)
	defer release()
	wait(t, greeted, "greeting")
	release()
	if s := wait(t, got, "data"); s != "hello" {
		t.Errorf("got %q", s)
	}
}

func TestDialTimesOut(t *testing.T) {
	// A listener that accepts nothing, with a full queue.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, "tcp", Config{Loops: 1}, nil)
	for range 5 {
		if err := r.e.Loops()[0].Dial(addrPort(sa), DialOptions{Timeout: 300 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
	}
	if err := wait(t, r.failed, "call of Failed"); err != ErrTimeout {
		t.Errorf("failed with %v", err)
	}
}
