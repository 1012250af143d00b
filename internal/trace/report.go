package trace

import (
	"cmp"
	"slices"

	"github.com/skein-im/skein/internal/im"
)

// Trace is what is known of one trace.
type Trace struct {
	ID im.TraceID `json:"id"`
	// Longest is how long its longest step took, in nanoseconds, that of
	// clients not counted.
	Longest int64  `json:"longest_ns"`
	Spans   []Span `json:"spans"`
}

// Report is what a process, or several, know of traces.
type Report struct {
	Traces []Trace `json:"traces"`
}

// Of is a report on one trace, empty if nothing is known of it.
func (r *Recorder) Of(id im.TraceID) Report {
	spans := r.Spans(id)
	if len(spans) == 0 {
		return Report{}
	}
	t := Trace{ID: id, Spans: spans}
	t.tidy()
	return Report{[]Trace{t}}
}

// Merge puts reports together: what several know of one trace becomes one, with
// the spans in the order of time. At most limit traces remain, the slowest.
func Merge(limit int, reports ...Report) Report {
	byID := map[im.TraceID]*Trace{}
	for _, r := range reports {
		for _, t := range r.Traces {
			if byID[t.ID] == nil {
				byID[t.ID] = &Trace{ID: t.ID}
			}
			m := byID[t.ID]
			m.Spans = append(m.Spans, t.Spans...)
		}
	}
	all := make([]Trace, 0, len(byID))
	for _, t := range byID {
		t.tidy()
		all = append(all, *t)
	}
	sortSlow(all)
	return Report{all[:min(limit, len(all))]}
}

// tidy puts the spans in order, each once: two that were asked may both have
// asked a third.
func (t *Trace) tidy() {
	slices.SortFunc(t.Spans, func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Step, b.Step), cmp.Compare(a.End, b.End), cmp.Compare(a.ID, b.ID))
	})
	t.Spans = slices.CompactFunc(t.Spans, func(a, b Span) bool { return a.ID == b.ID && a.Step == b.Step })
	t.Longest = 0
	for _, s := range t.Spans {
		if !waits(s.Step) {
			t.Longest = max(t.Longest, s.End-s.Start)
		}
	}
}

// sortSlow puts the slowest first.
func sortSlow(all []Trace) {
	slices.SortFunc(all, func(a, b Trace) int {
		return cmp.Or(cmp.Compare(b.Longest, a.Longest), cmp.Compare(a.ID, b.ID))
	})
}
