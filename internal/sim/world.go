package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/sim/agenda"
)

// world is one simulated cluster with its clients. Everything in it happens
// on one goroutine, in the order of virtual time.
type world struct {
	seed   uint64
	plan   plan
	defect Defect
	rng    *rand.Rand
	now    time.Duration
	agenda agenda.Agenda
	trace  io.Writer

	store     *storage
	placement *placement
	net       network
	nodes     []*node
	gateways  []*gateway
	users     []*user
	byID      map[im.UserID]*user
	ledgers   map[im.Addr]*ledger
	// slots that have users, and where each stands in the list.
	slots   []im.Slot
	slotPos map[im.Slot]int
	// posOf is the same for who asks often; -1: nowhere. members are the nodes
	// as routing knows them.
	posOf   [im.Slots]int16
	members []cluster.Member

	// tokens are those of devices, as Hello has them.
	tokens map[string]*device
	// bodies of all messages that became durable.
	bodies map[string]bool

	sessions im.SessionID
	sets     im.SetID
	// bank is what happens with money.
	bank *bank
	// calls by command, for a defect.
	calls map[im.Command]*call
	// requests are those without an answer.
	requests int
	// calm: the faults are over.
	calm  bool
	stats Report
}

// violation is an invariant that did not hold.
type violation struct{ text string }

// fail ends the run: an invariant does not hold.
func (w *world) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.logf("VIOLATION: %s", text)
	panic(violation{text})
}

// logf adds a line to the trace, if there is one.
func (w *world) logf(format string, args ...any) {
	if w.trace == nil {
		return
	}
	fmt.Fprintf(w.trace, "%11.3fms  %s\n", float64(w.now.Microseconds())/1000, fmt.Sprintf(format, args...))
}

// after plans an event.
func (w *world) after(d time.Duration, run func()) { w.agenda.Plan(w.now+max(d, 0), run) }

// at plans an event at a moment.
func (w *world) at(t time.Duration, run func()) { w.agenda.Plan(max(t, w.now), run) }

// chance is true with probability p.
func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// fault is chance while there are faults.
func (w *world) fault(p float64) bool { return !w.calm && w.chance(p) }

// between draws a duration.
func (w *world) between(lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + time.Duration(w.rng.Int64N(int64(hi-lo)))
}

func (w *world) jitter(n int64) int64 { return w.rng.Int64N(n) }

// step runs the next event.
func (w *world) step() {
	e := w.agenda.Pop()
	w.now = e.At
	w.stats.Steps++
	e.Run()
}

// runUntil runs every event up to a moment.
func (w *world) runUntil(t time.Duration) {
	for w.agenda.Due(t) {
		w.step()
	}
	w.now = t
}
