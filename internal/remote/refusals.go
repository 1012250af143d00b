package remote

import (
	"sync"
	"time"
)

const (
	// refusalEvery is how often refusals of one address are logged.
	refusalEvery = time.Minute
	// maxRefusals is how many addresses are remembered for it; those of
	// others are counted only.
	maxRefusals = 1024
)

// refusals remembers when a refusal of an address was last logged.
type refusals struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// due reports whether a refusal is to be logged, and notes that it was.
func (r *refusals) due(from string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.last[from]) < refusalEvery {
		return false
	}
	if len(r.last) >= maxRefusals {
		for k, at := range r.last {
			if now.Sub(at) >= refusalEvery {
				delete(r.last, k)
			}
		}
	}
	if len(r.last) >= maxRefusals {
		return false
	}
	if r.last == nil {
		r.last = map[string]time.Time{}
	}
	r.last[from] = now
	return true
}
