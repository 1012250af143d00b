package remote

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skein-im/skein/internal/im"
)

// eventually waits for a condition that no event announces.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	ctx := within(t)
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it does not happen")
		}
	}
}

// TestShutdownAnswersWhatIsInFlight, and the client goes on with the next
// server.
func TestShutdownAnswersWhatIsInFlight(t *testing.T) {
	m := newFakeMailbox()
	ln, addr := listen(t, "tcp")
	s := serve(t, ln, ServerConfig{Mailbox: m})
	c := connect(t, ClientConfig{Addr: addr})
	j := newJournal()
	do(t, c, im.User(1), &im.Attach{Session: 1, Sink: named{j, "one"}})
	m.script(never)
	c.Submit(im.User(1), &im.Send{Session: 1, ClientSeq: 1}, j)
	m.waitForN(2)
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(within(t)) }()
	eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.link.asked
	})
	c.Submit(im.User(1), &im.Send{ClientSeq: 2}, j)
	m.sink(im.User(1)).Deliver(1, 1, [][]byte{{1}})
	m.release(func(im.Command) im.Result { return nil })
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	want := []string{"one: deliver 1-1", "send 1 unspecified", "one: kick 106"}
	if d := cmp.Diff(want, j.upTo(len(want))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	m.script(nil)
	again, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, again, ServerConfig{Mailbox: m})
	want = append(want, "send 2 unspecified")
	if d := cmp.Diff(want, j.upTo(len(want))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if st := c.Stats(); st.Repeated != 0 || st.Submitted != st.Completed {
		t.Errorf("stats %+v", st)
	}
}

// TestShutdownDoesNotWaitForever.
func TestShutdownDoesNotWaitForever(t *testing.T) {
	m, s, c := pair(t, "tcp", ServerConfig{}, ClientConfig{})
	m.script(never)
	c.Submit(im.User(1), &im.AckDelivered{}, nil)
	m.waitForN(1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); im.KindOf(err) != im.Unavailable {
		t.Errorf("shutdown: %v", err)
	}
	m.release(func(im.Command) im.Result { return nil })
	if err := s.Shutdown(within(t)); err != nil {
		t.Errorf("another shutdown: %v", err)
	}
}

// TestCloseSendsAndWaits.
func TestCloseSendsAndWaits(t *testing.T) {
	m, s, c := pair(t, "tcp", ServerConfig{Window: 2}, ClientConfig{})
	j := newJournal()
	do(t, c, im.User(1), &im.Attach{Session: 1, Sink: named{j, "one"}})
	m.script(never)
	for i := range im.ClientSeq(4) {
		c.Submit(im.User(1), &im.Send{Session: 1, ClientSeq: i + 1}, j)
	}
	closed := make(chan struct{})
	go func() {
		c.Close(within(t))
		close(closed)
	}()
	m.waitForN(3)
	eventually(t, c.isClosing)
	c.Submit(im.User(1), &im.Send{ClientSeq: 9}, j)
	m.release(func(im.Command) im.Result { return nil })
	m.waitForN(5)
	m.release(func(im.Command) im.Result { return nil })
	<-closed
	want := []string{
		"send 9 unavailable",
		"send 1 unspecified", "send 2 unspecified", "send 3 unspecified", "send 4 unspecified", "one: kick 106",
	}
	if d := cmp.Diff(want, j.upTo(len(want))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	eventually(t, func() bool { return s.Stats().Links == 0 && s.Stats().Sessions == 0 })
	c.Close(context.Background())
}

// TestCloseGivesUp when its context ends: everything is completed.
func TestCloseGivesUp(t *testing.T) {
	for _, up := range []bool{true, false} {
		m, _, c, p := proxiedPair(t, ServerConfig{Window: 2}, ClientConfig{})
		j := newJournal()
		do(t, c, im.User(1), &im.Attach{Session: 1, Sink: named{j, "one"}})
		m.script(never)
		want := []string{"one: kick 106"}
		if !up {
			p.setDown(true)
			j.upTo(1)
		}
		for i := range im.ClientSeq(4) {
			c.Submit(im.User(1), &im.Send{ClientSeq: i + 1}, j)
		}
		c.Submit(im.User(1), &im.Attach{Session: 2, Sink: named{j, "two"}}, j)
		hangUp(c)
		want = append(want, "send 1 unavailable", "send 2 unavailable", "send 3 unavailable", "send 4 unavailable", "*Attach unavailable")
		if d := cmp.Diff(want, j.upTo(len(want))); d != "" {
			t.Errorf("up %v (-want +got):\n%s", up, d)
		}
		if st := c.Stats(); st.Submitted != st.Completed || st.Sessions != 0 {
			t.Errorf("stats %+v", st)
		}
	}
}

// TestLevelTravelsByItself while commands come, though none is answered and
// no heartbeat is due.
func TestLevelTravelsByItself(t *testing.T) {
	slow := Heartbeat{Every: time.Hour, Dead: time.Hour, Idle: time.Hour}
	m, _, c := pair(t, "tcp", ServerConfig{Heartbeat: slow}, ClientConfig{Heartbeat: slow})
	do(t, c, im.User(1), &im.Counters{})
	m.script(never)
	c.Submit(im.User(1), &im.AckDelivered{}, nil)
	m.waitForN(2)
	m.mu.Lock()
	m.level = 3
	m.mu.Unlock()
	eventually(t, func() bool { return c.Level() == 3 })
}

// TestLevelTravels when it changes, and is forgotten with the link.
func TestLevelTravels(t *testing.T) {
	m, _, c, p := proxiedPair(t, ServerConfig{}, ClientConfig{})
	do(t, c, im.User(1), &im.Counters{})
	if l := c.Level(); l != im.AnyLevel {
		t.Fatalf("the level is %d at first", l)
	}
	m.mu.Lock()
	m.level = 40
	m.mu.Unlock()
	do(t, c, im.User(1), &im.Counters{})
	eventually(t, func() bool { return c.Level() == 40 })
	m.mu.Lock()
	m.level = 0
	m.mu.Unlock()
	eventually(t, func() bool { return c.Level() == 0 })
	p.setDown(true)
	eventually(t, func() bool { return c.Level() == im.AnyLevel })
	p.setDown(false)
	eventually(t, func() bool { return c.Level() == 0 })
}
