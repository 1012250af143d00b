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

func TestSendsKeepTheirOrder(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		const senders, each = 8, 500
		r := newRig(t, kind, Config{}, nil)
		nc := r.dial(t)
		c := wait(t, r.opened, "connection")
		var wg sync.WaitGroup
		for s := range senders {
			wg.Go(func() {
				for i := range each {
					b := binary.BigEndian.AppendUint16([]byte{byte(s)}, uint16(i))
					var err error
					switch i % 3 {
					case 0:
						// Functions and bytes share one order.
						err = c.Post(func(c *Conn) { _ = c.Write(b) })
					default:
						err = c.Send(b)
						clear(b)
					}
					if err != nil {
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

func TestBoundsOfWhatOthersSend(t *testing.T) {
	r := newRig(t, "tcp", Config{Loops: 1, MaxQueue: 1000, MaxInbox: 20, MaxInboxBytes: 2500}, nil)
	var ncs []io.Reader
	var conns []*Conn
	for range 4 {
		ncs = append(ncs, r.dial(t))
		conns = append(conns, wait(t, r.opened, "connection"))
	}
	release := hold(t, r.e.Loops()[0])
	defer release()
	big := make([]byte, 1000)
	steps := []struct {
		what string
		err  error
		want error
	}{
		{"over the queue", conns[0].Send(make([]byte, 1001)), ErrQueueFull},
		{"fills the queue", conns[0].Send(big), nil},
		{"full queue", conns[0].Send(big[:1]), ErrQueueFull},
		{"fills another", conns[1].Send(big), nil},
		{"over the inbox's bytes", conns[2].Send(big), ErrBusy},
		{"what still fits", conns[2].Send(big[:500]), nil},
		{"full inbox", conns[2].Send(big[:1]), ErrBusy},
	}
	for _, s := range steps {
		if s.err != s.want {
			t.Errorf("%s: %v instead of %v", s.what, s.err, s.want)
		}
	}
	if q := conns[2].Queued(); q != 500 {
		t.Errorf("what was refused is counted: %d", q)
	}
	ran := make(chan int, 100)
	accepted := 0
	for conns[3].Post(func(*Conn) { ran <- accepted }) == nil {
		accepted++
	}
	if n := r.e.Stats().Inbox; n != 20 {
		t.Errorf("%d requests in an inbox for 20", n)
	}
	// The goodbye is taken in spite of it.
	if err := conns[3].PostLast(func(c *Conn) { c.Close(io.EOF) }); err != nil {
		t.Error(err)
	}
	if conns[3].PostLast(nil) != ErrClosed || conns[3].Send(big) != ErrClosed {
		t.Error("something is taken after the last")
	}
	release()
	if err := wait(t, r.closed, "end"); err != io.EOF {
		t.Errorf("closed with %v", err)
	}
	if len(ran) != accepted || accepted != 17 {
		t.Errorf("%d of %d functions ran", len(ran), accepted)
	}
	for i, n := range []int{1000, 1000, 500} {
		if _, err := io.ReadFull(ncs[i], make([]byte, n)); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	on(t, conns[0], func() {
		if err := conns[0].Send(big); err != nil {
			t.Errorf("after everything has left: %v", err)
		}
	})
}

func TestInboxIsWorkedOffInSlices(t *testing.T) {
	l := newHandLoop(t, Config{MaxInbox: 5 * inboxSlice / 2, MaxInboxBytes: inboxSlice}, nil)
	c, fd := l.pair(t)
	ran := 0
	for i := range 5 * inboxSlice / 2 {
		var err error
		if i%5 == 4 {
			err = c.Send([]byte{byte(i)})
		} else {
			err = l.Post(func() { ran++ })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for turn := 1; turn <= 2; turn++ {
		l.turn()
		if ran != turn*inboxSlice*4/5 || !l.unread {
			t.Errorf("%d functions ran in %d turns", ran, turn)
		}
		if n := l.waiting(); n != 5*inboxSlice/2-turn*inboxSlice {
			t.Errorf("%d requests wait", n)
		}
		if got := take(t, fd); len(got) != inboxSlice/5 || got[0] != byte(4+(turn-1)*inboxSlice) {
			t.Errorf("got %d bytes", len(got))
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
	if c.Send(make([]byte, inboxSlice*9/10)) != ErrBusy {
		t.Error("beyond the bound of functions, bytes are taken")
	}
	l.turn()
	if l.unread || ran != 5*inboxSlice/2*4/5 {
		t.Errorf("%d functions ran", ran)
	}
	for range 2 {
		l.turn()
	}
	if n := l.waiting(); n != 0 || l.unread {
		t.Errorf("%d requests wait", n)
	}
	if b := &l.inbox; cap(b.batch) > keepInboxOps && cap(b.ops) > keepInboxOps {
		t.Error("the inbox keeps what it does not need")
	}
}

func TestPostsToAConnectionThatIsGone(t *testing.T) {
	r := newRig(t, "tcp", Config{Loops: 1}, nil)
	nc := r.dial(t)
	c := wait(t, r.opened, "connection")
	release := hold(t, r.e.Loops()[0])
	defer release()
	if err := c.PostLast(func(c *Conn) { c.Close(nil) }); err != nil {
		t.Fatal(err)
	}
	if err := c.Post(func(*Conn) { t.Error("ran after the end") }); err != nil {
		t.Fatal(err)
	}
	release()
	wait(t, r.closed, "end")
	expectEnd(t, nc)
	if c.Send(nil) != ErrClosed || c.Post(func(*Conn) {}) != ErrClosed || c.PostLast(func(*Conn) {}) != ErrClosed {
		t.Error("a connection that is gone takes requests")
	}
	on(t, c, func() {
		if c.FD() != -1 || c.RemoteAddr().IsValid() {
			t.Error("a connection that is gone has a socket")
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
