package remote

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skein-im/skein/internal/freeport"
	"github.com/skein-im/skein/internal/im"
)

// proxied pair: a client that reaches a fake mailbox through a proxy.
func proxiedPair(t testing.TB, sc ServerConfig, cc ClientConfig) (*fakeMailbox, *Server, *Client, *proxy) {
	t.Helper()
	m := newFakeMailbox()
	ln, addr := listen(t, "tcp")
	sc.Mailbox = m
	s := serve(t, ln, sc)
	p := newProxy(t, addr, unlimited)
	cc.Addr = p.addr()
	return m, s, connect(t, cc), p
}

// journal writes down what happens, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
	added *sync.Cond
}

func newJournal() *journal {
	j := &journal{}
	j.added = sync.NewCond(&j.mu)
	return j
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
	j.added.Broadcast()
}

// upTo waits for so many lines and returns them.
func (j *journal) upTo(n int) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.lines) < n {
		j.added.Wait()
	}
	return append([]string(nil), j.lines...)
}

// Complete implements im.Completion.
func (j *journal) Complete(cmd im.Command, _ im.Result, err error) {
	what := typeName(cmd)
	if s, ok := cmd.(*im.Send); ok {
		what = fmt.Sprintf("send %d", s.ClientSeq)
	}
	j.add("%s %s", what, im.KindOf(err))
}

// named is a sink that writes into a journal.
type named struct {
	j    *journal
	name string
}

func (n named) Deliver(first, last im.Seq, _ [][]byte) {
	n.j.add("%s: deliver %d-%d", n.name, first, last)
}
func (n named) Kick(code im.CloseCode, _ string) { n.j.add("%s: kick %d", n.name, code) }

func never(im.Addr, im.Command) (im.Result, error, bool) { return nil, nil, false }

func (m *fakeMailbox) waitForN(n int) {
	m.waitFor(func(got []im.Command) bool { return len(got) >= n })
}

// TestWhatALossDoes: sessions are kicked, then what cannot be repeated fails,
// in order; what can is repeated in order.
func TestWhatALossDoes(t *testing.T) {
	m, _, c, p := proxiedPair(t, ServerConfig{}, ClientConfig{})
	j := newJournal()
	do(t, c, im.User(1), &im.Attach{Session: 1, Sink: named{j, "one"}})
	do(t, c, im.User(1), &im.Attach{Session: 2, Sink: named{j, "two"}})
	m.script(never)
	inFlight := []im.Command{
		&im.Send{Session: 1, ClientSeq: 1},
		&im.Send{ClientSeq: 2},
		&im.AckDelivered{Session: 1, Seq: 3},
		&im.Counters{Device: 4},
		&im.Send{ClientSeq: 0},
		&im.Detach{Session: 2},
		&im.Attach{Session: 3, Sink: named{j, "three"}},
		&im.Send{ClientSeq: 5},
	}
	for _, cmd := range inFlight {
		c.Submit(im.User(1), cmd, j)
	}
	m.waitForN(2 + len(inFlight))
	p.cutAll()
	want := []string{
		"one: kick 106",
		"send 1 unavailable", "*AckDelivered unavailable", "send 0 unavailable", "*Detach unspecified", "*Attach unavailable",
	}
	if d := cmp.Diff(want, j.upTo(len(want))); d != "" {
		t.Errorf("after the loss (-want +got):\n%s", d)
	}
	again := 2 + len(inFlight) + 2 // the server's own Detaches of sessions 1 and 3
	m.waitForN(again + 3)
	var repeated []string
	m.mu.Lock()
	for _, cmd := range m.got[again:] {
		repeated = append(repeated, fmt.Sprintf("%T", cmd))
	}
	m.mu.Unlock()
	if d := cmp.Diff([]string{"*im.Send", "*im.Counters", "*im.Send"}, repeated); d != "" {
		t.Errorf("repeated (-want +got):\n%s", d)
	}
	m.release(func(im.Command) im.Result { return nil })
	want = append(want, "send 2 unspecified", "*Counters unspecified", "send 5 unspecified")
	if d := cmp.Diff(want, j.upTo(len(want))); d != "" {
		t.Errorf("in the end (-want +got):\n%s", d)
	}
	if st := c.Stats(); st.Losses != 1 || st.Repeated != 3 || st.Sessions != 0 || st.InFlight != 0 || st.Submitted != st.Completed {
		t.Errorf("stats %+v", st)
	}
}

// TestWhatWaitsAtALoss: commands about sessions that were lost fail with those
// in flight; what does not rest on the link waits on.
func TestWhatWaitsAtALoss(t *testing.T) {
	m, _, c, p := proxiedPair(t, ServerConfig{Window: 1}, ClientConfig{})
	j := newJournal()
	do(t, c, im.User(1), &im.Attach{Session: 1, Sink: named{j, "one"}})
	m.script(never)
	for _, cmd := range []im.Command{
		&im.Send{Session: 1, ClientSeq: 1}, // in flight
		&im.Send{Session: 1, ClientSeq: 2},
		&im.AckDelivered{Seq: 3},
		&im.Attach{Session: 2, Sink: named{j, "two"}},
		&im.Redeliver{Session: 2},
		&im.Detach{Session: 1},
	} {
		c.Submit(im.User(1), cmd, j)
	}
	m.waitForN(2)
	m.script(nil)
	p.cutAll()
	want := []string{
		// Its Detach had been submitted, so the session is not kicked.
		"send 1 unavailable", "send 2 unavailable", "*Detach unspecified",
		"*AckDelivered unspecified", "*Attach unspecified", "*Redeliver unspecified",
	}
	if d := cmp.Diff(want, j.upTo(len(want))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if n := c.Stats().Sessions; n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// TestServerHoldsClientsToTheWindow: one that sends more is cut off.
func TestServerHoldsClientsToTheWindow(t *testing.T) {
	m, s, c := pair(t, "tcp", ServerConfig{Window: 2}, ClientConfig{})
	do(t, c, im.User(1), &im.Counters{})
	m.script(never)
	c.mu.Lock()
	c.inFlight, c.free = make([]pending, 3), []uint32{2, 1, 0}
	c.mu.Unlock()
	for range 3 {
		c.Submit(im.User(1), &im.AckDelivered{}, nil)
	}
	eventually(t, func() bool { return c.Stats().Connects == 2 })
	if st := s.Stats(); st.Broken != 1 {
		t.Errorf("stats %+v", st)
	}
}

// TestServerDetachesWhatALinkLeaves.
func TestServerDetachesWhatALinkLeaves(t *testing.T) {
	m, s, c, p := proxiedPair(t, ServerConfig{}, ClientConfig{})
	attached := map[im.SessionID]bool{}
	for i := range im.SessionID(5) {
		do(t, c, im.User(im.UserID(i)), &im.Attach{Session: i + 1, Sink: nothing{}})
		attached[m.last().(*im.Attach).Session] = true
	}
	p.cutAll()
	m.waitForN(10)
	m.mu.Lock()
	for _, cmd := range m.got[5:] {
		delete(attached, cmd.(*im.Detach).Session)
	}
	m.mu.Unlock()
	if len(attached) > 0 || s.Stats().Sessions != 0 {
		t.Errorf("not detached: %v; %d sessions are counted", attached, s.Stats().Sessions)
	}
}

// TestWhileDown: commands wait, a Detach does not, and too many are refused.
func TestWhileDown(t *testing.T) {
	m, _, c, p := proxiedPair(t, ServerConfig{}, ClientConfig{MaxQueued: 3})
	j := newJournal()
	do(t, c, im.User(1), &im.Attach{Session: 1, Sink: named{j, "one"}})
	p.setDown(true)
	j.upTo(1)
	if c.Health() == nil || c.Level() != im.AnyLevel {
		t.Errorf("health %v, level %d", c.Health(), c.Level())
	}
	c.Submit(im.User(1), &im.Detach{Session: 1}, j)
	c.Submit(im.User(1), &im.Send{ClientSeq: 1}, j)
	c.Submit(im.User(1), &im.Attach{Session: 2, Sink: named{j, "two"}}, j)
	c.Submit(im.User(1), &im.Send{Session: 2, ClientSeq: 2}, j)
	c.Submit(im.User(1), &im.Send{ClientSeq: 3}, j)
	c.Submit(im.User(1), &im.Attach{Session: 4, Sink: named{j, "four"}}, j)
	c.Submit(im.User(1), &im.Detach{Session: 2}, j)
	want := []string{"one: kick 106", "*Detach unspecified", "send 3 busy", "*Attach busy"}
	if d := cmp.Diff(want, j.upTo(len(want))); d != "" {
		t.Errorf("while down (-want +got):\n%s", d)
	}
	p.setDown(false)
	want = append(want, "send 1 unspecified", "*Attach unspecified", "send 2 unspecified", "*Detach unspecified")
	if d := cmp.Diff(want, j.upTo(len(want))); d != "" {
		t.Errorf("in the end (-want +got):\n%s", d)
	}
	if err := c.Health(); err != nil {
		t.Error(err)
	}
	if st := c.Stats(); st.Busy != 2 || st.Sessions != 0 || st.Queued != 0 || st.QueuedBytes != 0 {
		t.Errorf("stats %+v", st)
	}
	do(t, m, im.User(1), &im.Counters{})
}

// TestPatienceEnds for everything that waits, in order.
func TestPatienceEnds(t *testing.T) {
	addr, err := freeport.Take()
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, ClientConfig{Addr: addr, Patience: 50 * time.Millisecond})
	j := newJournal()
	c.Submit(im.User(1), &im.Attach{Session: 1, Sink: named{j, "one"}}, j)
	c.Submit(im.User(1), &im.Send{ClientSeq: 1}, j)
	c.Submit(im.User(1), &im.Detach{Session: 1}, j)
	c.Submit(im.User(1), &im.Send{ClientSeq: 2}, nil)
	c.Submit(im.User(1), &im.Send{ClientSeq: 3}, j)
	want := []string{"*Attach unavailable", "send 1 unavailable", "*Detach unspecified", "send 3 unavailable"}
	if d := cmp.Diff(want, j.upTo(len(want))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if st := c.Stats(); st.Expired != 5 || st.Sessions != 0 {
		t.Errorf("stats %+v", st)
	}
}

// TestWindow: no more commands are in flight than the server says.
func TestWindow(t *testing.T) {
	const size, all = 4, 100
	// No heartbeat helps.
	slow := Heartbeat{Every: time.Hour, Dead: time.Hour, Idle: time.Hour}
	m, _, c := pair(t, "tcp", ServerConfig{Window: size, Heartbeat: slow}, ClientConfig{Heartbeat: slow})
	m.script(never)
	j := newJournal()
	for i := range all {
		c.Submit(im.User(1), &im.Send{ClientSeq: im.ClientSeq(i + 1)}, j)
	}
	for n := size; n <= all; n += size {
		m.waitForN(n)
		if st := c.Stats(); st.InFlight != size || st.Queued != all-n {
			t.Fatalf("%d in flight, %d queued when %d have come", st.InFlight, st.Queued, n)
		}
		m.mu.Lock()
		if len(m.got) != n {
			t.Fatalf("%d commands came, the window is for %d", len(m.got), n)
		}
		m.mu.Unlock()
		m.release(func(im.Command) im.Result { return nil })
	}
	for i, line := range j.upTo(all) {
		if want := fmt.Sprintf("send %d unspecified", i+1); line != want {
			t.Fatalf("%q where %q was due", line, want)
		}
	}
}

// TestHalfOpenLinks are found by both ends, though nobody hangs up.
func TestHalfOpenLinks(t *testing.T) {
	beat := Heartbeat{Every: 20 * time.Millisecond, Dead: 100 * time.Millisecond, Idle: 150 * time.Millisecond}
	m, _, c, p := proxiedPair(t, ServerConfig{Heartbeat: beat}, ClientConfig{Heartbeat: beat})
	j := newJournal()
	do(t, c, im.User(1), &im.Attach{Session: 1, Sink: named{j, "one"}})
	p.stall()
	if d := cmp.Diff([]string{"one: kick 106"}, j.upTo(1)); d != "" {
		t.Error(d)
	}
	m.waitFor(func(got []im.Command) bool {
		_, ok := got[len(got)-1].(*im.Detach)
		return ok
	})
	do(t, c, im.User(1), &im.Send{ClientSeq: 1})
}

// TestIdleLinksStay.
func TestIdleLinksStay(t *testing.T) {
	beat := Heartbeat{Every: 5 * time.Millisecond, Dead: 2 * time.Second, Idle: 2 * time.Second}
	_, s, c := pair(t, "tcp", ServerConfig{Heartbeat: beat}, ClientConfig{Heartbeat: beat})
	do(t, c, im.User(1), &im.Counters{})
	before := c.Stats().BytesIn
	eventually(t, func() bool { return c.Stats().BytesIn >= before+20 && s.Stats().Links == 1 })
	if st := c.Stats(); st.Losses != 0 || !st.Up {
		t.Errorf("stats %+v", st)
	}
}

// TestTheOldLinkEndsFirst: a process that comes again finds its old sessions
// detached before anything it sends is applied.
func TestTheOldLinkEndsFirst(t *testing.T) {
	slow := Heartbeat{Every: time.Hour, Dead: time.Hour, Idle: time.Hour}
	m, s, c, p := proxiedPair(t, ServerConfig{Heartbeat: slow}, ClientConfig{})
	j := newJournal()
	do(t, c, im.User(1), &im.Attach{Session: 1, Sink: named{j, "one"}})
	old := m.last().(*im.Attach).Session
	p.orphan()
	j.upTo(1)
	do(t, c, im.User(1), &im.Attach{Session: 2, Resume: &im.Resume{Session: 1}, Sink: nothing{}})
	m.mu.Lock()
	defer m.mu.Unlock()
	if d, ok := m.got[1].(*im.Detach); !ok || d.Session != old {
		t.Errorf("after the loss came %+v", m.got[1:])
	}
	if st := s.Stats(); st.Sessions != 1 {
		t.Errorf("stats %+v", st)
	}
}

// TestSlowClientIsCut when too much waits for it, and hears of it as of any
// loss.
func TestSlowClientIsCut(t *testing.T) {
	m, s, c := pair(t, "tcp", ServerConfig{MaxQueue: 1 << 20}, ClientConfig{})
	j := newJournal()
	stuck := make(chan struct{})
	do(t, c, im.User(1), &im.Attach{Session: 1, Sink: blocked{named{j, "one"}, stuck}})
	far := m.sink(im.User(1))
	for seq := im.Seq(1); s.Stats().Slow == 0; seq++ {
		far.Deliver(seq, seq, [][]byte{make([]byte, 64<<10)})
	}
	close(stuck)
	do(t, c, im.User(1), &im.Counters{})
	lines := j.upTo(1)
	if last := lines[len(lines)-1]; last != "one: kick 106" {
		t.Errorf("the session heard last: %s", last)
	}
}

// blocked does not take deliveries until stuck is closed.
type blocked struct {
	named
	stuck chan struct{}
}

func (b blocked) Deliver(first, last im.Seq, e [][]byte) { <-b.stuck }
