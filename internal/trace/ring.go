package trace

import "github.com/skein-im/skein/internal/im"

// ring keeps the last spans of a kind. Spans are numbered from 1, and those of
// traces whose ids fall into the same bucket are chained, from the last one back,
// so that finding a trace does not look at all of them.
type ring struct {
	size  int
	total uint64
	spans []Span
	// before is the number of the span before this one in its chain, by place.
	before []uint64
	last   [buckets]uint64
}

// buckets is about how many traces are in a full ring of the usual size.
const buckets = 1024

func bucket(id im.TraceID) uint64 { return mix(uint64(id)) % buckets }

func (r *ring) add(s Span) {
	if r.spans == nil {
		r.spans, r.before = make([]Span, r.size), make([]uint64, r.size)
	}
	at, chain := r.total%uint64(r.size), &r.last[bucket(s.Trace)]
	r.total++
	r.spans[at], r.before[at] = s, *chain
	*chain = r.total
}

// kept is how many spans there are.
func (r *ring) kept() int { return int(min(r.total, uint64(r.size))) }

// of finds the last spans of a trace, the oldest first, and at most limit.
func (r *ring) of(id im.TraceID, limit int) []Span {
	var found []Span
	for n := r.last[bucket(id)]; n > 0 && n+uint64(r.size) > r.total && len(found) < limit; {
		at := (n - 1) % uint64(r.size)
		if r.spans[at].Trace == id {
			found = append(found, r.spans[at])
		}
		n = r.before[at]
	}
	for i, j := 0, len(found)-1; i < j; i, j = i+1, j-1 {
		found[i], found[j] = found[j], found[i]
	}
	return found
}
