package trace

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/im"
)

const (
	// DefaultSpans is how many spans a Recorder keeps of each kind.
	DefaultSpans = 16384
	// MaxFound is how many spans of one trace it tells: clients may give one id
	// to any number of messages.
	MaxFound = 1024
)

// Options are what a Recorder needs.
type Options struct {
	// Node names the process in its spans.
	Node string
	// Spans is how many spans of drawn traces are kept, and how many of forced
	// ones; 0 means DefaultSpans.
	Spans int
	// Clock is the machine's; nil means time.Now.
	Clock func() time.Time
	// Export is handed every span. It must not block; nil: there is none.
	Export func(Span)
}

// Recorder keeps the last spans of a process. A nil Recorder records nothing.
type Recorder struct {
	opts   Options
	anchor atomic.Pointer[anchor]
	last   atomic.Uint64

	mu sync.Mutex
	// drawn and forced are rings; those that were asked for are not pushed out
	// by those that were not.
	drawn, forced ring
	slow          slowTraces
}

// anchor ties the machine's clock to the time that only goes on.
type anchor struct {
	at   time.Time
	wall int64
}

// anchorFor is after how long the machine's clock is looked at again.
const anchorFor = time.Minute

// New makes a Recorder.
func New(opts Options) *Recorder {
	opts.Spans = cmp.Or(opts.Spans, DefaultSpans)
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	r := &Recorder{opts: opts, drawn: ring{size: opts.Spans}, forced: ring{size: opts.Spans}}
	r.slow.keep = make(map[im.TraceID]*slowTrace, MaxSlow)
	r.tie(opts.Clock())
	// Identifiers of two processes meet in one trace.
	r.last.Store(mix(uint64(r.anchor.Load().wall)) ^ hash(opts.Node))
	return r
}

func (r *Recorder) tie(t time.Time) *anchor {
	a := &anchor{at: t, wall: t.UnixNano()}
	r.anchor.Store(a)
	return a
}

// Now is the time of spans: nanoseconds since 1970.
func (r *Recorder) Now() int64 {
	if r == nil {
		return 0
	}
	t := r.opts.Clock()
	a := r.anchor.Load()
	since := t.Sub(a.at)
	if since > anchorFor {
		return r.tie(t).wall
	}
	return a.wall + int64(since)
}

// Record keeps a span of a trace; End 0 means now. One without trace or step is
// not kept.
func (r *Recorder) Record(s Span) {
	if r == nil || s.Trace == 0 || s.Step == 0 {
		return
	}
	if s.End == 0 {
		s.End = r.Now()
	}
	// Clocks of two machines may make it begin in the future, or at a time
	// that nobody has told.
	if s.Start == 0 || s.Start > s.End {
		s.Start = s.End
	}
	s.Node, s.ID = r.opts.Node, RootID(s.Trace)
	if s.Step != Send {
		s.ID = mix(r.last.Add(1))
	}
	r.mu.Lock()
	if s.Trace.IsForced() {
		r.forced.add(s)
	} else {
		r.drawn.add(s)
	}
	r.slow.add(r, s)
	r.mu.Unlock()
	if r.opts.Export != nil {
		r.opts.Export(s)
	}
}

// Spans are those that are known of a trace, in the order they were recorded.
func (r *Recorder) Spans(id im.TraceID) []Span {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.slow.keep[id]; t != nil {
		return append([]Span(nil), t.spans...)
	}
	return r.find(id, MaxFound)
}

// find is Spans without the slow traces. The caller has the mutex.
func (r *Recorder) find(id im.TraceID, limit int) []Span {
	if id.IsForced() {
		return r.forced.of(id, limit)
	}
	return r.drawn.of(id, limit)
}

// Stats are a Recorder's counters and gauges.
type Stats struct {
	// Recorded counts spans; Kept is how many there are now, and Size how many
	// there can be.
	Recorded   uint64
	Kept, Size int
}

// Stats tells how much was recorded.
func (r *Recorder) Stats() Stats {
	if r == nil {
		return Stats{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{
		Recorded: r.drawn.total + r.forced.total,
		Kept:     r.drawn.kept() + r.forced.kept(), Size: r.drawn.size + r.forced.size,
	}
}

// RootID is the identifier of a trace's root. All other spans are its children,
// and every process knows it without being told.
func RootID(id im.TraceID) uint64 { return mix(uint64(id)) }

// mix is the finalizer of SplitMix64, and never 0.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	return max(x, 1)
}

// hash is FNV-1a.
func hash(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h
}
