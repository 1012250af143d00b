package e2e

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// monitorState is the part of /monitor/state that these tests look at.
type monitorState struct {
	Time    int64
	Monitor struct{ Writes bool }
	Nodes   []struct {
		Name string
		Up   bool
	}
	Alerts []struct{ Rule, Subject string }
}

func monitorAsk(t *testing.T, s *server, path string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(testContext(t), http.MethodGet, "http://"+s.Ops+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := web.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// monitorUntil waits until a monitor says what is wanted.
func monitorUntil(t *testing.T, s *server, what string, wanted func(monitorState) bool) monitorState {
	t.Helper()
	ctx := testContext(t)
	for {
		var st monitorState
		monitorAsk(t, s, "/monitor/state", &st)
		if wanted(st) {
			return st
		}
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s; at last %+v", what, st)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// A monitor is killed: another goes on, with what the first has logged, and
// knows which alerts there are.
func TestMonitorDies(t *testing.T) {
	inBothShapes(t, setup{}, monitorDies)
}

func monitorDies(t *testing.T, watched *product) {
	data := filepath.Join(t.TempDir(), "monitor")
	args := []string{"monitor", "--json", "--data", data, "--ops", "127.0.0.1:0", "--monitor-targets", watched.ops()}
	all := 1 + len(watched.parts)
	answers := func(st monitorState) bool {
		up := 0
		for _, n := range st.Nodes {
			if n.Up {
				up++
			}
		}
		return up == all && len(st.Nodes) == all
	}
	first := startNode(t, args...)
	began := monitorUntil(t, first, "the first one writes and sees all", func(st monitorState) bool { return st.Monitor.Writes && answers(st) })
	watched.server.kill()
	down := monitorUntil(t, first, "an alert", func(st monitorState) bool { return len(st.Alerts) == 1 })
	second := startNode(t, args...)
	monitorUntil(t, second, "the second one waits", func(st monitorState) bool { return st.Time > 0 && !st.Monitor.Writes })
	first.kill()
	st := monitorUntil(t, second, "the second one writes", func(st monitorState) bool { return st.Monitor.Writes })
	if len(st.Alerts) != 1 || st.Alerts[0] != down.Alerts[0] {
		t.Errorf("it knows of %+v, the first one of %+v", st.Alerts, down.Alerts)
	}
	second.kill()
	third := startNode(t, args...)
	ctx := testContext(t)
	for found := false; !found; {
		var answer struct {
			Series []struct {
				Start, Step int64
				Values      []*float64
			}
		}
		monitorUntil(t, third, "a second", func(st monitorState) bool { return st.Time > 0 })
		monitorAsk(t, third, "/monitor/series?name=up&from=-299", &answer)
		for i, v := range answer.Series[0].Values {
			at := answer.Series[0].Start + int64(i)*answer.Series[0].Step
			found = found || v != nil && *v == float64(all) && at <= down.Time && at >= began.Time-1
		}
		if ctx.Err() != nil {
			t.Fatal("what the first one has seen is not there")
		}
	}
}
