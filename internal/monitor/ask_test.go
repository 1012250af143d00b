package monitor

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// What nodes say of talkers and traces is put together; one that says nonsense
// is named.
func TestPagesMadeOfTheNodes(t *testing.T) {
	span := func(id, took int) string {
		return fmt.Sprintf(`{"trace":"000000000000000a","id":"%d","step":"commit","start":100,"end":%d,"of":"user/1","node":"n"}`, id, 100+took)
	}
	node := func(talkers, traces string) NodeNow {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/talkers":
				_, _ = w.Write([]byte(talkers))
			case "/traces/slow":
				_, _ = w.Write([]byte(traces))
			}
		}))
		t.Cleanup(srv.Close)
		return NodeNow{Name: "n" + traces[:1], URL: srv.URL, Up: true, Roles: []string{"gateway"}}
	}
	m, err := New(Config{Targets: Static{}, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer m.fetcher.close()
	m.state.Store(&State{Nodes: []NodeNow{
		node(`{"seconds":60,"total":100,"top":[{"key":18446744073709551615,"count":50,"error":2},{"key":2,"count":10}]}`,
			`{"traces":[{"id":"000000000000000a","spans":[`+span(1, 5)+`,`+span(2, 3)+`]},{"id":"000000000000000b","spans":[`+span(4, 7)+`]}]}`),
		node(`{"seconds":60,"total":50,"top":[{"key":2,"count":45}]}`, `{"traces":[{"id":"000000000000000a","spans":[`+span(2, 3)+`,`+span(3, 9)+`]}]}`),
		node(`nonsense`, `nonsense`),
		{Name: "down", URL: "http://127.0.0.1:1"},
	}})
	mux := http.NewServeMux()
	m.Register(mux, func(h http.Handler) http.Handler { return h })
	get := func(path string, into any) {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Fatal(err, w.Body)
		}
	}
	var talkers Talkers
	get("/monitor/talkers", &talkers)
	if talkers.Total != 150 || len(talkers.Talkers) != 2 || talkers.Talkers[0] != (Talker{2, 55, 0}) || talkers.Talkers[1].User != 1<<64-1 || len(talkers.Problems) != 1 {
		t.Errorf("%+v", talkers)
	}
	var traces Traces
	get("/monitor/traces", &traces)
	if len(traces.Traces) != 2 || traces.Traces[0].ID != 10 || traces.Traces[0].Longest != 9 || len(traces.Traces[0].Spans) != 3 || len(traces.Problems) != 1 {
		t.Errorf("%+v", traces)
	}
}

// Before its first second a monitor has no numbers, which is no mistake of those who
// ask.
func TestAskedBeforeTheFirstSecond(t *testing.T) {
	m, err := New(Config{Logger: quiet, Targets: Static{}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	m.Register(mux, func(h http.Handler) http.Handler { return h })
	for _, path := range []string{"charts", "charts?from=-9&points=10", "charts?to=-149&from=-448", "series?name=up", "state"} {
		w := httptest.NewRecorder()
		if mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/monitor/"+path, nil)); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
