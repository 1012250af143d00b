package monitor

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/skein-im/skein/internal/samplelog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// fake is a process with metrics of its own.
type fake struct {
	*prometheus.Registry
	sends   prometheus.Counter
	busy    prometheus.Counter
	queued  prometheus.Gauge
	healthy prometheus.Gauge
	took    prometheus.Histogram
}

func newFake() *fake {
	f := &fake{
		Registry: prometheus.NewRegistry(),
		sends:    prometheus.NewCounter(prometheus.CounterOpts{Name: metricCommands, Help: "x"}),
		busy:     prometheus.NewCounter(prometheus.CounterOpts{Name: metricAPIErrors, Help: "x", ConstLabels: prometheus.Labels{"kind": "busy"}}),
		queued:   prometheus.NewGauge(prometheus.GaugeOpts{Name: metricQueueLength, ConstLabels: prometheus.Labels{"queue": "mailbox"}, Help: "x"}),
		healthy:  prometheus.NewGauge(prometheus.GaugeOpts{Name: metricHealthy, Help: "x"}),
		took:     prometheus.NewHistogram(prometheus.HistogramOpts{Name: "skein_took_seconds", Help: "x", Buckets: []float64{0.01, 0.1, 1}}),
	}
	f.healthy.Set(1)
	f.MustRegister(f.sends, f.busy, f.queued, f.healthy, f.took)
	return f
}

func (f *fake) target(name string) Target {
	return Target{Name: name, URL: "http://" + name, Gather: f.Gather}
}

func start(t *testing.T, cfg Config) *Monitor {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.Start()
	return m
}

func stop(t *testing.T, m *Monitor) {
	t.Helper()
	if err := m.Stop(); err != nil {
		t.Error(err)
	}
}

// seconds lets time pass.
func seconds(n int) {
	time.Sleep(time.Duration(n) * time.Second)
	synctest.Wait()
}

func (m *Monitor) lastOf(t *testing.T, name string) float64 {
	t.Helper()
	v, _, ok := m.store.Load().Last(name)
	if !ok {
		t.Errorf("there is no %s", name)
	}
	return v
}

func near(a, b float64) bool { return math.Abs(a-b) <= 0.02*math.Abs(b)+1e-9 }

func TestSeriesOfACluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newFake(), newFake()
		m := start(t, Config{Targets: Static{a.target("a"), b.target("b")}})
		defer stop(t, m)
		seconds(2)
		for range 20 {
			a.sends.Add(10)
			b.sends.Add(30)
			a.busy.Add(2)
			for range 98 {
				a.took.Observe(0.05)
			}
			b.took.Observe(0.5)
			b.took.Observe(0.5)
			seconds(1)
		}
		a.queued.Set(3)
		b.queued.Set(4)
		b.healthy.Set(0)
		// The counts of the last pulls are those of the second before.
		for name, want := range map[string]float64{
			metricCommands: 40, "commands@a": 10, "commands@b": 30, metricAPIErrors + `{kind="busy"}`: 2,
			"skein_took_seconds_count": 100, "skein_took_seconds:mean": 0.059, "skein_took_seconds:p50": 0.0559, "skein_took_seconds:p99": 0.55, seriesUp: 2,
		} {
			if got := m.lastOf(t, name); !near(got, want) {
				t.Errorf("%s is %g, want %g", name, got, want)
			}
		}
		seconds(2)
		if q, h := m.lastOf(t, metricQueueLength+`{queue="mailbox"}`), m.lastOf(t, metricHealthy); q != 7 || h != 0 {
			t.Errorf("queued %g, healthy %g", q, h)
		}
		if st := m.State(); len(st.Nodes) != 2 || !st.Nodes[0].Up || st.Nodes[1].Values["healthy"] != 0 || !st.Monitor.Writes {
			t.Errorf("%s", st.JSON())
		}
	})
}

// A counter that begins anew is no fall, and none that has just appeared is a
// leap.
func TestCountersBeginAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newFake()
		a.sends.Add(1e6)
		var now atomic.Pointer[fake]
		now.Store(a)
		target := a.target("a")
		target.Gather = func() ([]*dto.MetricFamily, error) { return now.Load().Gather() }
		m := start(t, Config{Targets: Static{target}})
		defer stop(t, m)
		seconds(3)
		if v := m.lastOf(t, metricCommands); v != 0 {
			t.Errorf("%g", v)
		}
		again := newFake()
		again.sends.Add(5)
		now.Store(again)
		seconds(2)
		r := m.store.Load().Range(metricCommands, m.last-10, m.last, 100)
		most := float32(0)
		for _, v := range r.Values {
			if v < 0 {
				t.Errorf("%v", r.Values)
			}
			most = max(most, v)
		}
		if most < 4 || most > 6 {
			t.Errorf("%v", r.Values)
		}
	})
}

func TestTheClockMayJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		off := int64(0)
		set := func(seconds int64) { mu.Lock(); off = seconds; mu.Unlock() }
		m := start(t, Config{Targets: Static{newFake().target("a")}, Wall: func() int64 {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Unix() + off
		}})
		defer stop(t, m)
		seconds(5)
		before := m.State().Time
		set(-3600)
		seconds(5)
		if st := m.State(); st.Time != before+5 || st.Monitor.Jumps != 1 || len(st.Monitor.Problems) != 1 {
			t.Errorf("set back: %d, %s", st.Time-before, st.JSON())
		}
		set(3600)
		seconds(5)
		if st := m.State(); st.Time != before+3600+10 || st.Monitor.Jumps != 2 || len(st.Monitor.Problems) != 0 {
			t.Errorf("set ahead: %d, %s", st.Time-before, st.JSON())
		}
	})
}

// room is a disk that is full while it is 0.
type room struct {
	io.WriteCloser
	full *atomic.Bool
}

func (r room) Write(b []byte) (int, error) {
	if r.full.Load() {
		return 0, syscall.ENOSPC
	}
	return r.WriteCloser.Write(b)
}

func TestFullDiskOfTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		m := start(t, Config{Targets: Static{newFake().target("a")}, Dir: t.TempDir(), Log: samplelog.Config{Create: func(path string) (io.WriteCloser, error) {
			f, err := os.Create(path)
			return room{f, &full}, err
		}}})
		defer stop(t, m)
		seconds(3)
		full.Store(true)
		seconds(20)
		st := m.State()
		if len(st.Monitor.Problems) != 1 || !strings.Contains(st.Monitor.Problems[0], "no space left") || st.Monitor.LogLost < 10 {
			t.Errorf("%s", st.JSON())
		}
		if m.lastOf(t, seriesUp) != 1 {
			t.Error("it does not collect any more")
		}
		full.Store(false)
		seconds(20)
		if st := m.State(); len(st.Monitor.Problems) != 0 || st.Monitor.LogBytes == 0 {
			t.Errorf("%s", st.JSON())
		}
	})
}

// What a Monitor has logged is there again after it, and in one that takes over.
func TestAnotherGoesOnFromTheLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a := newFake()
		cfg := Config{Targets: Static{a.target("a")}, Dir: dir}
		first := start(t, cfg)
		seconds(2)
		second := start(t, cfg)
		for range 30 {
			a.sends.Add(7)
			seconds(1)
		}
		a.healthy.Set(0)
		seconds(10)
		if !first.State().Monitor.Writes || second.State().Monitor.Writes || len(second.State().Alerts) != 1 {
			t.Fatalf("%s", second.State().JSON())
		}
		stop(t, first)
		seconds(2)
		if !second.State().Monitor.Writes {
			t.Error("nobody took over")
		}
		stop(t, second)
		third := start(t, cfg)
		defer stop(t, third)
		seconds(2)
		if v, ok := third.store.Load().Window(metricCommands, third.last-40, third.last-15); !ok || !near(v, 7) {
			t.Errorf("the third one reads %g %v", v, ok)
		}
		if al := third.State().Alerts; len(al) != 1 || al[0].Rule != "availability" || al[0].Since != second.State().Alerts[0].Since {
			t.Errorf("alerts %v", al)
		}
	})
}

func TestMonitorsBoundTheirTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var many Static
		f := newFake()
		for i := range MaxTargets + 10 {
			many = append(many, f.target(fmt.Sprint("n", i)))
		}
		m := start(t, Config{Targets: many, Series: 100})
		defer stop(t, m)
		seconds(4)
		st := m.State()
		if len(st.Nodes) != MaxTargets || st.Monitor.TargetsLeft != 10 || st.Monitor.Series.Series != 100 || st.Monitor.Series.Refused == 0 || len(st.Monitor.Problems) != 3 {
			t.Errorf("%d nodes, %+v", len(st.Nodes), st.Monitor)
		}
	})
}

// Nobody is at a page of a Monitor under /monitor/ who must not be, and what it
// answers has the documented shape.
func TestPages(t *testing.T) {
	var m *Monitor
	synctest.Test(t, func(t *testing.T) {
		a := newFake()
		m = start(t, Config{Targets: Static{a.target("a")}})
		for range 20 {
			a.sends.Add(5)
			a.busy.Add(1)
			seconds(1)
		}
		stop(t, m)
	})
	mux := http.NewServeMux()
	m.Register(mux, func(h http.Handler) http.Handler { return h })
	get := func(path string, into any) int {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if into != nil {
			if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
				t.Errorf("%s: %v in %s", path, err, w.Body)
			}
		}
		return w.Code
	}
	var a struct {
		Now    int64
		Series []struct {
			Name        string
			Start, Step int64
			Values      []*float64
		}
	}
	get("/monitor/series?name="+metricCommands+"&name="+metricAPIErrors+"&name=none&from=-9", &a)
	if len(a.Series) != 3 || a.Series[0].Step != 1 || len(a.Series[0].Values) != 10 || *a.Series[0].Values[9] != 5 || *a.Series[1].Values[9] != 1 || len(a.Series[2].Values) != 0 {
		t.Errorf("%+v", a)
	}
	var c struct{ Charts []ChartShape }
	get("/monitor/charts?id=qps&id=disk", &c)
	if len(c.Charts) != 2 || len(c.Charts[0].Lines) != 2 || len(c.Charts[0].Data) != 2 || c.Charts[0].Data[0].Name != "client" {
		t.Errorf("%+v", c)
	}
	var rules []Rule
	if get("/monitor/rules", &rules); len(rules) != len(Rules()) {
		t.Errorf("%v", rules)
	}
	var lists struct {
		Talkers []Talker
		Traces  []any
	}
	if get("/monitor/talkers", &lists) != http.StatusOK || get("/monitor/traces", &lists) != http.StatusOK || lists.Talkers == nil || lists.Traces == nil {
		t.Errorf("%+v", lists)
	}
	for _, bad := range []string{"series", "series?name=x&from=x", "series?name=x&from=5&to=4", "charts?points=0", "series?name=x&points=-1"} {
		if code := get("/monitor/"+bad, nil); code != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, code)
		}
	}
}

// ChartShape is a chart as it is served.
type ChartShape struct {
	ID    string
	Lines []Line
	Data  []struct {
		Name   string
		Values []*float64
	}
}
