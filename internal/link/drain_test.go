package link

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skein-im/skein/internal/evloop"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

var elsewhere = []string{"tls://b.example:7443", "tls://c.example:7443"}

// TestDrainSpreadsGoodbyes: each has its turn, evenly, and a moment of its own
// to come back.
func TestDrainSpreadsGoodbyes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, over = 20, 10 * time.Second
		next := int64(0)
		r := newRig(t, "pipe", Config{ReturnWithin: n * time.Second, Rand: func(int64) int64 {
			next += int64(time.Second)
			return next
		}}, nil)
		began := time.Now()
		var mu sync.Mutex
		var after []time.Duration
		var returns []uint32
		var clients sync.WaitGroup
		for range n {
			c := r.dial(t)
			mustWrite(t, c, hello(0))
			wait(t, r.opened, "connection")
			clients.Go(func() {
				m := expectClose(t, c, im.CloseGoingAway)
				if !slices.Equal(m.Addresses, elsewhere) {
					t.Errorf("sent to %q", m.Addresses)
				}
				mu.Lock()
				defer mu.Unlock()
				after, returns = append(after, time.Since(began)), append(returns, m.RetryAfterMs)
			})
		}
		if err := r.srv.Drain(t.Context(), DrainOptions{Over: over, Addresses: elsewhere}); err != nil {
			t.Error(err)
		}
		clients.Wait()
		slices.Sort(after)
		for i, at := range after {
			if even := over * time.Duration(i) / n; at < even-drainStep || at > even+over/n+drainStep {
				t.Errorf("goodbye %d came after %v", i, at)
			}
		}
		slices.Sort(returns)
		if len(slices.Compact(returns)) != n {
			t.Errorf("told to come back after %v ms", returns)
		}
	})
}

// TestFewComeBackSoon: the time in which clients come back goes with that of the
// goodbyes.
func TestFewComeBackSoon(t *testing.T) {
	for over, want := range map[time.Duration]uint32{0: 2000, 10 * time.Millisecond: 50, time.Second: 2000} {
		r := newRig(t, "pipe", Config{ReturnWithin: 2 * time.Second, Rand: func(n int64) int64 { return n }}, nil)
		c := r.dial(t)
		mustWrite(t, c, hello(0))
		wait(t, r.opened, "connection")
		done := make(chan error, 1)
		go func() { done <- r.srv.Drain(context.Background(), DrainOptions{Over: over}) }()
		if m := expectClose(t, c, im.CloseGoingAway); m.RetryAfterMs != want {
			t.Errorf("goodbyes over %v: come back within %d ms, want %d", over, m.RetryAfterMs, want)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestDrain: while it goes on, nobody new comes, and who has not been told yet
// is served.
func TestDrain(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, nil)
		told := make(chan *ClientConn, 2)
		ended := make(chan error, 2)
		var clients []*ClientConn
		for range 2 {
			c := r.dial(t)
			mustWrite(t, c, hello(0))
			wait(t, r.frames, "frame")
			clients = append(clients, c)
			go func() { ended <- readToEnd(c, func() { told <- c }) }()
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		drained := make(chan error, 1)
		go func() { drained <- r.srv.Drain(ctx, DrainOptions{Over: time.Hour, Addresses: elsewhere}) }()
		first := wait(t, told, "first goodbye")
		if err := wait(t, ended, "end"); err != nil {
			t.Error(err)
		}
		r.expectNobodyNew(t)
		other := clients[0]
		if other == first {
			other = clients[1]
		}
		for range 10 {
			mustWrite(t, other, wire.AppendPing(nil))
			wait(t, r.frames, "frame")
		}
		select {
		case err := <-drained:
			t.Fatalf("Drain did not wait: %v", err)
		default:
		}
		// There is no more patience: it is told at once.
		cancel()
		if err := wait(t, drained, "end of Drain"); err != nil && im.KindOf(err) != im.Unavailable {
			t.Error(err)
		}
		wait(t, r.closed, "Closed")
		wait(t, r.closed, "Closed")
		other.Close()
		wait(t, ended, "end")
	})
}

// readToEnd reads up to the Close frame of a drain, tells of it, and leaves.
func readToEnd(c *ClientConn, told func()) error {
	defer c.Close()
	for {
		typ, _, err := c.ReadFrame()
		if err != nil {
			return err
		}
		if typ == wire.TypeClose {
			told()
			_, _, err := c.ReadFrame()
			if err == nil {
				return errors.New("a frame after Close")
			}
			return nil
		}
	}
}

// expectNobodyNew checks that connecting fails.
func (r *rig) expectNobodyNew(t *testing.T) {
	t.Helper()
	switch r.kind {
	case "pipe":
		expectClose(t, r.pipeWithHello(t), im.CloseGoingAway)
	case "http", "https":
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: r.tlsClient}}
		resp, err := client.Get("http" + strings.TrimPrefix(r.url, "ws"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("answered with %v", resp)
		}
	default:
		if nc, err := net.Dial("tcp", r.address(t)); err == nil {
			nc.Close()
			t.Error("the listener is open")
		}
	}
}

func (r *rig) pipeWithHello(t *testing.T) *ClientConn {
	t.Helper()
	c := r.dial(t)
	// It may be told before it has said anything.
	go func() { _ = c.Write(hello(0)) }()
	return c
}

// TestDrainTellsLateComers: who is in a TLS handshake when the drain begins is
// told when it is over.
func TestDrainTellsLateComers(t *testing.T) {
	if !evloop.Supported() {
		t.Skip("there, connections in a handshake are told nothing")
	}
	r := newRig(t, "tls-epoll", Config{}, nil)
	for range 2 {
		mustWrite(t, r.dial(t), hello(0))
		wait(t, r.opened, "connection")
	}
	gate := &gated{Conn: r.rawDial(t), reached: make(chan struct{}), pass: make(chan struct{})}
	cfg := r.tlsClient.Clone()
	cfg.ServerName = "127.0.0.1"
	late := tls.Client(gate, cfg)
	shaken := make(chan error, 1)
	go func() { shaken <- late.Handshake() }()
	wait(t, gate.reached, "answer of the server")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- r.srv.Drain(ctx, DrainOptions{Over: time.Hour, Addresses: elsewhere}) }()
	until(t, "goodbye", func() bool { return r.srv.isDraining() })
	close(gate.pass)
	if err := wait(t, shaken, "end of the handshake"); err != nil {
		t.Fatal(err)
	}
	client := newClientConn(late, DialOptions{}.withDefaults())
	mustWrite(t, client, hello(0))
	if m := expectClose(t, client, im.CloseGoingAway); !slices.Equal(m.Addresses, elsewhere) {
		t.Errorf("sent to %q", m.Addresses)
	}
	cancel()
	if err := wait(t, drained, "end of Drain"); err != nil && im.KindOf(err) != im.Unavailable {
		t.Error(err)
	}
}

// gated lets a second write pass when it is told to.
type gated struct {
	net.Conn
	writes        int
	reached, pass chan struct{}
}

func (c *gated) Write(b []byte) (int, error) {
	if c.writes++; c.writes == 2 {
		close(c.reached)
		<-c.pass
	}
	return c.Conn.Write(b)
}

func TestShutdownWithoutTime(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, kind := range both("tcp", "pipe") {
		r := newRig(t, kind, Config{}, nil)
		for range 20 {
			// There is nothing to cut.
			if err := r.srv.Shutdown(ctx); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
}

// TestShutdownDuringADrain: the second call has less patience, and ends both.
func TestShutdownDuringADrain(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, nil)
		for range 3 {
			c := r.dial(t)
			mustWrite(t, c, hello(0))
			wait(t, r.frames, "frame")
			go func() { _, _ = io.Copy(io.Discard, c.nc); c.Close() }()
		}
		drained := make(chan error, 1)
		go func() { drained <- r.srv.Drain(context.Background(), DrainOptions{Over: time.Hour}) }()
		wait(t, r.closed, "first end")
		if err := r.srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := wait(t, drained, "end of Drain"); err != nil {
			t.Error(err)
		}
	})
}
