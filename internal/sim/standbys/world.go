package standbys

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/skein-im/skein/internal/sim/agenda"
)

// Options select a run.
type Options struct {
	Seed   uint64
	Defect Defect
	// Trace gets what happens, when it is not nil.
	Trace io.Writer
}

// Report says what a run did.
type Report struct {
	Events, Commits, Acquired, Reads, Fenced, Unknown int
	Links, Copies, Dropped, Crashes, Lost, Broken     int
}

// world is a region's store with its nodes, and the standby.
type world struct {
	opts   Options
	rng    *rand.Rand
	start  time.Time
	agenda agenda.Agenda
	calm   bool
	plan   plan
	report Report

	// mu guards what goroutines leave for the run: what they want next, and
	// an invariant that one of them found broken.
	mu       sync.Mutex
	incoming []arrival
	poke     chan struct{}
	broken   string
	// over: nothing is looked at any more.
	over bool

	generation
}

// arrival is something that a goroutine wants; key says who wants what.
type arrival struct {
	key  string
	plan func()
}

// violation is an invariant that did not hold.
type violation struct{ text string }

func (w *world) failf(format string, args ...any) {
	panic(violation{fmt.Sprintf(format, args...)})
}

// blame is failf for goroutines other than the run's.
func (w *world) blame(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
	}
}

func (w *world) logf(format string, args ...any) {
	if w.opts.Trace != nil {
		fmt.Fprintf(w.opts.Trace, "%10.4fs  %s\n", w.now().Seconds(), fmt.Sprintf(format, args...))
	}
}

func (w *world) now() time.Duration { return time.Since(w.start) }

func (w *world) chance(p float64) bool { return !w.calm && p > 0 && w.rng.Float64() < p }

func (w *world) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(w.rng.Int64N(int64(hi-lo)+1))
}

// after plans an event. Only the run's goroutine does so.
func (w *world) after(d time.Duration, run func()) {
	w.agenda.Plan(w.now()+max(d, 0), run)
}

// post leaves something for the run, from any goroutine. What several leave at
// one moment is taken in the order of their keys, which no scheduler decides.
func (w *world) post(key string, plan func()) {
	w.mu.Lock()
	w.incoming = append(w.incoming, arrival{key, plan})
	w.mu.Unlock()
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

// admit waits until every goroutine waits, and takes what they have left.
func (w *world) admit() bool {
	synctest.Wait()
	w.mu.Lock()
	taken, broken := w.incoming, w.broken
	w.incoming = nil
	w.mu.Unlock()
	if w.over {
		return false
	}
	if broken != "" {
		panic(violation{broken})
	}
	slices.SortStableFunc(taken, func(a, b arrival) int { return strings.Compare(a.key, b.key) })
	for _, a := range taken {
		a.plan()
	}
	return len(taken) > 0
}

// runUntil runs every event up to a moment. The clocks of goroutines go on
// between events, so what these do by the clock comes first.
func (w *world) runUntil(t time.Duration) {
	for {
		if w.admit() {
			continue
		}
		if wait := w.agenda.Before(t) - w.now(); wait > 0 {
			w.sleep(wait)
			continue
		}
		if !w.agenda.Due(w.now()) {
			return
		}
		e := w.agenda.Pop()
		w.report.Events++
		e.Run()
	}
}

func (w *world) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.poke:
	}
}

// Run simulates one world from beginning to end, in a bubble of synctest. The
// error is an invariant that did not hold.
func Run(o Options) (r Report, err error) {
	w := &world{
		opts: o, rng: rand.New(rand.NewPCG(o.Seed, 0x7374616e64)), start: time.Now(), poke: make(chan struct{}, 1),
	}
	w.draw()
	defer func() {
		p := recover()
		w.over = true
		w.end()
		r = w.report
		switch p := p.(type) {
		case nil:
		case violation:
			w.logf("VIOLATION: %s", p.text)
			err = fmt.Errorf("seed %d after %v: %s", o.Seed, w.now(), p.text)
		case string:
			// What memstore says of a caller that breaks its duties.
			w.logf("VIOLATION: %s", p)
			err = fmt.Errorf("seed %d after %v: %s", o.Seed, w.now(), p)
		default:
			panic(p)
		}
	}()
	w.run()
	return r, nil
}

func (r *Report) add(o Report) {
	r.Events += o.Events
	r.Commits += o.Commits
	r.Acquired += o.Acquired
	r.Reads += o.Reads
	r.Fenced += o.Fenced
	r.Unknown += o.Unknown
	r.Links += o.Links
	r.Copies += o.Copies
	r.Dropped += o.Dropped
	r.Crashes += o.Crashes
	r.Lost += o.Lost
	r.Broken += o.Broken
}
