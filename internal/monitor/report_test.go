package monitor

import (
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/samplelog"
)

func TestReportOfLogs(t *testing.T) {
	dir := t.TempDir()
	w, err := samplelog.Open(samplelog.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(1_790_000_000); at < 1_790_000_100; at++ {
		samples := []samplelog.Sample{{Name: seriesRequests, Merge: "sum", Value: 100}, {Name: metricCommands, Merge: "sum", Value: 60},
			{Name: metricShakes + `{outcome="won"}`, Merge: "sum", Value: 40}, {Name: "commands@n", Merge: "sum", Value: 1e9}}
		if at%2 == 0 {
			samples = samples[1:]
		}
		if err := w.Append(at, samples); err != nil {
			t.Fatal(err)
		}
		var firing []Alert
		if at >= 1_790_000_050 && at < 1_790_000_060 {
			firing = []Alert{{Rule: "queue", Subject: "polls", Firing: true}}
		}
		_ = w.Event(at, alertEvent{append([]Alert{}, firing...)})
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := Report([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	qps := p.Sections[0].Charts[0]
	if qps.Title != "Client and server QPS" || len(qps.Lines) != 2 || len(qps.Lines[0].Values) != 100 || qps.Lines[1].Values[7] != 100 || qps.Lines[0].Values[1] != 100 || qps.Lines[0].Values[0] == qps.Lines[0].Values[0] {
		t.Errorf("%+v", qps)
	}
	if !p.Bad || len(p.Tables) != 2 || strings.Join(p.Tables[0].Rows[0], " ") != "queue polls 2026-09-21 14:14:10 2026-09-21 14:14:20" && len(p.Tables[0].Rows) != 1 {
		t.Errorf("%v %+v", p.Bad, p.Tables)
	}
	for _, none := range []string{t.TempDir(), dir + "/none"} {
		if _, err := Report([]string{none}); im.KindOf(err) != im.NotFound {
			t.Errorf("%s: %v", none, err)
		}
	}
}

// A log may get further seconds while it is read for the second time, and lose
// none: what is outside of the times that were found first is left out.
func TestReportOfALogThatGrows(t *testing.T) {
	r := newReading()
	r.span(1000)
	r.span(1009)
	r.allocate(100)
	for _, at := range []int64{999, 1000, 1009, 1010, 1 << 40} {
		r.sample(at, []samplelog.Sample{{Name: seriesRequests, Merge: "sum", Value: 1}})
	}
	if values := r.values[1][0]; len(values) != 10 || values[0] != 1 || values[9] != 1 {
		t.Errorf("%v", values)
	}
}
