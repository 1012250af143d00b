package telemetry

import (
	"math/rand/v2"
	"sort"
	"sync"
	"testing"
	"time"
)

// The bucket of a time is the first whose bound it does not exceed.
func TestDurationBucket(t *testing.T) {
	check := func(d time.Duration) {
		t.Helper()
		want := sort.Search(Buckets, func(i int) bool { return d <= durations[i] })
		if got := durationBucket(d); got != want {
			t.Fatalf("%v is in bucket %d, not %d", d, got, want)
		}
	}
	for _, b := range durations {
		check(b - 1)
		check(b)
		check(b + 1)
	}
	check(0)
	check(1<<63 - 1)
	for range 100_000 {
		check(time.Duration(rand.Uint64() >> (1 + rand.IntN(63))))
	}
}

func TestSizeBucket(t *testing.T) {
	bounds := SizeBounds()
	for n := range 20_000 {
		want := sort.Search(Buckets, func(i int) bool { return float64(n) <= bounds[i] })
		if got := sizeBucket(n); got != want {
			t.Fatalf("%d is in bucket %d, not %d", n, got, want)
		}
	}
}

func TestHistogram(t *testing.T) {
	s := NewStriped()
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 1000 {
				s.Observe(uint64(g*i), time.Duration(i)*time.Millisecond)
			}
		})
	}
	all.Wait()
	c := s.Counts()
	if c.Total() != 8000 || c.Sum != uint64(8*499500*time.Millisecond) {
		t.Errorf("%d observed, %d in all", c.Total(), c.Sum)
	}
	// 0 to 1 ms; and 501 to 999 ms, which is the one up to a second.
	if c.N[0] != 8 || c.N[2] != 8 || c.N[11] != 8*499 {
		t.Errorf("%v", c.N)
	}
	var h Histogram
	h.Observe(-time.Second)
	h.Observe(time.Hour)
	if c := h.Counts(); c.N[0] != 1 || c.N[Buckets] != 1 || c.Sum != uint64(time.Hour) {
		t.Errorf("%+v", c)
	}
}

type inner struct {
	By    [2]uint64
	Hists []Counts
}

type sample struct {
	inner
	Counter uint64
	Gauge   int
	Name    string
}

func (s sample) counters() [4]uint64 {
	out := [4]uint64{s.Counter, s.By[0], s.By[1]}
	for i := range s.Hists {
		out[3] += s.Hists[i].Total()
	}
	return out
}

func sampleOf(n uint64) sample {
	return sample{inner{[2]uint64{n, 2 * n}, []Counts{{N: [Buckets + 1]uint64{n}, Sum: n}}}, 3 * n, int(n), "x"}
}

// A worker that dies, or does not answer, does not make the sum go back.
func TestTotal(t *testing.T) {
	total := NewTotal[sample](2)
	sum := func(answered ...int) [4]uint64 {
		t.Helper()
		is := map[int]bool{}
		for _, i := range answered {
			is[i] = true
		}
		rest := total.Rest(func(i int) bool { return is[i] })
		if rest.Gauge != 0 {
			t.Errorf("the rest has a gauge: %+v", rest)
		}
		for _, i := range answered {
			AddCounters(&rest, &total.last[i].sample)
		}
		return rest.counters()
	}
	total.Saw(0, 100, sampleOf(5))
	total.Saw(1, 101, sampleOf(7))
	want := [4]uint64{36, 12, 24, 12}
	for _, answered := range [][]int{{0, 1}, {1}, {}} {
		if got := sum(answered...); got != want {
			t.Errorf("%v answered: %v, not %v", answered, got, want)
		}
	}
	total.Saw(0, 102, sampleOf(1))
	if got := sum(0, 1); got != [4]uint64{39, 13, 26, 13} {
		t.Errorf("after a restart %v", got)
	}
	total.Saw(0, 102, sampleOf(2))
	if got := sum(0, 1); got != [4]uint64{42, 14, 28, 14} {
		t.Errorf("and later %v", got)
	}
}

func BenchmarkObserve(b *testing.B) {
	b.Run("one", func(b *testing.B) {
		var h Histogram
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			h.Observe(time.Duration(i&0xffffff) * 16)
		}
	})
	b.Run("alone", func(b *testing.B) {
		var c Counts
		for i := 0; b.Loop(); i++ {
			c.Observe(time.Duration(i&0xffffff) * 16)
		}
	})
	b.Run("shared", func(b *testing.B) {
		var h Histogram
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				h.Observe(time.Duration(i&0xffffff) * 16)
			}
		})
	})
	b.Run("striped", func(b *testing.B) {
		s := NewStriped()
		b.RunParallel(func(pb *testing.PB) {
			key := rand.Uint64()
			for i := 0; pb.Next(); i++ {
				s.Observe(key, time.Duration(i&0xffffff)*16)
			}
		})
	})
	b.Run("clock", func(b *testing.B) {
		begun := time.Now()
		for b.Loop() {
			_ = time.Since(begun)
		}
	})
}
