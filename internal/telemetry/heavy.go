package telemetry

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// heavyKeys is how many keys a sketch tells apart: one that makes more
	// than 1/heavyKeys of all is always among them.
	heavyKeys = 128
	// heavySample: one in so many is looked at, and counts for as many.
	heavySample = 32
	// heavyTurn is for how long a sketch counts; what is told is of the last
	// one to two turns.
	heavyTurn = time.Minute
)

// Heavy finds out who makes the most of something, in bounded memory and
// without looking at most of it: a sample goes through the space-saving sketch
// of Metwally, Agrawal and El Abbadi.
type Heavy struct {
	mu        sync.Mutex
	now, last sketch
	pick      func() bool
}

// Hitter is a key and how often it was seen: Count or up to Error less, but for
// the chance of the sample.
type Hitter struct {
	Key   uint64 `json:"key"`
	Count uint64 `json:"count"`
	Error uint64 `json:"error"`
}

// Hitters are the keys seen most in the last Seconds, of Total in all.
type Hitters struct {
	Seconds float64  `json:"seconds"`
	Total   uint64   `json:"total"`
	Top     []Hitter `json:"top"`
}

// NewHeavy makes an empty one.
func NewHeavy() *Heavy {
	return &Heavy{pick: func() bool { return rand.Uint32()%heavySample == 0 }}
}

// Saw counts a key.
func (h *Heavy) Saw(key uint64, now time.Time) {
	if !h.pick() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.turn(now)
	h.now.add(key, heavySample)
	h.now.total += heavySample
}

// turn begins a new sketch when the last one has counted for long enough.
func (h *Heavy) turn(now time.Time) {
	switch passed := now.Sub(h.now.began); {
	case passed >= 2*heavyTurn:
		h.last, h.now = sketch{began: now}, sketch{began: now}
	case passed >= heavyTurn:
		h.last, h.now = h.now, sketch{began: now}
	}
}

// Top are the keys seen most lately, at most n.
func (h *Heavy) Top(n int, now time.Time) Hitters {
	h.mu.Lock()
	h.turn(now)
	began := h.last.began
	if began.IsZero() {
		began = h.now.began
	}
	all := Hitters{Seconds: now.Sub(began).Seconds(), Total: h.now.total + h.last.total}
	parts := []Hitters{{Top: slices.Clone(h.now.hitters)}, {Top: slices.Clone(h.last.hitters)}}
	h.mu.Unlock()
	all.Top = MergeHitters(n, parts...).Top
	return all
}

// MergeHitters puts together what several processes have seen.
func MergeHitters(n int, parts ...Hitters) Hitters {
	var all Hitters
	at := map[uint64]int{}
	for _, p := range parts {
		all.Seconds = max(all.Seconds, p.Seconds)
		all.Total += p.Total
		for _, x := range p.Top {
			i, known := at[x.Key]
			if !known {
				i = len(all.Top)
				at[x.Key] = i
				all.Top = append(all.Top, Hitter{Key: x.Key})
			}
			all.Top[i].Count += x.Count
			all.Top[i].Error += x.Error
		}
	}
	slices.SortFunc(all.Top, func(a, b Hitter) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Key, b.Key)) })
	all.Top = all.Top[:min(n, len(all.Top))]
	return all
}

// sketch is one turn's.
type sketch struct {
	began   time.Time
	total   uint64
	hitters []Hitter
	at      map[uint64]int
}

// add counts a key. A new one takes the place of the one seen least, and may
// have been seen as often as that before.
func (s *sketch) add(key, count uint64) {
	if s.at == nil {
		s.at = make(map[uint64]int, heavyKeys)
	}
	if i, ok := s.at[key]; ok {
		s.hitters[i].Count += count
		return
	}
	if len(s.hitters) < heavyKeys {
		s.at[key] = len(s.hitters)
		s.hitters = append(s.hitters, Hitter{Key: key, Count: count})
		return
	}
	least := 0
	for i := range s.hitters {
		if s.hitters[i].Count < s.hitters[least].Count {
			least = i
		}
	}
	old := s.hitters[least]
	delete(s.at, old.Key)
	s.at[key] = least
	s.hitters[least] = Hitter{key, old.Count + count, old.Count}
}
