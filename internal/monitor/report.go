package monitor

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/report"
	"github.com/skein-im/skein/internal/samplelog"
	"github.com/skein-im/skein/internal/series"
)

// mostSteps bounds the values of a line of a report; of longer times each stands
// for more than a second.
const mostSteps = 50_000

// reading is what logs say of some time.
type reading struct {
	from, to, step int64
	charts         []Chart
	// values are those of each chart's lines, counts how many seconds each
	// was made of.
	values [][][]float64
	counts [][][]int32
	// of remembers which lines a series is part of.
	of     map[string][]place
	second [][]float64
	known  [][]bool
	events []happened
}

type place struct{ chart, line int }

// happened is what fires from a second on.
type happened struct {
	at     int64
	alerts []Alert
}

// Report turns logs, which are files or directories of package samplelog, into
// a page with the charts of the dashboard.
func Report(paths []string) (*report.Page, error) { return reportOf(paths, mostSteps) }

// reportOf is Report with at most so many values, and one more, for a line.
func reportOf(paths []string, most int64) (*report.Page, error) {
	r := newReading()
	err := readLogs(paths, samplelog.Handler{Samples: func(at int64, _ []samplelog.Sample) { r.span(at) }})
	if err != nil {
		return nil, err
	}
	if r.to == 0 {
		return nil, im.Errorf(im.NotFound, "there are no samples in these logs")
	}
	r.allocate(most)
	if err := readLogs(paths, samplelog.Handler{Samples: r.sample, Event: r.event}); err != nil {
		return nil, err
	}
	return r.page(), nil
}

func newReading() *reading {
	return &reading{from: math.MaxInt64, charts: Charts(), of: map[string][]place{}}
}

// span takes the time of a second into what is read.
func (r *reading) span(at int64) { r.from, r.to = min(r.from, at), max(r.to, at) }

func readLogs(paths []string, h samplelog.Handler) error {
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return im.Errorf(im.NotFound, "the log cannot be read: %w", err)
		}
		read := samplelog.ReadFile
		if info.IsDir() {
			read = samplelog.ReadDir
		}
		if _, err := read(p, h); err != nil {
			return err
		}
	}
	return nil
}

// allocate makes room for the seconds that were spanned.
func (r *reading) allocate(most int64) {
	r.step = (r.to-r.from)/most + 1
	n := (r.to-r.from)/r.step + 1
	for _, c := range r.charts {
		var values [][]float64
		var counts [][]int32
		for range c.Lines {
			values = append(values, slices.Repeat([]float64{math.NaN()}, int(n)))
			counts = append(counts, make([]int32, n))
		}
		r.values, r.counts = append(r.values, values), append(r.counts, counts)
		r.second, r.known = append(r.second, make([]float64, len(c.Lines))), append(r.known, make([]bool, len(c.Lines)))
	}
}

// sample takes a second of a log. The log may have become longer since its times were
// looked for; what came then is left out.
func (r *reading) sample(at int64, samples []samplelog.Sample) {
	if at < r.from || at > r.to {
		return
	}
	for i := range r.known {
		clear(r.known[i])
	}
	for _, s := range samples {
		if math.Abs(s.Value) > series.Largest {
			continue
		}
		for _, p := range r.places(s.Name) {
			acc, known := &r.second[p.chart][p.line], &r.known[p.chart][p.line]
			n := 0
			if *known {
				n = 1
			}
			*acc = mergeOf(s.Name).Across(*acc, n, s.Value)
			*known = true
		}
	}
	i := (at - r.from) / r.step
	for c, lines := range r.known {
		for l, known := range lines {
			if known {
				value, count := &r.values[c][l][i], &r.counts[c][l][i]
				if *count == 0 {
					*value = 0
				}
				*count++
				*value += (r.second[c][l] - *value) / float64(*count)
			}
		}
	}
}

// places are the lines that a series is part of.
func (r *reading) places(name string) []place {
	at, known := r.of[name]
	if known {
		return at
	}
	for c, chart := range r.charts {
		for l, line := range chart.Lines {
			if slices.ContainsFunc(line.Of, func(s selector) bool { return s.matches(name) }) {
				at = append(at, place{c, l})
			}
		}
	}
	r.of[name] = at
	return at
}

// mostEvents bounds the changes of alerts that a report lists.
const mostEvents = 1000

func (r *reading) event(at int64, text []byte) {
	var e alertEvent
	if json.Unmarshal(text, &e) == nil && e.Alerts != nil && len(r.events) < mostEvents*100 {
		r.events = append(r.events, happened{at, e.Alerts})
	}
}

// page makes the page.
func (r *reading) page() *report.Page {
	begin, end := time.Unix(r.from, 0).UTC(), time.Unix(r.to, 0).UTC()
	p := &report.Page{
		Title:   "Skein from " + begin.Format(time.DateTime) + " to " + end.Format(time.DateTime) + " UTC",
		Verdict: "No alerts.", Footer: fmt.Sprintf("Made of logs of samples; a value stands for %d s.", r.step),
	}
	if alerts := r.alertTable(); len(alerts.Rows) > 0 {
		p.Verdict, p.Bad = fmt.Sprintf("There were alerts: %d.", len(alerts.Rows)), true
		p.Tables = append(p.Tables, alerts)
	}
	section := report.Section{Title: "Over time"}
	figures := report.Table{Head: []string{"", "mean", "largest"}}
	for i, c := range r.charts {
		unit, factor := readable(c.Unit)
		chart := report.Chart{Title: c.Title, Unit: unit, Step: float64(r.step)}
		for l, line := range c.Lines {
			values := r.values[i][l]
			for j := range values {
				values[j] *= factor
			}
			mean, most, known := summary(values)
			if !known {
				continue
			}
			chart.Lines = append(chart.Lines, report.Line{Name: line.ID, Values: values})
			figures.Rows = append(figures.Rows, []string{c.Title + ", " + line.ID + ", " + unit, figure(mean), figure(most)})
		}
		if len(chart.Lines) > 0 {
			section.Charts = append(section.Charts, chart)
		}
	}
	p.Tables, p.Sections = append(p.Tables, figures), []report.Section{section}
	return p
}

// readable is a unit in which values are neither tiny nor huge, and what they are
// multiplied by.
func readable(unit string) (string, float64) {
	switch unit {
	case "s":
		return "ms", 1000
	case "s/s":
		return "% of a processor", 100
	case "bytes":
		return "MiB", 1.0 / (1 << 20)
	case "bytes/s":
		return "KiB/s", 1.0 / (1 << 10)
	case "":
		return "number", 1
	}
	return unit, 1
}

func figure(v float64) string { return report.Number(math.Round(100*v) / 100) }

func summary(values []float64) (mean, most float64, known bool) {
	n := 0.0
	for _, v := range values {
		if v == v {
			n++
			mean += (v - mean) / n
			most = max(most, v)
		}
	}
	return mean, most, n > 0
}

// alertTable lists what began to fire, and when it was over.
func (r *reading) alertTable() report.Table {
	t := report.Table{Head: []string{"alert", "of", "from", "to"}}
	var before []Alert
	row := map[alertKey]int{}
	for _, e := range r.events {
		for _, c := range difference(before, e.alerts) {
			key := alertKey{c.Rule, c.Subject}
			when := time.Unix(e.at, 0).UTC().Format(time.DateTime)
			if i, known := row[key]; known && !c.Firing {
				t.Rows[i][3] = when
			} else if c.Firing && len(t.Rows) < mostEvents {
				row[key] = len(t.Rows)
				t.Rows = append(t.Rows, []string{c.Rule, c.Subject, when, ""})
			}
		}
		before = e.alerts
	}
	return t
}
