package standbys

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/standby"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/memstore"
)

// standbyProc is the standby: its store, and the process that keeps the copy.
type standbyProc struct {
	w        *world
	store    *copyStore
	follower *standby.Follower
	listener *listener
	lives    int
	stopped  bool
}

func newStandby(w *world) *standbyProc {
	return &standbyProc{w: w, store: &copyStore{Store: memstore.New(time.Now), w: w, best: map[im.Slot]uint64{}}}
}

func (s *standbyProc) boot() {
	if s.stopped || s.follower != nil {
		return
	}
	f, err := standby.NewFollower(context.Background(), standby.FollowerConfig{Engine: s.store, Region: regionName, Logger: quiet()})
	if err != nil {
		s.w.logf("the standby does not start: %v", err)
		s.w.after(time.Second, s.boot)
		return
	}
	s.lives++
	s.follower, s.listener = f, newListener()
	s.w.logf("the standby starts")
	ln := s.listener
	go func() { _ = f.Serve(ln) }()
}

// halt ends the process, with what is not in its store.
func (s *standbyProc) halt() {
	if s.follower == nil {
		return
	}
	s.follower.Close()
	s.follower = nil
	for _, l := range s.w.links {
		l.cut()
	}
	s.w.admit()
	s.store.crash()
}

func (s *standbyProc) crash() {
	if s.follower == nil {
		return
	}
	s.w.logf("the standby crashes")
	s.w.report.Crashes++
	s.halt()
	s.w.after(s.w.between(0, 4*time.Second), s.boot)
}

// stop is halt for good.
func (s *standbyProc) stop() {
	s.halt()
	s.stopped = true
}

// arm makes one of the next commits of the copy fail.
func (s *standbyProc) arm() {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.fault = fault(1 + s.w.rng.IntN(int(faults)-1))
	s.store.delay = s.w.between(0, time.Second)
	s.w.logf("a commit of the copy will fail: %d", s.store.fault)
}

func (s *standbyProc) heal() {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.fault = faultless
}

// fault is what happens to a commit of the copy.
type fault uint8

const (
	faultless fault = iota
	// It has no effect, or had one in whole, or in part, or will have it.
	faultLost
	faultUnheard
	faultTorn
	faultLate
	faults
)

// copyStore is the standby's store. Its calls return at once: the Follower makes
// them under a lock.
type copyStore struct {
	*memstore.Store
	w *world

	mu    sync.Mutex
	fault fault
	delay time.Duration
	// best is the highest number with which a slot was whole.
	best map[im.Slot]uint64
	// unsynced is what a defect has acknowledged without writing it.
	unsynced *store.Batch
}

// Commit implements store.Store.
func (c *copyStore) Commit(_ context.Context, b *store.Batch) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.w.blame("the copy: %v", p)
			err = errStore
		}
	}()
	b = c.spoil(b)
	c.mu.Lock()
	how := c.fault
	c.fault = faultless
	c.mu.Unlock()
	op := c.Begin(b)
	slots := op.Slots()
	switch how {
	case faultLost:
		op.Drop(nil)
		err = errStore
	case faultUnheard:
		op.Apply()
		op.Drop(nil)
		err = errStore
	case faultTorn:
		op.Drop(func(slot im.Slot) bool { return slot%2 == 0 })
		err = errStore
	case faultLate:
		c.w.post("late commit of the copy", func() { c.w.after(c.delay, func() { c.land(op) }) })
		return errStore
	default:
		err = op.Finish()
	}
	c.check(slots)
	return err
}

// land lets a commit that has failed take effect after all.
func (c *copyStore) land(op *memstore.Op) {
	slots := op.Slots()
	op.Apply()
	op.Drop(nil)
	c.check(slots)
}

// crash loses what has not taken effect.
func (c *copyStore) crash() {
	c.unsynced = nil
	c.CrashUnsynced(func(p memstore.Part) bool { return p.Slot%3 == 0 })
	c.check(c.w.slots)
}

// check looks at the copies of slots after a commit.
func (c *copyStore) check(slots []im.Slot) {
	for _, slot := range slots {
		history, used := c.w.history[slot]
		p := c.w.placeOf(c.Store, slot)
		if !used || !p.whole() || p.number == 0 {
			continue
		}
		if p.number < c.best[slot] {
			c.w.blame("the copy of slot %d goes back from %d to %d", slot, c.best[slot], p.number)
		}
		c.best[slot] = p.number
		want, known := history[p.number]
		if !known {
			c.w.blame("the copy of slot %d says %d, and no commit has that number", slot, p.number)
		}
		if got := stateOf(c.Store, slot, c.w.subjects[slot]); got != want {
			c.w.blame("the copy of slot %d at %d is\n%s\nand the slot was\n%s", slot, p.number, got, want)
		}
	}
}

// wholeSlots are those of which the copy is whole, by what it is, not by what it says.
func (c *copyStore) wholeSlots() []im.Slot {
	return slices.DeleteFunc(slices.Clone(c.w.slots), func(slot im.Slot) bool {
		p := c.w.placeOf(c.Store, slot)
		return !p.whole() || p.number > 0 && stateOf(c.Store, slot, c.w.subjects[slot]) != c.w.history[slot][p.number]
	})
}
