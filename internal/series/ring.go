package series

import "math"

// Merge says how several numbers become one.
type Merge uint8

// Ways to merge. Sum is a mean over time: it is for what adds up across nodes,
// and a rate of two seconds is not twice that of one.
const (
	Sum Merge = iota
	Max
	Min
)

// of merges the n+1st number into what n have made.
func (m Merge) of(acc float64, n int, v float64) float64 {
	switch {
	case n == 0:
		return v
	case m == Max:
		return math.Max(acc, v)
	case m == Min:
		return math.Min(acc, v)
	default:
		return acc + (v-acc)/float64(n+1)
	}
}

// Across merges a number of one more node.
func (m Merge) Across(acc float64, n int, v float64) float64 {
	if m == Sum && n > 0 {
		return acc + v
	}
	return m.of(acc, n, v)
}

// Tier is a resolution, and how many points are kept of it.
type Tier struct {
	// Step is in seconds.
	Step   int64
	Points int64
}

// Tiers are those of every series, from fine to coarse.
var Tiers = [...]Tier{{1, 300}, {10, 360}, {60, 1440}}

// Span is how many seconds a tier reaches back.
func (t Tier) Span() int64 { return t.Step * t.Points }

const (
	chunkPoints = 60
	chunks      = (300 + 360 + 1440) / chunkPoints
	// BytesPerSeries is what a series takes after a day: its points, the
	// pointers to their chunks, and 300 bytes for the rest and its name.
	BytesPerSeries = chunks*chunkPoints*4 + chunks*8 + 300
)

type chunk [chunkPoints]float32

// level is a series at the resolution of one tier.
type level struct {
	chunks []*chunk
	// slot is the step under way, in steps since 1970; acc is what n
	// numbers of it have made.
	slot int64
	acc  float64
	n    int
}

// nothing is the value of a step for which nothing came.
var nothing = float32(math.NaN())

func (l *level) add(t Tier, merge Merge, at int64, v float64) {
	slot := at / t.Step
	if slot != l.slot {
		l.advance(t, slot)
	}
	l.acc = merge.of(l.acc, l.n, v)
	l.n++
	*l.point(t, slot) = float32(l.acc)
}

// advance empties the steps between the last one and the next.
func (l *level) advance(t Tier, slot int64) {
	if slot-l.slot >= t.Points {
		clear(l.chunks)
	} else {
		for s := l.slot + 1; s <= slot; s++ {
			if l.chunks[s%t.Points/chunkPoints] != nil {
				*l.point(t, s) = nothing
			}
		}
	}
	l.slot, l.acc, l.n = slot, 0, 0
}

// point is where the value of a step is kept.
func (l *level) point(t Tier, slot int64) *float32 {
	i := slot % t.Points
	c := l.chunks[i/chunkPoints]
	if c == nil {
		c = new(chunk)
		for j := range c {
			c[j] = nothing
		}
		l.chunks[i/chunkPoints] = c
	}
	return &c[i%chunkPoints]
}

// at is the value of a step.
func (l *level) at(t Tier, slot int64) float32 {
	if slot > l.slot || slot <= l.slot-t.Points {
		return nothing
	}
	i := slot % t.Points
	if c := l.chunks[i/chunkPoints]; c != nil {
		return c[i%chunkPoints]
	}
	return nothing
}
