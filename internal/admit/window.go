package admit

import (
	"math"
	"time"

	"github.com/skein-im/skein/internal/im"
)

const (
	// leastDrop and mostDrop bound by how much an overloaded window lowers
	// admission below what was processed.
	leastDrop = 0.05
	mostDrop  = 0.5
	// growth is by how much a window that is not overloaded raises
	// admission; each further one doubles it while next to nothing waits,
	// up to growth<<maxDoublings.
	growth       = 0.01
	maxDoublings = 6
	// resume is the share of the known capacity to which admission returns
	// at once.
	resume = 0.9
	// climb is by how many levels the cursor may rise, in the first quiet
	// window, beyond those of which anything came.
	climb = 64
	// fade is in which time the memory of what callers hold back falls to
	// 1/e.
	fade = 1500 * time.Millisecond
	// habit is how much of what was known of the work behind a request stays
	// with each window.
	habit = 0.9
	// forget is after which time without overload the capacity counts as
	// unknown.
	forget = 10 * time.Second
	// minLimit is the least number of requests that may be queued.
	minLimit = 2 * minQueue
	// mostTimes bounds by how much a high load lengthens retries.
	mostTimes = 16
	// minQueue is the least number of requests that make a long queue. Where
	// the processor is short for a moment, or requests take milliseconds, a
	// few wait for longer than the threshold even under a light load.
	minQueue = 128
)

// window is what happens between two looks at the counters.
type window struct {
	began time.Duration
	open  bool
	// started, other, waited and admitted are the counters at the beginning.
	started, other, waited, admitted int64
	// requests and pieces are what was started lately, without and with
	// other work: how much work a request is, by and by.
	requests, pieces float64
	// rates is how many requests of each level come per second: as seen up
	// to the cursor, as remembered above it.
	rates [levels]float64
	// cursor is the highest level admitted, seen the highest that came.
	cursor, seen int
	// capacity is how many pieces of work per second can be processed; 0:
	// not known. overloadedAt is when that was last seen. Usual is how many
	// were processed lately, without overload.
	capacity, usual float64
	overloadedAt    time.Duration
	// quiet counts windows without overload in a row.
	quiet int
}

// sums are a window's outcome.
type sums struct {
	length time.Duration
	// started is how many pieces of work, admitted how many requests per
	// second.
	started, admitted float64
	// mean is how long what was started had been queued; wait is how long
	// what is queued now will be; threshold is from where that is long.
	mean, wait, threshold time.Duration
}

// Tick ends the window if it has lasted long enough.
func (c *Controller) Tick(now time.Duration) {
	if c.cfg.Threshold == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &c.window
	if !w.open {
		w.open, w.began, w.cursor = true, now, levels-1
		return
	}
	length := now - w.began
	if length < c.cfg.Window || c.started.Load()-w.started < int64(c.cfg.MinStarts) && length < 4*c.cfg.Window {
		return
	}
	s := c.sum(length)
	w.began = now
	offered := c.count(length)
	w.judge(&s, now)
	c.publish(&s, offered)
}

// sum reads the counters and sets them for the next window.
func (c *Controller) sum(length time.Duration) sums {
	w := &c.window
	started, other, waited, admitted := c.started.Load(), c.other.Load(), c.waited.Load(), c.admitted.Load()
	requests := started - w.started
	pieces := requests + other - w.other
	s := sums{
		length:    length,
		started:   float64(pieces) / length.Seconds(),
		admitted:  float64(admitted-w.admitted) / length.Seconds(),
		threshold: c.cfg.Threshold,
	}
	queued := c.queued.Load()
	if pieces > 0 {
		s.wait = time.Duration(float64(queued) / max(s.started, w.capacity) * float64(time.Second))
		s.threshold = max(s.threshold, time.Duration(minQueue/s.started*float64(time.Second)))
	} else if queued > 0 {
		// Nothing moves.
		s.wait = length
	}
	s.mean = s.wait
	if requests > 0 {
		s.mean = time.Duration((waited - w.waited) / requests)
	}
	w.requests = w.requests*habit + float64(requests)
	w.pieces = w.pieces*habit + float64(pieces)
	w.started, w.other, w.waited, w.admitted = started, other, waited, admitted
	return s
}

// share is how many requests there are in a piece of work.
func (w *window) share() float64 {
	if w.requests == 0 {
		return 1
	}
	return w.requests / w.pieces
}

// count takes the arrivals of the window into the histogram, and returns the
// rate of them all.
func (c *Controller) count(length time.Duration) float64 {
	w := &c.window
	kept := math.Exp(-float64(length) / float64(fade))
	offered := 0.0
	w.seen = 0
	for i := range w.rates {
		rate := 0.0
		if n := c.arrivals[i].Load(); n > 0 {
			c.arrivals[i].Add(-n)
			w.seen = i
			rate = float64(n) / length.Seconds()
		}
		offered += rate
		if i > w.cursor {
			rate = max(rate, w.rates[i]*kept)
		}
		w.rates[i] = rate
	}
	return offered
}

// judge moves the cursor.
func (w *window) judge(s *sums, now time.Duration) {
	if s.mean <= s.threshold {
		w.relax(s, now)
		return
	}
	w.quiet = 0
	w.overloadedAt = now
	if s.wait <= s.threshold {
		// The queue has been worked off; what waited for long was
		// admitted before.
		w.atLeast(s.started)
		return
	}
	// One slow window may be a pause of the machine; several are not.
	if w.capacity == 0 {
		w.capacity = max(s.started, w.usual)
	}
	w.capacity += (s.started - w.capacity) / 4
	drop := leastDrop * float64(min(s.mean, s.wait)) / float64(s.threshold)
	target := w.capacity * w.share() * (1 - min(drop, mostDrop))
	w.cursor = min(w.cursor, w.reach(target))
}

// relax raises the cursor after a window without overload.
func (w *window) relax(s *sums, now time.Duration) {
	w.usual = max(s.started, w.usual*math.Exp(-float64(s.length)/float64(forget)))
	w.atLeast(s.started)
	if now-w.overloadedAt > forget {
		w.capacity = 0
	}
	if s.mean > s.threshold/4 {
		w.quiet = 0
	}
	doublings := min(w.quiet, maxDoublings)
	w.quiet++
	target := max(s.admitted*(1+growth*float64(int(1)<<doublings)), w.capacity*w.share()*resume)
	highest := min(max(w.cursor, w.seen)+climb<<doublings, levels-1)
	w.cursor = min(max(w.cursor+1, w.reach(target)), highest)
}

// atLeast raises a known capacity to what was processed.
func (w *window) atLeast(started float64) {
	if w.capacity > 0 {
		w.capacity = max(w.capacity, started)
	}
}

// reach is the highest level up to which no more than target requests per
// second come.
func (w *window) reach(target float64) int {
	sum := 0.0
	for i, r := range w.rates {
		if sum += r; sum > target && i >= userClasses {
			return i - 1
		}
	}
	return levels - 1
}

// publish shows the outcome to those who ask.
func (c *Controller) publish(s *sums, offered float64) {
	w := &c.window
	level := uint32(w.cursor)
	if w.cursor == levels-1 {
		level = uint32(im.AnyLevel)
	}
	c.level.Store(level)
	limit, times := int64(noLimit), 1.0
	if w.capacity > 0 {
		limit = max(minLimit, int64(w.capacity*c.cfg.MaxWait.Seconds()))
		times = min(mostTimes, max(1, offered/(w.capacity*w.share())))
	}
	c.limit.Store(limit)
	c.retry.Store(int64(times * float64(c.cfg.MaxWait)))
	c.stats.Windows++
	if s.mean > s.threshold {
		c.stats.Overloaded++
	}
	c.stats.MeanQueued = s.mean
	c.stats.Capacity, c.stats.Offered = w.capacity*w.share(), offered
}
