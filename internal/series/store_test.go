package series

import (
	"fmt"
	"math"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

const day = 24 * 3600

func TestResolutionFallsWithAge(t *testing.T) {
	s := New(2)
	const begin = 1_790_000_000 / 60 * 60
	for at := int64(begin); at < begin+day; at++ {
		s.Add(at, "mean", Sum, float64(at-begin))
		s.Add(at, "most", Max, float64(at-begin))
	}
	end := int64(begin + day - 1)
	for _, c := range []struct {
		name             string
		age, span        int64
		most             int
		start, step, len int64
		first            float32
	}{
		{"mean", 59, 59, 1000, end - 59, 1, 60, day - 60},
		{"mean", 1199, 1199, 1000, end - 1199, 10, 120, day - 1200 + 4.5},
		{"most", 1199, 1199, 1000, end - 1199, 10, 120, day - 1200 + 9},
		{"mean", day - 60, day, 10000, end - day + 60 - 59, 60, 1440, 29.5},
		{"mean", 599, 599, 15, end - 599, 40, 15, day - 600 + 19.5},
	} {
		r := s.Range(c.name, end-c.age, end-c.age+c.span, c.most)
		if c.start%c.step == 0 && r.Start != c.start || r.Step != c.step || r.Values[0] != c.first && c.start%c.step == 0 {
			t.Errorf("%+v: from %d in steps of %d, first %g", c, r.Start, r.Step, r.Values[0])
		}
		if len(r.Values) > c.most+1 || int64(len(r.Values)) < c.len {
			t.Errorf("%+v: %d values", c, len(r.Values))
		}
	}
}

// Whatever times come, a range is what a map of all numbers would say.
func TestRangesAgreeWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, known := New(1), map[int64]float64{}
		at := rapid.Int64Range(0, 1<<40).Draw(t, "start")
		for range rapid.IntRange(1, 300).Draw(t, "numbers") {
			at += rapid.Int64Range(1, 20).Draw(t, "gap")
			v := float64(rapid.IntRange(0, 1000).Draw(t, "value"))
			s.Add(at, "x", Max, v)
			known[at] = v
		}
		from := at - rapid.Int64Range(0, Tiers[0].Span()-1).Draw(t, "back")
		r := s.Range("x", max(0, from), at+5, 10_000)
		for i, got := range r.Values {
			want, ok := known[r.Start+int64(i)]
			if ok != !math.IsNaN(float64(got)) || ok && float64(got) != want {
				t.Fatalf("second %d is %g, want %g %v", r.Start+int64(i), got, want, ok)
			}
		}
	})
}

func TestGapsAreNotZero(t *testing.T) {
	s := New(1)
	s.Add(1000, "x", Sum, 1)
	s.Add(1002, "x", Sum, 3)
	r := s.Range("x", 999, 1003, 100)
	if fmt.Sprint(r.Values) != "[NaN 1 NaN 3 NaN]" {
		t.Errorf("%v", r.Values)
	}
	// After a gap longer than a tier nothing old shines through.
	s.Add(1002+10*Tiers[0].Span(), "x", Sum, 5)
	at := 1002 + 10*Tiers[0].Span()
	if r := s.Range("x", at-2, at, 100); fmt.Sprint(r.Values) != "[NaN NaN 5]" {
		t.Errorf("%v", r.Values)
	}
	if v, ok := s.Window("x", at-2, at); !ok || v != 5 {
		t.Errorf("%g %v", v, ok)
	}
	if _, ok := s.Window("y", at-2, at); ok {
		t.Error("an unknown series has a value")
	}
}

func TestBoundsHold(t *testing.T) {
	s := New(2)
	for _, name := range []string{"a", "b", "c"} {
		s.Add(1000, name, Sum, 1)
	}
	s.Add(999, "a", Sum, 1)
	s.Add(1000, "a", Sum, math.NaN())
	s.Add(1000, "a", Sum, math.Inf(1))
	if st := s.Stats(); st != (Stats{Series: 2, Bound: 2, Refused: 1, Late: 1, Malformed: 2}) {
		t.Errorf("%+v", st)
	}
	// One that is silent makes room; all that are silent for a day go.
	s.Add(1000+Silent+1, "b", Sum, 1)
	if !s.Add(1000+Silent+1, "c", Sum, 1) || s.Stats().Evicted != 1 || len(s.Names()) != 2 {
		t.Errorf("%+v %v", s.Stats(), s.Names())
	}
	s.Add(1000+2*day, "d", Sum, 1)
	if names := s.Names(); len(names) != 1 || names[0] != "d" {
		t.Errorf("%v", names)
	}
}

func TestMemoryOfADay(t *testing.T) {
	const n = 500
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := New(n)
	for at := int64(0); at < day; at += 30 {
		for i := range n {
			s.Add(at, "skein_a_metric_with_a_name_of_usual_length_total"+string(rune('A'+i%26))+string(rune('0'+i/26)), Sum, 1)
		}
	}
	for at := int64(day); at < day+300; at++ {
		s.Add(at, s.Names()[0], Sum, 1)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := float64(after.HeapAlloc-before.HeapAlloc) / n
	t.Logf("%.0f bytes a series; stated are %d", each, BytesPerSeries)
	if each > BytesPerSeries*1.1 {
		t.Errorf("%.0f bytes a series, not %d", each, BytesPerSeries)
	}
	runtime.KeepAlive(s)
}

func BenchmarkAdd(b *testing.B) {
	s := New(1)
	b.ReportAllocs()
	for i := range b.N {
		s.Add(int64(i), "x", Sum, 1)
	}
}

// What is older than all tiers has no values, however few are asked for.
func TestRangeBeforeAllTiers(t *testing.T) {
	s := New(1)
	const now = 1_790_000_000
	s.Add(now, "a", Sum, 1)
	for most := 1; most < 100; most++ {
		if r := s.Range("a", now-day-4000, now-day-3600, most); len(r.Values) > 0 {
			t.Errorf("at most %d: %v", most, r.Values)
		}
	}
}

// Whatever is asked for, there are no more values than steps in it.
func TestRangeAtTheEndOfTime(t *testing.T) {
	s := New(1)
	s.Add(1_790_000_000, "a", Sum, 1)
	for _, most := range []int{1, 7, math.MaxInt} {
		if r := s.Range("a", math.MaxInt64-300, math.MaxInt64, most); len(r.Values) > 301 {
			t.Errorf("at most %d: %d values", most, len(r.Values))
		}
	}
}
