package regions

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing/synctest"
	"time"

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

// Report says what a run did.
type Report struct {
	Events, Sent, Moves, Crashes, Lost, Strays, Shifts, Fenced, Carried, Twice, Swaps int
	// Of relays in processes of their own: Batches they sent, and sent again, links of nodes
	// that broke, and entities that were asked to go on.
	Batches, Repeated, Ties, Nudged int
	// Strained counts relays that died, stood still, or were cut off from nodes or regions.
	Strained [4]int
}

// world is some regions with their users.
type world struct {
	opts   Options
	rng    *rand.Rand
	now    time.Duration
	agenda agenda.Agenda
	sites  []*site
	people []*person
	asked  []*asked
	homes  map[im.UserID]map[uint64]im.Region
	cut    map[[2]int]bool
	calm   bool
	report Report
	// taken are the messages that each user has from another, by sender and receiver.
	taken map[[2]im.UserID]map[string]bool
	// lastSeq is the last message sent between regions, for a defect.
	lastSeq map[[2]im.Addr]im.LinkSeq

	// Faults of this seed.
	lose, repeat, fail, crash float64
	shift                     float64
	delay, staleness          time.Duration
	// relayQueue is how many bytes wait in a relay; lives counts relays that started.
	relayQueue int
	lives      uint64
	topUps     int
	money      im.Cents
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

// after plans an event. Goroutines of moves call it too: one at a time, while
// the run waits for them.
func (w *world) after(d time.Duration, run func()) {
	w.agenda.Plan(w.now+max(d, 0), run)
}

// runUntil runs every event up to a moment.
func (w *world) runUntil(t time.Duration) {
	for w.agenda.Due(t) {
		e := w.agenda.Pop()
		w.now = e.At
		w.report.Events++
		e.Run()
		synctest.Wait()
		w.collect()
	}
	w.now = t
}

// Run simulates one world from beginning to end, in a bubble of synctest. The
// error is an invariant that did not hold.
func Run(o Options) (r Report, err error) {
	w := newWorld(o)
	defer func() {
		for _, s := range w.sites {
			for _, h := range s.hosts {
				h.kill()
			}
			for _, h := range s.relays {
				h.kill()
			}
		}
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
	rng := rand.New(rand.NewPCG(o.Seed, 0x726567))
	w := &world{opts: o, rng: rng, homes: map[im.UserID]map[uint64]im.Region{}, cut: map[[2]int]bool{}, lastSeq: map[[2]im.Addr]im.LinkSeq{}, taken: map[[2]im.UserID]map[string]bool{}}
	sometimes := func(p float64) float64 { return p * rng.Float64() * float64(rng.IntN(2)) }
	w.lose, w.repeat, w.fail, w.crash = sometimes(0.2), sometimes(0.2), sometimes(0.15), sometimes(0.02)
	w.shift = sometimes(0.3)
	w.delay, w.staleness = w.between(time.Millisecond, 60*time.Millisecond), w.between(time.Millisecond, 3*time.Second)
	relays := rng.IntN(2)
	w.relayQueue = 1 << (7 + rng.IntN(14))
	for i := range 2 + rng.IntN(2) {
		w.sites = append(w.sites, newSite(w, i, 1+rng.IntN(3), relays*(1+rng.IntN(3))))
	}
	users := 2 + rng.IntN(4)
	for i := range users {
		w.people = append(w.people, newPerson(w, im.UserID(i+1), users))
	}
	return w
}

// run is a whole life: users appear, write and move among faults, and in the end
// everything is looked at.
func (w *world) run() {
	w.calm = true
	for _, s := range w.sites {
		for _, h := range s.relays {
			h.boot()
		}
		for _, h := range s.hosts {
			h.boot()
		}
	}
	for _, p := range w.people {
		p.appear()
	}
	w.runUntil(20 * time.Second)
	w.calm = false
	end := w.now + w.between(3*time.Second, 20*time.Second)
	for _, p := range w.people {
		for range 5 + w.rng.IntN(40) {
			w.after(w.between(0, end-w.now), p.write)
		}
		for range 1 + w.rng.IntN(4) {
			w.after(w.between(0, end-w.now), p.move)
		}
		for range w.rng.IntN(3) {
			w.after(w.between(0, end-w.now), p.topUp)
		}
	}
	for range w.rng.IntN(4) {
		w.after(w.between(0, end-w.now), w.swap)
	}
	for range w.rng.IntN(4) {
		w.after(w.between(0, end-w.now), w.blow)
	}
	for _, s := range w.sites {
		for range w.rng.IntN(6) {
			w.after(w.between(0, end-w.now), s.shuffle)
		}
		for range len(s.relays) * w.rng.IntN(4) {
			w.after(w.between(0, end-w.now), s.strain)
		}
	}
	w.runUntil(end)
	w.calm = true
	clear(w.cut)
	for _, s := range w.sites {
		s.ease()
	}
	w.runUntil(end + 10*time.Minute)
	w.check()
}

// blow is a single fault: a region crashes, or is cut off from another.
func (w *world) blow() {
	if w.calm {
		return
	}
	a, b := w.rng.IntN(len(w.sites)), w.rng.IntN(len(w.sites))
	if a == b {
		for _, h := range w.sites[a].hosts {
			if w.rng.IntN(len(w.sites[a].hosts)) == 0 {
				h.crash()
			}
		}
		return
	}
	w.logf("%s and %s are cut off from each other", w.sites[a].name, w.sites[b].name)
	w.cut[[2]int{min(a, b), max(a, b)}] = true
	w.after(w.between(0, 5*time.Second), func() { delete(w.cut, [2]int{min(a, b), max(a, b)}) })
}

// lost reports whether something on the way between two sites is.
func (w *world) lost(from, to *site, p float64) bool {
	if w.isCut(from, to) || w.chance(p) {
		w.report.Lost++
		return true
	}
	return false
}

// isCut reports whether two sites are cut off from each other.
func (w *world) isCut(a, b *site) bool {
	return w.cut[[2]int{min(a.index, b.index), max(a.index, b.index)}]
}

// time is the clock of what asks for one.
func (w *world) time() time.Time { return time.UnixMilli(epochStart).Add(w.now) }
