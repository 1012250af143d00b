package monitor

import (
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
)

const (
	// maxValues bounds the values of a target, maxName the name of one with
	// its labels.
	maxValues = 4096
	maxName   = 256
	// maxBuckets bounds the buckets of a histogram.
	maxBuckets = 64
	// staleAfter is for how long the last numbers of a target that does not
	// answer count, in pauses between two pulls.
	staleAfter = 3
)

// node is what a Monitor knows of one target.
type node struct {
	mu     sync.Mutex
	target Target
	values map[string]*value
	pull   uint64
	// picked are the values that each of perNode is made of; nil: they have
	// to be found.
	picked [][]*value
	// roles are those that it has metrics of, found with picked.
	roles []string
	// answered is when it was last of use, 0: never; failures is how many
	// pulls have failed since.
	answered time.Time
	failures int
	err      error
	took     time.Duration
	// skipped is how many values of the last answer were not taken.
	skipped int
	// busy and dueAt belong to the pulling loop.
	busy  bool
	dueAt time.Time
}

// value is one series of a target.
type value struct {
	counts bool
	raw    float64
	// now is the number itself, or its rate; known: there is one.
	now   float64
	known bool
	hist  []bucket
	pull  uint64
	into  *aggregate
}

// bucket is how many observations a second were at most bound.
type bucket struct{ bound, raw, rate float64 }

// take notes the numbers of an answer.
func (n *node) take(families []*dto.MetricFamily, at time.Time, took time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := taking{node: n}
	if !n.answered.IsZero() {
		t.since = at.Sub(n.answered).Seconds()
	}
	n.pull++
	n.skipped = 0
	for _, f := range families {
		if !wanted(f.GetName()) {
			continue
		}
		for _, m := range f.GetMetric() {
			t.metric(f, m)
		}
	}
	for name, v := range n.values {
		if v.pull != n.pull {
			delete(n.values, name)
			n.picked = nil
		}
	}
	n.answered, n.failures, n.err, n.took = at, 0, nil, took
}

// failed notes a pull that came to nothing.
func (n *node) failed(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failures++
	n.err = err
}

// fresh reports whether the numbers of a node still count.
func (n *node) fresh(at time.Time, pause time.Duration) bool {
	return !n.answered.IsZero() && at.Sub(n.answered) <= staleAfter*pause
}

// taking is one answer being taken.
type taking struct {
	node  *node
	since float64
	buf   []byte
}

func (t *taking) metric(f *dto.MetricFamily, m *dto.Metric) {
	switch f.GetType() {
	case dto.MetricType_COUNTER:
		t.count(f.GetName(), m.GetLabel(), m.GetCounter().GetValue())
	case dto.MetricType_GAUGE:
		t.gauge(f.GetName(), m.GetLabel(), m.GetGauge().GetValue())
	case dto.MetricType_UNTYPED:
		t.gauge(f.GetName(), m.GetLabel(), m.GetUntyped().GetValue())
	case dto.MetricType_HISTOGRAM:
		t.histogram(f.GetName(), m)
	case dto.MetricType_SUMMARY:
		t.count(f.GetName()+"_count", m.GetLabel(), float64(m.GetSummary().GetSampleCount()))
	}
}

// value finds or makes the series; nil: it is not taken.
func (t *taking) value(name string, labels []*dto.LabelPair, believed bool) *value {
	n := t.node
	t.buf = appendName(t.buf[:0], name, labels)
	v := n.values[string(t.buf)]
	if !believed || len(t.buf) > maxName || v == nil && len(n.values) >= maxValues || v != nil && v.pull == n.pull {
		n.skipped++
		return nil
	}
	if v == nil {
		v = &value{}
		n.values[string(t.buf)] = v
		n.picked = nil
	}
	v.pull = n.pull
	return v
}

func believed(v float64) bool { return !math.IsNaN(v) && math.Abs(v) <= 1e18 }

func (t *taking) gauge(name string, labels []*dto.LabelPair, g float64) {
	if v := t.value(name, labels, believed(g)); v != nil {
		v.now, v.known = g, true
	}
}

func (t *taking) count(name string, labels []*dto.LabelPair, c float64) {
	v := t.value(name, labels, believed(c) && c >= 0)
	if v == nil {
		return
	}
	// A series that was not there at the last pull began at an unknown time.
	v.now, v.known = t.rate(v.raw, c), v.counts && t.since > 0
	v.raw, v.counts = c, true
}

// rate is per second; a counter that went back has begun anew.
func (t *taking) rate(before, now float64) float64 {
	if t.since <= 0 {
		return 0
	}
	if now < before {
		before = 0
	}
	return (now - before) / t.since
}

func (t *taking) histogram(name string, m *dto.Metric) {
	h := m.GetHistogram()
	sum, count := h.GetSampleSum(), float64(h.GetSampleCount())
	good := believed(sum) && believed(count) && len(h.GetBucket()) <= maxBuckets
	t.count(name+"_count", m.GetLabel(), count)
	t.count(name+"_sum", m.GetLabel(), sum)
	v := t.value(name, m.GetLabel(), good)
	if v == nil {
		return
	}
	next := make([]bucket, 0, len(h.GetBucket())+1)
	for _, b := range h.GetBucket() {
		next = append(next, bucket{bound: b.GetUpperBound(), raw: float64(b.GetCumulativeCount())})
	}
	if n := len(next); n == 0 || !math.IsInf(next[n-1].bound, 1) {
		next = append(next, bucket{bound: math.Inf(1), raw: count})
	}
	v.known = t.since > 0 && sameBounds(v.hist, next)
	if v.known {
		for i := range next {
			next[i].rate = t.rate(v.hist[i].raw, next[i].raw)
		}
	}
	v.hist = next
}

func sameBounds(a, b []bucket) bool {
	return slices.EqualFunc(a, b, func(a, b bucket) bool { return a.bound == b.bound })
}

// appendName writes a series' name with its labels as Prometheus does.
func appendName(buf []byte, name string, labels []*dto.LabelPair) []byte {
	buf = append(buf, name...)
	if len(labels) == 0 {
		return buf
	}
	slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	for i, l := range labels {
		sep := byte(',')
		if i == 0 {
			sep = '{'
		}
		buf = append(append(buf, sep), l.GetName()...)
		buf = append(append(append(buf, `="`...), plain(l.GetValue())...), '"')
	}
	return append(buf, '}')
}

// plain is a label's value without what names of series cannot have.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == '"' || r == '\\' || r == '@' || r == 0x7f {
			return '_'
		}
		return r
	}, s)
}
