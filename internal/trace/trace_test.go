package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// watch is a clock that a test turns.
type watch struct{ now time.Time }

func (w *watch) read() time.Time { return w.now }

func newWatch() *watch { return &watch{time.Unix(1_790_000_000, 0)} }

func record(r *Recorder, id im.TraceID, step Step, length time.Duration) {
	end := r.Now()
	r.Record(Span{Trace: id, Step: step, Start: end - int64(length), End: end, Of: Entity(im.User(7))})
}

func TestStepsHaveNames(t *testing.T) {
	docs, err := os.ReadFile("../../docs/TRACING.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for s := Send; s < steps; s++ {
		var back Step
		if err := back.UnmarshalText([]byte(s.String())); err != nil || back != s || seen[s.String()] {
			t.Errorf("step %d is %q and reads back as %d, %v", s, s, back, err)
		}
		seen[s.String()] = true
		if s < ReceiverApply || s > ReceiverCommit {
			if !strings.Contains(string(docs), "`"+s.String()+"`") {
				t.Errorf("docs/TRACING.md does not say what %v is", s)
			}
		}
	}
	var s Step
	if err := s.UnmarshalText([]byte("of a newer version")); err != nil || s != 0 {
		t.Errorf("an unknown step reads as %d, %v", s, err)
	}
}

// A ring keeps the last spans, and forced traces are not pushed out by others.
func TestRecorderIsBounded(t *testing.T) {
	r := New(Options{Node: "n", Spans: 8, Clock: newWatch().read})
	forced := im.TraceID(1).Forced()
	record(r, forced, Commit, time.Millisecond)
	for i := range 1000 {
		record(r, im.TraceID(i+1), Commit, 0)
	}
	if st := r.Stats(); st.Recorded != 1001 || st.Kept != 9 || st.Size != 16 {
		t.Errorf("stats %+v", st)
	}
	if got := r.forced.of(forced, 9); len(got) != 1 || got[0].Node != "n" {
		t.Errorf("the forced trace has %v", got)
	}
	for id, want := range map[im.TraceID]int{992: 0, 993: 1, 1000: 1} {
		if got := r.drawn.of(id, 9); len(got) != want {
			t.Errorf("trace %d has %d spans in the ring, want %d", id, len(got), want)
		}
	}
	if n := len(r.slow.keep); n > MaxSlow {
		t.Errorf("%d slow traces", n)
	}
}

func TestNilRecordsNothing(t *testing.T) {
	var r *Recorder
	r.Record(Span{Trace: 1, Step: Send})
	if r.Now() != 0 || r.Spans(1) != nil || r.Slow(1) != nil || len(r.Of(1).Traces) != 0 || r.Stats() != (Stats{}) {
		t.Error("a nil recorder knows something")
	}
	var s *Sampler
	if s.Pick(1, 1, 1) != 0 || s.Unheard() != 0 {
		t.Error("a nil sampler traces")
	}
}

// Spans do not end before they begin, whatever clocks say, and time within a
// process does not go back.
func TestClocks(t *testing.T) {
	w := newWatch()
	r := New(Options{Clock: w.read})
	now := r.Now()
	r.Record(Span{Trace: 5, Step: Arrive, Start: now + int64(time.Hour), End: now})
	r.Record(Span{Trace: 5, Step: Forward})
	for _, s := range r.Spans(5) {
		if s.Start != s.End || s.End != now {
			t.Errorf("%v lasts from %d to %d, now is %d", s.Step, s.Start, s.End, now)
		}
	}
	w.now = w.now.Add(time.Second)
	if got := r.Now() - now; got != int64(time.Second) {
		t.Errorf("a second is %d ns", got)
	}
	w.now = w.now.Add(2 * anchorFor)
	if got := r.Now(); got != w.now.UnixNano() {
		t.Errorf("the clock shows %d, the recorder %d", w.now.UnixNano(), got)
	}
}

// What took long is kept when the rings have forgotten it, with what follows.
func TestSlow(t *testing.T) {
	w := newWatch()
	r := New(Options{Spans: 8, Clock: w.read})
	slow := im.TraceID(4000)
	record(r, slow, Receive, time.Microsecond)
	record(r, slow, Commit, time.Second)
	for i := range 200 {
		record(r, im.TraceID(i+1), Commit, time.Duration(i)*time.Microsecond)
		// However long a device takes, nothing was slow.
		record(r, im.TraceID(i+1000), ClientAck, time.Hour)
	}
	record(r, slow, Release, time.Microsecond)
	all := r.Slow(MaxSlow)
	if len(all) != MaxSlow || all[0].ID != slow || len(all[0].Spans) != 3 || all[0].Longest != int64(time.Second) {
		t.Fatalf("%d slow traces, first %+v", len(all), all[0])
	}
	for _, s := range all[1:] {
		if s.ID < 200-MaxSlow || s.ID > 200 {
			t.Errorf("trace %d is among the slowest", s.ID)
		}
	}
	if got := r.Slow(3); len(got) != 3 {
		t.Errorf("%d of 3", len(got))
	}
	w.now = w.now.Add(slowFor + time.Second)
	record(r, 9, Commit, time.Microsecond)
	if got := r.Slow(MaxSlow); len(got) != 1 || got[0].ID != 9 {
		t.Errorf("ten minutes later: %+v", got)
	}
}

func TestSlowTracesAreBounded(t *testing.T) {
	r := New(Options{Spans: 4, Clock: newWatch().read})
	for range 3 * MaxTraceSpans {
		record(r, 1, Commit, time.Second)
	}
	if n := len(r.Spans(1)); n != MaxTraceSpans {
		t.Errorf("%d spans of one trace", n)
	}
}

func TestRecorderIsSafe(t *testing.T) {
	var exported sync.Map
	r := New(Options{Spans: 64, Export: func(s Span) { exported.Store(s.ID, true) }})
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 500 {
				record(r, im.TraceID(g*1000+i+1), Step(1+i%int(steps-1)), time.Duration(i))
				r.Spans(im.TraceID(i))
				r.Slow(3)
			}
		})
	}
	all.Wait()
	n := 0
	exported.Range(func(any, any) bool { n++; return true })
	if n != 2000 {
		t.Errorf("%d different spans were exported, want 2000", n)
	}
}

func TestSampler(t *testing.T) {
	for percent, want := range map[float64]float64{0: 0, 1: 1000, 25: 25000, 100: 100000} {
		s := NewSampler(percent, nil, 42)
		ids := map[im.TraceID]bool{}
		for n := range uint64(100000) {
			if id := s.Pick(n, 1, 0); id != 0 {
				ids[id] = true
				if id.IsForced() {
					t.Fatalf("%v was not asked for", id)
				}
			}
		}
		if got := float64(len(ids)); math.Abs(got-want) > want/10 {
			t.Errorf("%v per cent of 100,000 are %v", percent, got)
		}
	}
}

func TestSamplerTakesUsersAndWishes(t *testing.T) {
	s := NewSampler(0, []im.UserID{5}, 42)
	if id := s.Pick(1, 5, 0); !id.IsForced() {
		t.Errorf("a listed user's message has trace %v", id)
	}
	if id := s.Pick(1, 6, 0); id != 0 {
		t.Errorf("another's has trace %v", id)
	}
	taken := 0
	for n := range uint64(10 * MaxForced) {
		if id := s.Pick(n, 6, 77); id != 0 {
			if id != im.TraceID(77).Forced() {
				t.Fatalf("asked for 77, got %v", id)
			}
			taken++
		}
	}
	if taken < MaxForced || taken > 5*MaxForced || s.Unheard() != uint64(10*MaxForced-taken) {
		t.Errorf("%d of %d wishes were heard, %d not", taken, 10*MaxForced, s.Unheard())
	}
}

// Reports of several processes become one, whoever asked whom.
func TestMerge(t *testing.T) {
	w := newWatch()
	a, b := New(Options{Node: "a", Clock: w.read}), New(Options{Node: "b", Clock: w.read})
	record(a, 3, Send, 5*time.Millisecond)
	record(b, 3, Commit, time.Millisecond)
	record(b, 4, Commit, time.Minute)
	got := Merge(10, a.Of(3), b.Of(3), Report{b.Slow(9)})
	if len(got.Traces) != 2 || got.Traces[0].ID != 4 || len(got.Traces[1].Spans) != 2 {
		t.Fatalf("%+v", got)
	}
	if s := got.Traces[1].Spans; s[0].Node != "a" || s[1].Node != "b" || s[0].ID != RootID(3) {
		t.Errorf("%+v", s)
	}
	if got := Merge(1, got); len(got.Traces) != 1 || got.Traces[0].ID != 4 {
		t.Errorf("the slowest is %+v", got)
	}
}

func TestReportsCross(t *testing.T) {
	r := New(Options{Node: "a"})
	for s := Send; s < steps; s++ {
		r.Record(Span{Trace: im.TraceID(9).Forced(), Step: s, Of: Entity(im.User(1 << 40)), Seq: uint64(s), Error: im.Busy})
	}
	want := r.Of(im.TraceID(9).Forced())
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadReport(bytes.NewReader(b))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: got %+v, want %+v", err, got, want)
	}
}

func TestWaterfall(t *testing.T) {
	ms := func(n int64) int64 { return 1_790_000_000_000_000_000 + n*1_000_000 }
	tr := Trace{ID: 0xabc, Spans: []Span{
		{Trace: 0xabc, Step: Send, Start: ms(0), End: ms(8), Of: Entity(im.User(1)), Seq: 4, Node: "gateway"},
		{Trace: 0xabc, Step: Commit, Start: ms(2), End: ms(4), Of: Entity(im.User(1)), Node: "mailbox", Error: im.Unavailable},
		{Trace: 0xabc, Step: ClientAck, Start: ms(8), End: ms(108), Of: Entity(im.User(2)), Node: "gateway"},
	}}
	var b strings.Builder
	if err := tr.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	want := []string{
		"  send                  0.0 us   8.000 ms  |################################|  user/1 #4  gateway",
		"  mailbox.commit      2.000 ms   2.000 ms  |        #########               |  user/1  mailbox  unavailable",
		"  client.ack          8.000 ms 100.000 ms  |                               >|  user/2  gateway",
	}
	if !slices.Equal(lines[2:5], want) || !strings.Contains(lines[0], "8.000 ms in the server") {
		t.Errorf("got\n%s", b.String())
	}
}

// A Span has no place for what a user wrote.
func TestSpansHaveNoRoomForBodies(t *testing.T) {
	typ := reflect.TypeFor[Span]()
	for i := range typ.NumField() {
		switch f := typ.Field(i); {
		case f.Name == "Node":
		case f.Type.Kind() == reflect.String, f.Type.Kind() == reflect.Slice, f.Type.Kind() == reflect.Map, f.Type.Kind() == reflect.Interface:
			t.Errorf("%s is a %v", f.Name, f.Type)
		}
	}
}

func FuzzReadReport(f *testing.F) {
	r := New(Options{Node: "a"})
	record(r, 3, Send, time.Millisecond)
	b, _ := json.Marshal(r.Of(3))
	f.Add(b)
	f.Add([]byte(`{"traces":[{"id":"0000000000000001","spans":[{"step":"?","of":"x/1","start":-1}]}]}`))
	f.Add([]byte(`{"traces":[{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		report, err := ReadReport(bytes.NewReader(b))
		if err != nil {
			if im.KindOf(err) != im.Invalid {
				t.Fatalf("error %v is not Invalid", err)
			}
			return
		}
		merged := Merge(10, report, report)
		var out strings.Builder
		for i := range merged.Traces {
			if err := merged.Traces[i].WriteText(&out); err != nil {
				t.Fatal(err)
			}
		}
		if err := merged.WriteSlow(&out); err != nil {
			t.Fatal(err)
		}
	})
}

// What a message costs: not traced, at one per cent, and every one.
func BenchmarkSpans(b *testing.B) {
	for _, percent := range []float64{0, 1, 100} {
		b.Run(fmt.Sprintf("percent=%v", percent), func(b *testing.B) {
			r, s := New(Options{Node: "bench"}), NewSampler(percent, nil, 1)
			b.ReportAllocs()
			for n := range uint64(b.N) {
				id := s.Pick(n, 7, 0)
				if id == 0 {
					continue
				}
				for step := Send; step <= ClientAck; step++ {
					start := r.Now()
					r.Record(Span{Trace: id, Step: step, Start: start})
				}
			}
		})
	}
}

// However many traces share a bucket, each is told with its own last spans, in
// order.
func TestRingChains(t *testing.T) {
	r := ring{size: 100}
	for i := range uint64(1000) {
		r.add(Span{Trace: im.TraceID(i%7 + 1), Seq: i})
	}
	for id := range im.TraceID(9) {
		found := r.of(id, 1000)
		for i, s := range found {
			if s.Trace != id || i > 0 && s.Seq != found[i-1].Seq+7 {
				t.Fatalf("trace %d: span %d is %+v", id, i, s)
			}
		}
		if want := id > 0 && id < 8; want && (len(found) < 14 || found[len(found)-1].Seq < 993) || !want && len(found) > 0 {
			t.Errorf("trace %d has %d spans", id, len(found))
		}
		if few := r.of(id, 3); len(found) > 0 && (len(few) != 3 || few[2] != found[len(found)-1]) {
			t.Errorf("the last three of trace %d are %+v", id, few)
		}
	}
}
