package series

import (
	"math"
	"slices"
	"strings"
	"sync"
)

// Silent is after how many seconds without a number a series makes room for a
// new one when the store is full.
const Silent = 600

// Store is a set of series. Its methods may be called from everywhere.
type Store struct {
	most int

	mu     sync.Mutex
	series map[string]*one
	stats  Stats
	// newest is the last second of all.
	newest int64
	// forgotten is when series without values were last looked for.
	forgotten int64
}

// one is one series.
type one struct {
	merge  Merge
	last   int64
	value  float64
	levels [len(Tiers)]level
}

// Stats are counters of a store.
type Stats struct {
	// Series is how many there are, of Bound.
	Series int `json:"series"`
	Bound  int `json:"bound"`
	// Refused counts numbers of series that had no room, Late those for a
	// time that was over, Malformed those that are no numbers.
	Refused   uint64 `json:"refused"`
	Late      uint64 `json:"late"`
	Malformed uint64 `json:"malformed"`
	// Evicted counts series that made room for others.
	Evicted uint64 `json:"evicted"`
}

// New makes a store for so many series.
func New(most int) *Store {
	return &Store{most: max(1, most), series: map[string]*one{}}
}

// Largest is the largest number that is believed.
const Largest = 1e18

// Add takes a number for a second of Unix time. The first one of a series
// decides how it is merged.
func (s *Store) Add(at int64, name string, merge Merge, v float64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if math.IsNaN(v) || math.Abs(v) > Largest || at < 0 {
		s.stats.Malformed++
		return false
	}
	if at >= s.forgotten+Tiers[len(Tiers)-1].Step {
		s.forget(at)
	}
	o := s.series[name]
	if o == nil {
		if o = s.open(at, name, merge); o == nil {
			s.stats.Refused++
			return false
		}
	}
	if at < o.last {
		s.stats.Late++
		return false
	}
	o.last, o.value, s.newest = at, v, max(s.newest, at)
	for i, t := range Tiers {
		o.levels[i].add(t, o.merge, at, v)
	}
	return true
}

// open makes a series, if there is room.
func (s *Store) open(at int64, name string, merge Merge) *one {
	if len(s.series) >= s.most && !s.evict(at) {
		return nil
	}
	o := &one{merge: merge, last: at}
	for i, t := range Tiers {
		o.levels[i] = level{chunks: make([]*chunk, t.Points/chunkPoints), slot: at / t.Step}
	}
	s.series[strings.Clone(name)] = o
	return o
}

// evict forgets the series that has been silent for longest, if any has.
func (s *Store) evict(at int64) bool {
	victim, oldest := "", at-Silent
	for name, o := range s.series {
		if o.last < oldest {
			victim, oldest = name, o.last
		}
	}
	if victim == "" {
		return false
	}
	delete(s.series, victim)
	s.stats.Evicted++
	return true
}

// forget drops what has no value in any tier.
func (s *Store) forget(at int64) {
	s.forgotten = at
	for name, o := range s.series {
		if o.last <= at-Tiers[len(Tiers)-1].Span() {
			delete(s.series, name)
		}
	}
}

// Stats reads the counters.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Series, st.Bound = len(s.series), s.most
	return st
}

// Names are those of all series, sorted.
func (s *Store) Names() []string {
	s.mu.Lock()
	names := make([]string, 0, len(s.series))
	for name := range s.series {
		names = append(names, name)
	}
	s.mu.Unlock()
	slices.Sort(names)
	return names
}

// Last is the newest number of a series, and its second; false: there is none.
func (s *Store) Last(name string) (v float64, at int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.series[name]
	if o == nil {
		return 0, 0, false
	}
	return o.value, o.last, true
}

// Window merges what a series has for the seconds (from, to]; false: nothing.
func (s *Store) Window(name string, from, to int64) (v float64, ok bool) {
	r := s.Range(name, from+1, to, math.MaxInt)
	n := 0
	for _, p := range r.Values {
		if !math.IsNaN(float64(p)) {
			v = r.Merge.of(v, n, float64(p))
			n++
		}
	}
	return v, n > 0
}

// Range is part of a series: a value for each step, NaN where there is none.
type Range struct {
	// Start is the first second of the first step, Step its length in
	// seconds.
	Start, Step int64
	Values      []float32
	Merge       Merge
}

// Range reads the seconds from through to, in the finest tier that reaches back
// to from, in steps so long that there are at most most of them. An unknown
// series has no values.
func (s *Store) Range(name string, from, to int64, most int) Range {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.series[name]
	if o == nil || from > to || most < 1 {
		return Range{Start: from, Step: 1}
	}
	i := tierFor(s.newest - from)
	t, l := Tiers[i], &o.levels[i]
	from = max(from, s.newest-t.Span())
	first, last := from/t.Step, to/t.Step
	// What is beyond the newest value is nothing, and is not spelt out
	// beyond one tier's worth.
	last = min(last, first+t.Points)
	if last < first {
		return Range{Start: from, Step: 1} // over before the oldest tier begins
	}
	times := (last-first)/int64(most) + 1
	first -= first % times
	r := Range{Start: first * t.Step, Step: t.Step * times, Merge: o.merge}
	// Counted, because a slot behind the last one may be beyond the largest number.
	for i := int64(0); i <= (last-first)/times; i++ {
		r.Values = append(r.Values, l.mergeSteps(t, o.merge, first+i*times, times))
	}
	return r
}

// tierFor is the finest tier that reaches back so many seconds.
func tierFor(age int64) int {
	for i, t := range Tiers {
		if age < t.Span() {
			return i
		}
	}
	return len(Tiers) - 1
}

// mergeSteps makes one value of several steps.
func (l *level) mergeSteps(t Tier, merge Merge, slot, times int64) float32 {
	acc, n := 0.0, 0
	for s := slot; s < slot+times; s++ {
		if v := l.at(t, s); v == v {
			acc = merge.of(acc, n, float64(v))
			n++
		}
	}
	if n == 0 {
		return nothing
	}
	return float32(acc)
}
