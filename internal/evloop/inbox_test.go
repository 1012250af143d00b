//go:build linux

package evloop

import (
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"testing"
	"time"
)

// hold keeps a loop busy until release is called.
func hold(t testing.TB, l *Loop) (release func()) {
	t.Helper()
	held, released := make(chan struct{}), make(chan struct{})
	if err := l.Post(func() { close(held); <-released }); err != nil {
		t.Fatal(err)
	}
	wait(t, held, "posted function")
	return sync.OnceFunc(func() { close(released) })
}

// send queues a copy of b from any goroutine.
func send(c *Conn, b []byte) error {
	b = append([]byte(nil), b...)
	return post(c, func(c *Conn) { _ = c.Write(b) })
}

// post runs fn on the loop, unless the connection has ended by then.
func post(c *Conn, fn func(c *Conn)) error {
	return c.Loop().Post(func() {
		if c.state == open {
			fn(c)
		}
	})
}

func TestPostsKeepTheirOrder(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		const senders, each = 8, 500
		r := newRig(t, kind, Config{}, nil)
		nc := r.dial(t)
		c := wait(t, r.opened, "connection")
		var wg sync.WaitGroup
		for s := range senders {
			wg.Go(func() {
				for i := range each {
					if err := send(c, binary.BigEndian.AppendUint16([]byte{byte(s)}, uint16(i))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		var next [senders]int
		b := make([]byte, 3)
		for range senders * each {
			if _, err := io.ReadFull(nc, b); err != nil {
				t.Fatal(err)
			}
			if i := int(binary.BigEndian.Uint16(b[1:])); i != next[b[0]] {
				t.Fatalf("sender %d: %d instead of %d", b[0], i, next[b[0]])
			}
			next[b[0]]++
		}
		wg.Wait()
		on(t, c, func() {
			if q := c.Queued(); q != 0 {
				t.Errorf("%d bytes are counted as queued", q)
			}
		})
	})
}

func TestInboxIsBounded(t *testing.T) {
	r := newRig(t, "tcp", Config{Loops: 1, MaxInbox: 20}, nil)
	l := r.e.Loops()[0]
	release := hold(t, l)
	defer release()
	ran, taken := make(chan struct{}, 100), 0
	for l.Post(func() { ran <- struct{}{} }) == nil {
		taken++
	}
	if err := l.Post(func() {}); err != ErrBusy || taken != 20 || r.e.Stats().Inbox != 20 {
		t.Errorf("%d functions were taken, then %v, %d wait", taken, err, r.e.Stats().Inbox)
	}
	release()
	for range taken {
		wait(t, ran, "function")
	}
}

func TestInboxIsWorkedOffInSlices(t *testing.T) {
	l := newHandLoop(t, Config{MaxInbox: 5 * inboxSlice / 2}, nil)
	ran := 0
	for range 5 * inboxSlice / 2 {
		if err := l.Post(func() { ran++ }); err != nil {
			t.Fatal(err)
		}
	}
	for turn := 1; turn <= 2; turn++ {
		l.turn()
		if ran != turn*inboxSlice || !l.unread {
			t.Errorf("%d functions ran in %d turns", ran, turn)
		}
		if n := l.waiting(); n != 5*inboxSlice/2-turn*inboxSlice {
			t.Errorf("%d functions wait", n)
		}
	}
	// What is left counts.
	for range 2 * inboxSlice {
		if err := l.Post(func() {}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Post(func() {}); err != ErrBusy {
		t.Errorf("beyond the bound: %v", err)
	}
	l.turn()
	if l.unread || ran != 5*inboxSlice/2 {
		t.Errorf("%d functions ran", ran)
	}
	for range 2 {
		l.turn()
	}
	if n := l.waiting(); n != 0 || l.unread {
		t.Errorf("%d functions wait", n)
	}
	if b := &l.inbox; cap(b.batch) > keepInbox && cap(b.fns) > keepInbox {
		t.Error("the inbox keeps what it does not need")
	}
}

func TestConnectionThatIsGone(t *testing.T) {
	r := newRig(t, "tcp", Config{Loops: 1}, nil)
	nc := r.dial(t)
	c := wait(t, r.opened, "connection")
	on(t, c, func() {
		c.Close(nil)
		if err := c.Write([]byte("x")); err != ErrClosed {
			t.Errorf("writing: %v", err)
		}
	})
	wait(t, r.closed, "end")
	expectEnd(t, nc)
	on(t, c, func() {
		if c.FD() != -1 || c.RemoteAddr().IsValid() {
			t.Error("it has a socket")
		}
	})
}

func TestEveryPostedFunctionRuns(t *testing.T) {
	r := newRig(t, "tcp", Config{}, nil)
	var mu sync.Mutex
	ran, taken := 0, 0
	begun := make(chan struct{}, 100)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			defer func() { begun <- struct{}{} }()
			for {
				err := r.e.Loops()[0].Post(func() { mu.Lock(); ran++; mu.Unlock() })
				if err == ErrClosed {
					return
				}
				if err == nil {
					mu.Lock()
					if taken++; taken == 100 {
						begun <- struct{}{}
					}
					mu.Unlock()
				}
			}
		})
	}
	wait(t, begun, "function posted")
	r.stop()
	wg.Wait()
	if ran != taken || ran == 0 {
		t.Errorf("%d of %d functions ran", ran, taken)
	}
}

func TestEachComesToAllInSlices(t *testing.T) {
	const conns, slice = 60, 7
	r := newRig(t, "tcp", Config{Loops: 2}, func(h *hooks) { h.data = echoMessages })
	for range conns {
		r.dial(t)
		wait(t, r.opened, "connection")
	}
	var mu sync.Mutex
	seen := map[*Conn]int{}
	perTurn := map[[2]any]int{}
	done := make(chan struct{}, 3)
	for range 3 {
		err := r.e.Each(func(c *Conn) {
			mu.Lock()
			defer mu.Unlock()
			seen[c]++
			perTurn[[2]any{c.Loop(), c.Loop().stats.turns.Load()}]++
		}, slice, func() { done <- struct{}{} })
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		wait(t, done, "end of Each")
	}
	if len(seen) != conns {
		t.Errorf("%d of %d connections were seen", len(seen), conns)
	}
	for _, n := range seen {
		if n != 3 {
			t.Errorf("a connection was seen %d times by 3 calls", n)
		}
	}
	for turn, n := range perTurn {
		if n > slice {
			t.Errorf("%d connections in turn %v", n, turn)
		}
	}
}

func TestEachIsBounded(t *testing.T) {
	r := newRig(t, "tcp", Config{Loops: 1}, nil)
	release := hold(t, r.e.Loops()[0])
	defer release()
	var errs []error
	done := make(chan struct{}, maxWalks)
	for range maxWalks + 1 {
		errs = append(errs, r.e.Each(func(*Conn) {}, 0, func() { done <- struct{}{} }))
	}
	if i := slices.Index(errs, ErrBusy); i != maxWalks {
		t.Errorf("call %d was refused", i)
	}
	release()
	for range maxWalks {
		wait(t, done, "end of Each")
	}
	if err := r.e.Each(func(*Conn) {}, 0, nil); err != nil {
		t.Error(err)
	}
}

func TestWakesWithATimerSet(t *testing.T) {
	// Waking moves the deadline of the poller, which timers use as well.
	fired := make(chan time.Time, 1)
	var set time.Time
	r := newRig(t, "tcp", Config{Loops: 1}, func(h *hooks) {
		h.timeout = func(c *Conn) { fired <- c.Loop().Now() }
	})
	r.dial(t)
	c := wait(t, r.opened, "connection")
	on(t, c, func() {
		set = c.Loop().Now()
		c.SetTimer(300 * time.Millisecond)
	})
	for {
		on(t, c, func() {})
		select {
		case at := <-fired:
			if at.Sub(set) < 300*time.Millisecond {
				t.Errorf("fired after %v", at.Sub(set))
			}
			return
		default:
		}
	}
}
