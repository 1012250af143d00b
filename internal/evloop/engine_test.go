//go:build linux

package evloop

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestConfigIsChecked(t *testing.T) {
	h := newHooks(t)
	for what, cfg := range map[string]Config{
		"no handler":     {},
		"a large queue":  {Handler: h, MaxQueue: 1 << 30},
		"negative limit": {Handler: h, MaxConns: -1},
		"negative loops": {Handler: h, Loops: -1},
		"negative time":  {Handler: h, StallTimeout: -1},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
	if !Supported() {
		t.Error("not supported on the system it is for")
	}
}

func TestConnectionsOverTheLimit(t *testing.T) {
	r := newRig(t, "tcp", Config{MaxConns: 3}, nil)
	var ncs []net.Conn
	for range 3 {
		ncs = append(ncs, r.dial(t))
		wait(t, r.opened, "connection")
	}
	expectEnd(t, r.dial(t))
	if s := r.e.Stats(); s.Refused != 1 || s.Accepted != 3 || s.Open != 3 {
		t.Errorf("%+v", s)
	}
	if err := r.e.Loops()[0].Dial(r.addr, DialOptions{}); err != ErrTooMany {
		t.Errorf("dialing beyond the limit: %v", err)
	}
	nc, err := net.Dial("tcp", r.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := r.e.Adopt(nc, nil, Options{}); err != ErrTooMany {
		t.Errorf("adopting beyond the limit: %v", err)
	}
	ncs[1].Close()
	wait(t, r.closed, "end")
	r.dial(t)
	wait(t, r.opened, "connection in the place that became free")
}

// logs is a slog.Handler that tells a channel.
type logs struct {
	slog.Handler
	messages chan string
}

func (l logs) Enabled(context.Context, slog.Level) bool { return true }
func (l logs) Handle(_ context.Context, r slog.Record) error {
	l.messages <- r.Message
	return nil
}

func TestNoDescriptorsLeft(t *testing.T) {
	logged := logs{slog.DiscardHandler, make(chan string, 1000)}
	r := newRig(t, "tcp", Config{Loops: 1, Logger: slog.New(logged)}, nil)
	release := hold(t, r.e.Loops()[0])
	defer release()
	for range 3 {
		r.dial(t)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}
	defer restore()
	release()
	wait(t, logged.messages, "warning")
	// It does not try in every turn.
	for range 200 {
		turned := make(chan struct{})
		if err := r.e.Loops()[0].Post(func() { close(turned) }); err != nil {
			t.Fatal(err)
		}
		wait(t, turned, "posted function")
	}
	if n := len(logged.messages); n > 50 {
		t.Errorf("%d warnings in 200 turns", n)
	}
	for len(logged.messages) > 0 {
		<-logged.messages
	}
	before := r.e.Stats().Turns
	wait(t, logged.messages, "another warning")
	wait(t, logged.messages, "a third warning")
	// Nor does it take turns for nothing.
	if n := r.e.Stats().Turns - before; n > 50 {
		t.Errorf("%d turns between the warnings", n)
	}
	restore()
	for range 3 {
		wait(t, r.opened, "connection that had to wait")
	}
}

func TestMoreConnectionsThanATurnAccepts(t *testing.T) {
	r := newRig(t, "tcp", Config{Loops: 1, MaxConns: 1}, nil)
	r.dial(t)
	wait(t, r.opened, "connection")
	release := hold(t, r.e.Loops()[0])
	defer release()
	var ncs []net.Conn
	for range 2*acceptBatch + 5 {
		ncs = append(ncs, r.dial(t))
	}
	release()
	// Those that are refused make no events of their own.
	for _, nc := range ncs {
		expectEnd(t, nc)
	}
}

func TestSharedListener(t *testing.T) {
	r := newRig(t, "tcp", Config{Loops: 3}, func(h *hooks) { h.data = echoMessages })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = netip.MustParseAddrPort(ln.Addr().String())
	if err := r.e.Accept(ln, Options{Value: 7}); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		nc := r.dial(t)
		mustWrite(t, nc, []byte{0, 1, 2})
		expect(t, nc, []byte{0, 1, 2})
		if c := wait(t, r.opened, "connection"); c.Value() != 7 {
			t.Error("the value is another")
		}
	}
	if err := r.e.Accept(struct{ net.Listener }{}, Options{}); err != ErrNotAdoptable {
		t.Errorf("a listener that is not one: %v", err)
	}
}

func TestConnectionsWaitingWhenAcceptingStops(t *testing.T) {
	r := newRig(t, "tcp", Config{Loops: 1}, nil)
	release := hold(t, r.e.Loops()[0])
	defer release()
	var ncs []net.Conn
	for range 2*acceptBatch + 5 {
		ncs = append(ncs, r.dial(t))
	}
	stopped := make(chan struct{})
	go func() { r.e.StopAccepting(); close(stopped) }()
	release()
	wait(t, stopped, "end of StopAccepting")
	for range ncs {
		wait(t, r.opened, "connection")
	}
	if nc, err := net.Dial("tcp", r.addr.String()); err == nil {
		nc.Close()
		t.Error("connected to a listener that is closed")
	}
}

func TestAdoptFromHTTP(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, func(h *hooks) { h.data = echoMessages })
		opts := Options{}
		if kind == "tls" {
			opts.TLS, r.client = testTLS(t)
		}
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			nc, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			early, _ := rw.Peek(rw.Reader.Buffered())
			if err := r.e.Adopt(nc, early, opts); err != nil {
				t.Error(err)
			}
		}))
		defer web.Close()
		nc, err := net.Dial("tcp", strings.TrimPrefix(web.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		request := "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
		all := []byte{0, 4, 'a', 'b', 'c', 'd', 0, 0, 0, 2, 'e', 'f'}
		if kind == "tcp" {
			mustWrite(t, nc, append([]byte(request), all...))
			expect(t, nc, all)
			return
		}
		tc := tls.Client(&prefixed{nc, []byte(request)}, r.client)
		mustWrite(t, tc, all)
		expect(t, tc, all)
	})
}

// prefixed sends something in front of the first write.
type prefixed struct {
	net.Conn
	prefix []byte
}

func (c *prefixed) Write(b []byte) (int, error) {
	_, err := c.Conn.Write(append(c.prefix, b...))
	c.prefix = nil
	return len(b), err
}

func TestAdoptOfWhatIsNoSocket(t *testing.T) {
	r := newRig(t, "tcp", Config{}, nil)
	a, b := net.Pipe()
	defer a.Close()
	go b.Close()
	if err := r.e.Adopt(a, nil, Options{}); err != ErrNotAdoptable {
		t.Errorf("a pipe: %v", err)
	}
	nc := r.dial(t)
	nc.Close()
	if err := r.e.Adopt(nc, nil, Options{}); err == nil {
		t.Error("a closed connection was adopted")
	}
	wait(t, r.closed, "end")
	if n := r.e.Open(); n != 0 {
		t.Errorf("%d connections are counted", n)
	}
}

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

func TestStaleEventsAreKnown(t *testing.T) {
	l := newHandLoop(t, Config{}, func(h *hooks) { h.data = echoMessages })
	old, oldPeer := l.pair(t)
	// A second descriptor keeps the kernel sending events for a connection
	// that is closed, as a process does that is just being started.
	dup, err := unix.Dup(old.FD())
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dup)
	old.Close(nil)
	l.turn()
	<-l.h.closed
	fresh, _ := l.pair(t)
	if fresh.slot != old.slot {
		t.Fatal("the slot is not used again")
	}
	put(t, oldPeer, []byte{0, 1, 5})
	l.turn()
	if n := l.stats.stale.Load(); n == 0 {
		t.Error("the event is not known as stale")
	}
	if n := l.stats.reads.Load(); n != 0 {
		t.Errorf("%d reads for a connection without data", n)
	}
}

func TestClosedWithinABatchOfEvents(t *testing.T) {
	// The first connection with data closes the other, which has data too.
	var conns []*Conn
	datas := 0
	l := newHandLoop(t, Config{}, func(h *hooks) {
		h.data = func(c *Conn, b []byte) int {
			datas++
			for _, other := range conns {
				other.Close(io.EOF)
			}
			return len(b)
		}
	})
	for range 10 {
		c, fd := l.pair(t)
		conns = append(conns, c)
		put(t, fd, []byte("x"))
	}
	l.turn()
	if datas != 1 || len(l.h.closed) != 10 || l.table.used != 0 {
		t.Errorf("%d calls of Data, %d of Closed, %d connections left", datas, len(l.h.closed), l.table.used)
	}
}

func TestManyReadyConnectionsShareTurns(t *testing.T) {
	l := newHandLoop(t, Config{}, nil)
	n := 0
	l.h.data = func(_ *Conn, b []byte) int {
		if len(b) > readSize {
			t.Errorf("%d bytes at once", len(b))
		}
		n++
		return len(b)
	}
	for range 3 * maxEvents {
		_, fd := l.pair(t)
		put(t, fd, make([]byte, 100))
	}
	turns := 0
	for ; n < 3*maxEvents && turns < 10; turns++ {
		l.turn()
	}
	if turns < 3 || turns > 4 {
		t.Errorf("%d connections were served in %d turns", n, turns)
	}
	_, fd := l.pair(t)
	n = 0
	put(t, fd, make([]byte, 2*readSize))
	l.turn()
	l.turn()
	if n != 1 && n != 2 {
		t.Errorf("%d calls of Data", n)
	}
}

func ExampleEngine() {
	engine, err := New(Config{Handler: upper{}, Loops: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	addr, err := engine.Listen(context.Background(), "127.0.0.1:0", Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	nc, err := net.Dial("tcp", addr.String())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprintln(nc, "wild geese")
	answer, _ := bufio.NewReader(nc).ReadString('\n')
	fmt.Print(answer)
	nc.Close()
	fmt.Println(engine.Shutdown(context.Background()))
	// Output:
	// WILD GEESE
	// <nil>
}

// upper answers lines in capitals.
type upper struct{}

func (upper) Open(c *Conn) { c.SetIdle(time.Minute) }

func (upper) Data(c *Conn, b []byte) int {
	whole := strings.LastIndexByte(string(b), '\n') + 1
	if err := c.Write([]byte(strings.ToUpper(string(b[:whole])))); err != nil {
		c.Close(err)
	}
	return whole
}

func (upper) Timeout(c *Conn)     { c.CloseGently(errors.New("idle"), time.Second) }
func (upper) Drained(*Conn)       {}
func (upper) Closed(*Conn, error) {}
func (upper) Failed(*Conn, error) {}

func TestTicksAreBounded(t *testing.T) {
	if n := ticks(math.MaxInt64); n != 1<<30 {
		t.Errorf("%d ticks", n)
	}
}
