package gateway

import (
	"sync"
	"time"
)

// crowdRetryMS is when those are to come back at the earliest that find too
// many others logging in.
const crowdRetryMS = 2000

// gate bounds how many sessions are being attached at a time. The others wait,
// in order: logins up to a bound, and sessions that are resumed, of which there
// are no more than connections. A mailbox that is busy narrows the gate, so that
// a storm of logins waits here, where that costs little, rather than being
// refused and coming again.
type gate struct {
	after func(d time.Duration, f func()) (stop func() bool)

	mu sync.Mutex
	// flying is how many are under way, of at most window, which is between
	// 1 and widest.
	flying, window, widest int
	// answers counts those that widen the window next; stale is how many were
	// under way when it was narrowed, whose answers do not narrow it again.
	answers, stale int
	// logins is how many logins wait, most how many may.
	logins, most int
	// first and last are the ends of the queue.
	first, last *work
	// pumping: somebody lets the first ones go.
	pumping bool
}

// turn is a session's place in the queue. It is guarded by the gate's mutex.
type turn struct {
	session      *session
	prev, next   *work
	waits, login bool
}

// login queues a session, unless too many wait.
func (g *gate) login(w *work) bool {
	g.mu.Lock()
	if g.logins >= g.most {
		g.mu.Unlock()
		return false
	}
	g.logins++
	w.turn.login = true
	g.push(w)
	g.mu.Unlock()
	g.pump()
	return true
}

// resume queues a session that is to be attached again.
func (g *gate) resume(w *work) {
	g.mu.Lock()
	g.push(w)
	g.mu.Unlock()
	g.pump()
}

// leave makes room for another one. busy: the mailbox could not take it.
func (g *gate) leave(busy bool) {
	g.mu.Lock()
	g.flying--
	g.adapt(busy)
	g.mu.Unlock()
	g.pump()
}

// adapt halves the window when the mailbox is busy, once for all that were under
// way, and widens it by an eighth for every windowful of other answers.
func (g *gate) adapt(busy bool) {
	switch {
	case busy && g.stale == 0:
		g.window, g.answers, g.stale = max(1, g.window/2), 0, g.flying
		return
	case !busy:
		g.answers++
	}
	if g.stale > 0 {
		g.stale--
	}
	if g.answers >= g.window {
		g.window, g.answers = min(g.widest, g.window+max(1, g.window/8)), 0
	}
}

// waiting is how many logins wait.
func (g *gate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.logins
}

// cancel takes a session out of the queue, if it is there.
func (g *gate) cancel(w *work) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.turn.waits {
		g.unlink(w)
	}
}

// maxPump is how many sessions one goroutine lets go in a row: it may be a loop's.
const maxPump = 64

// pump lets sessions go as long as there is room. Only one goroutine does it at
// a time: the mailbox may answer in place, which makes room again.
func (g *gate) pump() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pumping {
		return
	}
	g.pumping = true
	for n := 0; g.flying < g.window && g.first != nil; n++ {
		if n == maxPump {
			g.after(0, g.pump)
			break
		}
		w := g.first
		g.unlink(w)
		g.flying++
		g.mu.Unlock()
		asked := w.turn.session.attach()
		g.mu.Lock()
		if !asked {
			g.flying--
		}
	}
	g.pumping = false
}

func (g *gate) push(w *work) {
	w.turn.waits, w.turn.prev = true, g.last
	if g.last == nil {
		g.first = w
	} else {
		g.last.turn.next = w
	}
	g.last = w
}

func (g *gate) unlink(w *work) {
	t := &w.turn
	if t.prev == nil {
		g.first = t.next
	} else {
		t.prev.turn.next = t.next
	}
	if t.next == nil {
		g.last = t.prev
	} else {
		t.next.turn.prev = t.prev
	}
	if t.login {
		g.logins--
	}
	*t = turn{session: t.session}
}
