//go:build linux

package evloop

import (
	"context"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"testing"

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

func TestTicksAreBounded(t *testing.T) {
	if n := ticks(math.MaxInt64); n != 1<<30 {
		t.Errorf("%d ticks", n)
	}
}
