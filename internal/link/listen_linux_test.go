package link

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/freeport"
	"github.com/skein-im/skein/internal/im"
)

// TestWorkersShareAPort: a port chosen by a reservation is served by whoever
// listens there, and stays reserved when nobody does.
func TestWorkersShareAPort(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		t.Run(addr, func(t *testing.T) { testSharedPort(t, addr) })
	}
}

func testSharedPort(t *testing.T, addr string) {
	r, err := Reserve(addr)
	if err != nil && addr == "[::1]:0" {
		t.Skip("no IPv6 here")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	bound := r.Addr().String()
	_, port, err := net.SplitHostPort(bound)
	if err != nil || port == "0" {
		t.Fatalf("reserved %s: %v", bound, err)
	}
	target := bound
	if addr == ":0" {
		target = "127.0.0.1:" + port
	}
	expectRefused(t, target)
	if ln, err := Listen(t.Context(), bound); err == nil {
		ln.Close()
		t.Error("somebody who does not share took the port")
	}
	workers := []*rig{newWorker(t, bound), newWorker(t, bound)}
	// One connection each is 2^-100 likely to miss one of them.
	var conns []*ClientConn
	for range 100 {
		c, err := Dial(t.Context(), "tcp://"+target, DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		mustWrite(t, c, hello(0))
		conns = append(conns, c)
	}
	for range conns {
		select {
		case <-workers[0].opened:
		case <-workers[1].opened:
		}
	}
	for i, w := range workers {
		if w.srv.Stats().Accepted == 0 {
			t.Errorf("worker %d got nothing", i)
		}
	}
	// The others keep the port and their clients.
	workers[0].stop(t)
	survivor := workers[1]
	before := survivor.srv.Stats().Open
	c, err := Dial(t.Context(), "tcp://"+target, DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	mustWrite(t, c, hello(0))
	wait(t, survivor.opened, "connection at the one that is left")
	if st := survivor.srv.Stats(); st.Open != before+1 {
		t.Errorf("%d connections, %d before", st.Open, before)
	}
	survivor.stop(t)
	expectRefused(t, target)
}

func expectRefused(t *testing.T, addr string) {
	t.Helper()
	if nc, err := net.Dial("tcp", addr); err == nil {
		nc.Close()
		t.Error("connected to a port on which nobody listens")
	}
}

// TestSilentOnASharedPort: connections on which nothing comes are accepted late,
// but they are, and so they end.
func TestSilentOnASharedPort(t *testing.T) {
	r, err := Reserve("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w := newWorker(t, r.Addr().String())
	defer w.stop(t)
	nc, err := net.Dial("tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if n, err := nc.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d bytes", n)
	}
}

func newWorker(t *testing.T, addr string) *rig {
	t.Helper()
	ln, err := ListenShared(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{recorder: newRecorder(t), kind: "tcp", serving: make(chan error, 1)}
	r.srv = NewServer(Config{
		Handler: r.recorder, CloseTimeout: 50 * time.Millisecond, HandshakeTimeout: 500 * time.Millisecond,
	})
	go func() { r.serving <- r.srv.Serve(ln) }()
	return r
}

// TestReserveAfterListening: connections that were closed a moment ago by a
// listener that did not share, and is gone, do not keep the port from those who do.
func TestReserveAfterListening(t *testing.T) {
	addr, err := freeport.Take()
	if err != nil {
		t.Fatal(err)
	}
	ln, err := Listen(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	// The end that closes first is remembered for a minute (TIME_WAIT).
	accepted.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	c.Close()
	ln.Close()
	r, err := Reserve(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if ln, err := Listen(t.Context(), addr); err == nil {
		ln.Close()
		t.Error("somebody who does not share took the port")
	}
	w := newWorker(t, addr)
	w.stop(t)
}

func TestReserveRefuses(t *testing.T) {
	ln, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for addr, kind := range map[string]im.ErrorKind{
		ln.Addr().String(): im.Unavailable,
		"nowhere":          im.Invalid,
		"192.0.2.1:0":      im.Unavailable,
	} {
		if r, err := Reserve(addr); im.KindOf(err) != kind {
			t.Errorf("%s: %v, %v", addr, r, err)
		}
	}
}
