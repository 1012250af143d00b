package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencies is a histogram that many goroutines record into.
type latencies struct{ shards [latencyShards]latencyShard }

const latencyShards = 8

type latencyShard struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram
	_  [48]byte
}

// maxLatency is where recorded values end, in microseconds.
const maxLatency = int64(time.Hour / time.Microsecond)

func newLatencies() *latencies {
	l := new(latencies)
	for i := range l.shards {
		l.shards[i].h = hdrhistogram.New(1, maxLatency, 3)
	}
	return l
}

// record takes a latency in nanoseconds; who spreads the recorders.
func (l *latencies) record(who int, ns int64) {
	s := &l.shards[who%latencyShards]
	v := min(max(ns/1000, 1), maxLatency)
	s.mu.Lock()
	_ = s.h.RecordValue(v) // It is within the range.
	s.mu.Unlock()
}

// Percentiles are of latencies, in milliseconds.
type Percentiles struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func (l *latencies) percentiles() Percentiles {
	sum := hdrhistogram.New(1, maxLatency, 3)
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		sum.Merge(s.h)
		s.mu.Unlock()
	}
	return percentilesOf(sum)
}

// percentilesOf reads a histogram of microseconds.
func percentilesOf(h *hdrhistogram.Histogram) Percentiles {
	ms := func(us int64) float64 { return float64(us) / 1000 }
	return Percentiles{
		P50: ms(h.ValueAtQuantile(50)), P99: ms(h.ValueAtQuantile(99)),
		P999: ms(h.ValueAtQuantile(99.9)), Max: ms(h.Max()),
	}
}
