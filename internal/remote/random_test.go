package remote

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// TestEverythingIsCompletedOnce submits all kinds of commands from several
// goroutines while links break, answers come late or never, and the client is
// closed in the middle of it.
func TestEverythingIsCompletedOnce(t *testing.T) {
	for _, seed := range []uint64{3, 4, 5, uint64(time.Now().UnixNano())} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { completedOnce(t, seed) })
	}
}

func completedOnce(t *testing.T, seed uint64) {
	m, s, c, p := proxiedPair(t, ServerConfig{Window: 16}, ClientConfig{
		MaxQueued: 70, Patience: 30 * time.Millisecond, Rand: func(int64) int64 { return 0 },
	})
	m.script(func(to im.Addr, cmd im.Command) (im.Result, error, bool) {
		if _, ok := cmd.(*im.Attach); ok && to.ID%5 == 0 {
			return nil, im.Errorf(im.Unauthenticated, "not you"), true
		}
		return nil, nil, to.ID%3 != 0
	})
	w := &randomWorld{t: t, c: c}
	rng := rand.New(rand.NewPCG(seed, 0))
	var all sync.WaitGroup
	for g := range uint64(4) {
		all.Go(func() { w.submit(rand.New(rand.NewPCG(seed, g+1)), 2500) })
	}
	ended := make(chan struct{})
	go func() {
		all.Wait()
		close(ended)
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for going := true; going; {
		select {
		case <-ended:
			going = false
		case <-tick.C:
			w.disturb(rng, m, p)
			if w.submitted() > 9000 {
				hangUp(c)
			}
		}
	}
	c.Close(context.Background())
	w.check()
	// Answers to what was held come after all has ended.
	m.release(func(im.Command) im.Result { return nil })
	eventually(t, func() bool { return s.Stats().Sessions == 0 })
}

// randomWorld keeps account of what was submitted.
type randomWorld struct {
	t        *testing.T
	c        *Client
	next     atomic.Uint64
	mu       sync.Mutex
	calls    []*randomCall
	sessions []*randomSession
}

// disturb does something to the links, or lets the mailbox answer.
func (w *randomWorld) disturb(rng *rand.Rand, m *fakeMailbox, p *proxy) {
	switch rng.IntN(20) {
	case 0:
		p.cutAll()
	case 1:
		p.setDown(rng.IntN(2) == 0)
	case 2:
		if far := m.sink(im.User(1)); far != nil {
			far.Kick(im.CloseUnavailable, "lost")
		}
	default:
		m.release(func(im.Command) im.Result { return nil })
	}
}

func (w *randomWorld) submitted() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.calls)
}

func (w *randomWorld) submit(rng *rand.Rand, n int) {
	var mine []*randomSession
	room := make(chan struct{}, 20)
	for range n {
		room <- struct{}{}
		call := &randomCall{room: room}
		w.mu.Lock()
		w.calls = append(w.calls, call)
		w.mu.Unlock()
		var cmd im.Command = &im.Counters{}
		about := im.SessionID(0)
		if len(mine) > 0 {
			about = mine[rng.IntN(len(mine))].id
		}
		switch rng.IntN(7) {
		case 0, 1:
			s := &randomSession{w: w, id: im.SessionID(w.next.Add(1))}
			mine = append(mine, s)
			w.mu.Lock()
			w.sessions = append(w.sessions, s)
			w.mu.Unlock()
			cmd = &im.Attach{Session: s.id, Sink: s}
		case 2:
			cmd = &im.Detach{Session: about}
		case 3:
			cmd = &im.Send{Session: about, ClientSeq: 1}
		case 4:
			cmd = &im.AckDelivered{Session: about}
		case 5:
			cmd = &im.Send{ClientSeq: 1, Content: im.Content{Body: make([]byte, rng.IntN(4096))}}
		}
		w.c.Submit(im.User(im.UserID(rng.IntN(20))), cmd, call)
	}
}

func (w *randomWorld) check() {
	w.t.Helper()
	for i, c := range w.calls {
		if n := c.completed.Load(); n != 1 {
			w.t.Errorf("command %d was completed %d times", i, n)
		}
	}
	kicked := 0
	for _, s := range w.sessions {
		n := s.kicks.Load()
		if n > 1 {
			w.t.Errorf("session %d was kicked %d times", s.id, n)
		}
		kicked += int(n)
	}
	st := w.c.Stats()
	if st.Submitted != st.Completed || st.Sessions+st.Queued+st.QueuedBytes+st.InFlight != 0 {
		w.t.Errorf("stats %+v", st)
	}
	w.t.Logf("%d commands, %d links, %d sessions, %d kicked, %d repeated, %d expired, %d busy",
		len(w.calls), st.Connects, len(w.sessions), kicked, st.Repeated, st.Expired, st.Busy)
}

type randomCall struct {
	completed atomic.Int32
	room      chan struct{}
}

func (c *randomCall) Complete(im.Command, im.Result, error) {
	if c.completed.Add(1) == 1 {
		<-c.room
	}
}

type randomSession struct {
	w     *randomWorld
	id    im.SessionID
	kicks atomic.Int32
}

func (s *randomSession) Deliver(_, _ im.Seq, _ [][]byte) {}
func (s *randomSession) Kick(im.CloseCode, string)       { s.kicks.Add(1) }
