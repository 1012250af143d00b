package rewinds

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/sim/agenda"
)

// Options select a run.
type Options struct {
	Seed   uint64
	Defect Defect
	// Trace gets what happens, when it is not nil.
	Trace io.Writer
}

// Report says what a run did. Losses counts parts that went on from a copy, Gone
// the log entries that their copies lacked; Orphans are messages that arrived
// and that their sender does not know of, Again those that a log still had and
// that were sent once more, Missing those that no log had any more.
type Report struct {
	Events, Sent, Crashes, Losses, Gone, Lost, Orphans, Again, Missing int
}

// world is some parts, each with a store and a process of its own, and the users
// who live in them.
type world struct {
	opts   Options
	rng    *rand.Rand
	now    time.Duration
	agenda agenda.Agenda
	parts  []*part
	people []*person
	calm   bool
	// unsaid are the messages that were in a log whose end was lost.
	unsaid map[string]bool
	// noted is, for a defect, which generation one user has said last to have noted
	// of another.
	noted  map[[2]im.Addr]im.Generation
	report Report

	// Faults of this seed.
	lose, repeat, crash float64
	delay               time.Duration
	// lag is how many commits of a slot a copy may lack.
	lag int
	// retain is how much of the logs is kept.
	retain entity.Retention
}

// violation is an invariant that did not hold.
type violation struct{ text string }

func (w *world) failf(format string, args ...any) {
	panic(violation{fmt.Sprintf(format, args...)})
}

func (w *world) logf(format string, args ...any) {
	if w.opts.Trace != nil {
		fmt.Fprintf(w.opts.Trace, "%9.3fs  %s\n", w.now.Seconds(), fmt.Sprintf(format, args...))
	}
}

func (w *world) chance(p float64) bool { return !w.calm && p > 0 && w.rng.Float64() < p }

func (w *world) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(w.rng.Int64N(int64(hi-lo)+1))
}

// after plans an event.
func (w *world) after(d time.Duration, run func()) {
	w.agenda.Plan(w.now+max(d, 0), run)
}

// maxEvents is more than any run takes that comes to rest.
const maxEvents = 50_000

// runUntil runs every event up to a moment.
func (w *world) runUntil(t time.Duration) {
	for w.agenda.Due(t) {
		e := w.agenda.Pop()
		w.now = e.At
		if w.report.Events++; w.report.Events > maxEvents {
			w.failf("it does not come to rest")
		}
		e.Run()
	}
	w.now = t
}

// Run simulates one world from beginning to end. The error is an invariant that
// did not hold.
func Run(o Options) (r Report, err error) {
	w := newWorld(o)
	defer func() {
		r = w.report
		switch p := recover().(type) {
		case nil:
		case violation:
			w.logf("VIOLATION: %s", p.text)
			err = fmt.Errorf("seed %d after %v: %s", o.Seed, w.now, p.text)
		case string:
			// What memstore says of a caller that breaks its duties.
			w.logf("VIOLATION: %s", p)
			err = fmt.Errorf("seed %d after %v: %s", o.Seed, w.now, p)
		default:
			panic(p)
		}
	}()
	w.run()
	return r, nil
}

func newWorld(o Options) *world {
	rng := rand.New(rand.NewPCG(o.Seed, 0x726577))
	w := &world{opts: o, rng: rng, unsaid: map[string]bool{}, noted: map[[2]im.Addr]im.Generation{}}
	sometimes := func(p float64) float64 { return p * rng.Float64() * float64(rng.IntN(2)) }
	w.lose, w.repeat, w.crash = sometimes(0.2), sometimes(0.2), sometimes(0.4)
	w.delay = w.between(time.Millisecond, 400*time.Millisecond)
	w.lag = 1 + rng.IntN(12)
	if rng.IntN(4) == 0 {
		w.retain.Entries = 1 + rng.IntN(10)
	}
	for i := range 1 + rng.IntN(3) {
		w.parts = append(w.parts, newPart(w, i))
	}
	users := max(2+rng.IntN(4), len(w.parts))
	for i := range users {
		w.people = append(w.people, newPerson(w, im.UserID(i+1), users))
	}
	return w
}

// run is a whole life: users appear and write among faults, parts are lost and go
// on from copies that lack their end, and in the end everything is looked at.
func (w *world) run() {
	w.calm = true
	for _, p := range w.parts {
		p.boot()
	}
	for _, p := range w.people {
		p.appear()
	}
	w.runUntil(5 * time.Second)
	for _, p := range w.parts {
		p.settled()
	}
	w.calm = false
	end := w.now + w.between(3*time.Second, 20*time.Second)
	for _, p := range w.people {
		for range 5 + w.rng.IntN(40) {
			w.after(w.between(0, end-w.now), p.write)
		}
		for range w.rng.IntN(3) {
			w.after(w.between(0, end-w.now), p.login)
		}
	}
	for range 1 + w.rng.IntN(3) {
		w.after(w.between(0, end-w.now), w.parts[w.rng.IntN(len(w.parts))].isLost)
	}
	for _, p := range w.parts {
		if w.chance(w.crash) {
			w.after(w.between(0, end-w.now), p.crash)
		}
	}
	w.runUntil(end)
	w.calm = true
	// Whoever comes back finds what is still somewhere.
	w.runUntil(end + 5*time.Second)
	for _, p := range w.people {
		if w.opts.Defect != Ungreeted {
			p.login()
		}
	}
	w.runUntil(end + 10*time.Minute)
	w.check()
}
