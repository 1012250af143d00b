package trace

import "github.com/skein-im/skein/internal/im"

// ring keeps the last spans of a kind.
type ring struct {
	size  int
	spans []Span
	next  int
	total uint64
}

func (r *ring) add(s Span) {
	r.total++
	if len(r.spans) < r.size {
		if r.spans == nil {
			r.spans = make([]Span, 0, r.size)
		}
		r.spans = append(r.spans, s)
		return
	}
	r.spans[r.next] = s
	r.next = (r.next + 1) % r.size
}

// of finds the spans of a trace, the oldest first.
func (r *ring) of(id im.TraceID) []Span {
	var found []Span
	for i := range r.spans {
		if s := &r.spans[(r.next+i)%len(r.spans)]; s.Trace == id {
			found = append(found, *s)
		}
	}
	return found
}
