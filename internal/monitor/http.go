package monitor

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/skein-im/skein/internal/series"
)

const (
	// maxQuery bounds the series that are asked for at once, maxPoints the
	// points of each.
	maxQuery  = 64
	maxPoints = 1500
)

// Register adds the Monitor's pages under /monitor/. All answer GET with JSON:
//
//	state    State
//	series   ?name=N&name=N...&from=S&to=S&points=N: Answer. A name stands for
//	         all series of that metric that have the labels it names, merged;
//	         ID@NODE is a node's. from and to are Unix seconds, or, when they are not
//	         positive, relative to now; the default is the last five minutes.
//	charts   ?id=ID...: the charts with these IDs, or all, as []ChartData;
//	         from, to, points as above
//	talkers  Talkers, asked of the nodes
//	traces   Traces, asked of the nodes
//	names    the names of all series
//	rules    []Rule
func (m *Monitor) Register(mux *http.ServeMux, guard func(http.Handler) http.Handler) {
	for path, h := range map[string]http.HandlerFunc{
		"state": m.serveState, "series": m.serveSeries, "charts": m.serveCharts, "talkers": m.serveTalkers, "traces": m.serveTraces,
		"names": func(w http.ResponseWriter, _ *http.Request) { answer(w, m.store.Load().Names()) },
		"rules": func(w http.ResponseWriter, _ *http.Request) { answer(w, m.alerts.rules) },
	} {
		mux.Handle("GET /monitor/"+path, guard(h))
	}
}

func answer(w http.ResponseWriter, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, text)
}

func write(w http.ResponseWriter, text []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(text)
}

func (m *Monitor) serveState(w http.ResponseWriter, _ *http.Request) { write(w, m.State().JSON()) }

// span is what part of the series is asked for.
type span struct {
	now, from, to int64
	points        int
}

func (m *Monitor) readSpan(r *http.Request) (span, bool) {
	s := span{now: m.State().Time, from: -int64(series.Tiers[0].Span()) + 1, points: 300}
	if s.now == 0 {
		// There has been no second yet.
		s.now = m.began.Unix()
	}
	ok := true
	number := func(name string, n int64) int64 {
		if text := r.FormValue(name); text != "" {
			v, err := strconv.ParseInt(text, 10, 64)
			ok = ok && err == nil
			return v
		}
		return n
	}
	s.from, s.to = number("from", s.from), number("to", 0)
	s.points = int(min(number("points", int64(s.points)), maxPoints))
	if s.from <= 0 {
		s.from += s.now
	}
	if s.to <= 0 {
		s.to += s.now
	}
	return s, ok && s.points > 0 && s.from >= 0 && s.from <= s.to
}

// Data is part of a series: a value for each step from Start on, in Unix seconds;
// null where there is none.
type Data struct {
	Name   string `json:"name"`
	Start  int64  `json:"start"`
	Step   int64  `json:"step"`
	Values Values `json:"values"`
}

// Values are numbers, or NaN, which is written as null.
type Values []float32

// MarshalJSON implements json.Marshaler.
func (v Values) MarshalJSON() ([]byte, error) {
	b := append(make([]byte, 0, 8*len(v)+2), '[')
	for i, x := range v {
		if i > 0 {
			b = append(b, ',')
		}
		if f := float64(x); math.IsNaN(f) {
			b = append(b, "null"...)
		} else {
			b = strconv.AppendFloat(b, f, 'g', 6, 32)
		}
	}
	return append(b, ']'), nil
}

// Answer is what series answers.
type Answer struct {
	Now    int64  `json:"now"`
	Series []Data `json:"series"`
}

func (m *Monitor) serveSeries(w http.ResponseWriter, r *http.Request) {
	s, ok := m.readSpan(r)
	names := r.URL.Query()["name"]
	if !ok || len(names) == 0 || len(names) > maxQuery {
		http.Error(w, "give one to 64 names, and from, to and points as numbers, from before to", http.StatusBadRequest)
		return
	}
	store := m.store.Load()
	families := byFamily(store.Names())
	a := Answer{Now: s.now, Series: []Data{}}
	for _, n := range names {
		a.Series = append(a.Series, read(store, families, s, selector(n)))
	}
	answer(w, a)
}

// byFamily lists the series of the cluster by the metric they are of.
func byFamily(names []string) map[string][]string {
	families := map[string][]string{}
	for _, n := range names {
		families[family(n)] = append(families[family(n)], n)
	}
	return families
}

// read merges the series that a selector names.
func read(store *series.Store, families map[string][]string, s span, of selector) Data {
	d := Data{Name: string(of), Start: s.from, Step: 1, Values: Values{}}
	for _, n := range families[family(string(of))] {
		if !of.matches(n) {
			continue
		}
		r := store.Range(n, s.from, s.to, s.points)
		d.merge(Data{Start: r.Start, Step: r.Step, Values: r.Values}, r.Merge)
	}
	return d
}

// merge merges another series of the same times into d. A second that ends in
// between may change the tier; what then does not fit is left out.
func (d *Data) merge(o Data, how series.Merge) {
	if len(d.Values) == 0 {
		d.Start, d.Step, d.Values = o.Start, o.Step, o.Values
		return
	}
	if o.Start != d.Start || o.Step != d.Step {
		return
	}
	for i := range min(len(d.Values), len(o.Values)) {
		d.Values[i] = both(d.Values[i], o.Values[i], how)
	}
}

// both merges two values of which either may be missing.
func both(a, b float32, merge series.Merge) float32 {
	switch {
	case a != a:
		return b
	case b != b:
		return a
	}
	return float32(merge.Across(float64(a), 1, float64(b)))
}

// ChartData is a chart with its lines' values, in the order of Lines.
type ChartData struct {
	Chart
	Data []Data `json:"data"`
}

func (m *Monitor) serveCharts(w http.ResponseWriter, r *http.Request) {
	s, ok := m.readSpan(r)
	if !ok {
		http.Error(w, "give from, to and points as numbers, from before to", http.StatusBadRequest)
		return
	}
	wantedIDs := r.URL.Query()["id"]
	store := m.store.Load()
	families := byFamily(store.Names())
	all := []ChartData{}
	for _, c := range Charts() {
		if len(wantedIDs) == 0 || slices.Contains(wantedIDs, c.ID) {
			all = append(all, c.data(func(of selector) Data { return read(store, families, s, of) }))
		}
	}
	answer(w, struct {
		Now    int64       `json:"now"`
		Charts []ChartData `json:"charts"`
	}{s.now, all})
}

// data evaluates a chart's lines.
func (c Chart) data(read func(of selector) Data) ChartData {
	d := ChartData{Chart: c}
	for _, l := range c.Lines {
		sum := Data{Name: l.ID, Step: 1, Values: Values{}}
		for _, of := range l.Of {
			sum.merge(read(of), mergeOf(string(of)))
		}
		d.Data = append(d.Data, sum)
	}
	return d
}
