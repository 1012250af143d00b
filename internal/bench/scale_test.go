package bench

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestScrape(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("# TYPE a_total counter\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3\n# TYPE b gauge\nb 7\nc 1\n"))
	}))
	defer srv.Close()
	got := map[string]float64{"a_total": 1}
	err := scrape(t.Context(), srv.Client(), strings.TrimPrefix(srv.URL, "http://"), []string{"a_total", "b", "missing"}, got)
	if err != nil || got["a_total"] != 6 || got["b"] != 7 || got["missing"] != 0 {
		t.Fatalf("%v, %v", got, err)
	}
}

func TestScaleRun(t *testing.T) {
	before := Probe{CPU: map[string]time.Duration{"redis": time.Second}, Counters: map[string]float64{metricFenced: 5}}
	after := Probe{
		CPU:      map[string]time.Duration{"redis": 2 * time.Second, "mailbox": time.Second},
		Counters: map[string]float64{metricFenced: 7, metricRepeated: 8},
	}
	chat := &ChatResult{Tally: Tally{Sent: 1000, Acked: 1000, Delivered: 1000, Expected: 1000}, Probe: after.since(before)}
	r := &ScaleResult{Good: true}
	r.add(newScaleRun(1, chat))
	chat.Probe.CPU["mailbox"] *= 2
	r.add(newScaleRun(2, chat))
	if run := r.Runs[0]; run.ServerCPU != 2000 || run.CPURatio != 1 || run.Conflicts != 0.01 || !r.Good {
		t.Fatalf("%+v", run)
	}
	if ratio := r.Runs[1].CPURatio; ratio != 1.5 {
		t.Fatalf("the second run costs %v times as much as the first", ratio)
	}
	var out bytes.Buffer
	if r.WriteSummary(&out); !strings.Contains(out.String(), "1.50x") {
		t.Fatalf("the summary is\n%s", &out)
	}
}
