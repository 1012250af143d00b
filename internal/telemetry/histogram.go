package telemetry

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"
)

// Buckets is how many bounds a histogram has; one more bucket is beyond them.
const Buckets = 14

// durations are the bounds of times: fine where a local disk and a local
// network are, coarse where only the order of magnitude matters.
var durations = [Buckets]time.Duration{
	250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 10 * time.Second,
}

// DurationBounds are the upper bounds of a histogram of times, in seconds.
func DurationBounds() [Buckets]float64 {
	var b [Buckets]float64
	for i, d := range durations {
		b[i] = d.Seconds()
	}
	return b
}

// SizeBounds are the upper bounds of a histogram of sizes: powers of two.
func SizeBounds() [Buckets]float64 {
	var b [Buckets]float64
	for i := range b {
		b[i] = float64(uint64(1) << i)
	}
	return b
}

// Counts are a histogram's numbers at one time.
type Counts struct {
	// N counts what was observed by bucket, not cumulated.
	N [Buckets + 1]uint64 `json:"n"`
	// Sum is of what was observed: nanoseconds, or sizes.
	Sum uint64 `json:"sum"`
}

// Observe counts a time. It is for one goroutine; Histogram is for several.
func (c *Counts) Observe(d time.Duration) {
	d = max(d, 0)
	c.N[durationBucket(d)]++
	c.Sum += uint64(d)
}

// ObserveSize counts a size.
func (c *Counts) ObserveSize(n int) {
	c.N[sizeBucket(n)]++
	c.Sum += uint64(max(n, 0))
}

// Add adds another histogram's numbers.
func (c *Counts) Add(o *Counts) {
	for i, n := range o.N {
		c.N[i] += n
	}
	c.Sum += o.Sum
}

// Total is how many were observed.
func (c *Counts) Total() uint64 {
	n := uint64(0)
	for _, v := range c.N {
		n += v
	}
	return n
}

// Histogram counts times or sizes, never both. The zero value is empty. It may
// be written by many at a time, but then they share its cache lines: give each
// goroutine that writes often its own, or take a Striped.
type Histogram struct {
	n   [Buckets + 1]atomic.Uint64
	sum atomic.Uint64
}

// Observe counts a time. A negative one, from a clock that went back, is none.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	h.n[durationBucket(d)].Add(1)
	h.sum.Add(uint64(d))
}

// ObserveSize counts a size.
func (h *Histogram) ObserveSize(n int) {
	h.n[sizeBucket(n)].Add(1)
	h.sum.Add(uint64(max(n, 0)))
}

// Counts are the numbers now. While others write, the sum may be of a moment
// later.
func (h *Histogram) Counts() Counts {
	var c Counts
	for i := range h.n {
		c.N[i] = h.n[i].Load()
	}
	c.Sum = h.sum.Load()
	return c
}

// firstBound is, by the length of a time in bits, the first bound that one of
// this length may be within: so that there are at most two comparisons.
var firstBound = func() (first [65]uint8) {
	for n := range first {
		least := uint64(0)
		if n > 0 {
			least = 1 << (n - 1)
		}
		for int(first[n]) < Buckets && uint64(durations[first[n]]) < least {
			first[n]++
		}
	}
	return first
}()

func durationBucket(d time.Duration) int {
	i := int(firstBound[bits.Len64(uint64(d))])
	for i < Buckets && d > durations[i] {
		i++
	}
	return i
}

func sizeBucket(n int) int {
	if n <= 1 {
		return 0
	}
	return min(bits.Len64(uint64(n-1)), Buckets)
}

// Striped is a histogram for many goroutines: each writes to the stripe of a
// key, so that two rarely meet.
type Striped struct {
	stripes []stripe
}

type stripe struct {
	Histogram
	_ [64]byte
}

// NewStriped makes a Striped for as many goroutines as run at a time.
func NewStriped() *Striped {
	return &Striped{make([]stripe, 1<<bits.Len(uint(runtime.GOMAXPROCS(0)-1)))}
}

// Observe counts a time under a key.
func (s *Striped) Observe(key uint64, d time.Duration) {
	s.stripes[key&uint64(len(s.stripes)-1)].Observe(d)
}

// Counts are the numbers of all stripes now.
func (s *Striped) Counts() Counts {
	var c Counts
	for i := range s.stripes {
		one := s.stripes[i].Counts()
		c.Add(&one)
	}
	return c
}
