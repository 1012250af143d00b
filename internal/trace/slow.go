package trace

import (
	"slices"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// Bounds on what is kept of slow traces.
const (
	MaxSlow       = 32
	MaxTraceSpans = 128
	slowFor       = 10 * time.Minute
)

// slowTraces keeps the traces in which one step took longest, of the last ten
// minutes, beyond the time that rings keep them.
type slowTraces struct {
	keep map[im.TraceID]*slowTrace
	// bar is what a span must exceed to bring its trace in, while keep is
	// full; until is when one of those in keep becomes too old.
	bar   int64
	until int64
}

type slowTrace struct {
	spans []Span
	// longest is the length of the longest step.
	longest int64
	at      int64
}

// waits says which steps are long without anything being slow: a device may be
// switched off before it acknowledges.
func waits(s Step) bool { return s == ClientAck }

// add takes a span that was recorded. The caller has the recorder's mutex.
func (t *slowTraces) add(r *Recorder, s Span) {
	long := s.End - s.Start
	if kept := t.keep[s.Trace]; kept != nil {
		if len(kept.spans) < MaxTraceSpans {
			kept.spans = append(kept.spans, s)
		}
		if !waits(s.Step) && long > kept.longest {
			kept.longest = long
			t.measure()
		}
		return
	}
	if waits(s.Step) {
		return
	}
	if len(t.keep) >= MaxSlow {
		if s.End >= t.until {
			t.expire(s.End)
		} else if long <= t.bar {
			return
		}
	}
	if len(t.keep) >= MaxSlow {
		t.dropFastest()
	}
	t.keep[s.Trace] = &slowTrace{spans: r.find(s.Trace, MaxTraceSpans), longest: long, at: s.End}
	t.measure()
}

func (t *slowTraces) expire(now int64) {
	for id, kept := range t.keep {
		if kept.at+int64(slowFor) <= now {
			delete(t.keep, id)
		}
	}
}

func (t *slowTraces) dropFastest() {
	var least im.TraceID
	for id, kept := range t.keep {
		if least == 0 || kept.longest < t.keep[least].longest {
			least = id
		}
	}
	delete(t.keep, least)
}

// measure finds bar and until anew.
func (t *slowTraces) measure() {
	t.bar, t.until = 1<<62, 1<<62
	for _, kept := range t.keep {
		t.bar = min(t.bar, kept.longest)
		t.until = min(t.until, kept.at+int64(slowFor))
	}
}

// Slow are the traces in which one step took longest of late, the longest
// first; at most limit.
func (r *Recorder) Slow(limit int) []Trace {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slow.expire(r.Now())
	all := make([]Trace, 0, len(r.slow.keep))
	for id, kept := range r.slow.keep {
		all = append(all, Trace{ID: id, Longest: kept.longest, Spans: slices.Clone(kept.spans)})
	}
	sortSlow(all)
	return all[:min(limit, len(all))]
}
