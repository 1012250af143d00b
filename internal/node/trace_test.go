package node

import (
	"net/http"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/trace"
)

func TestTracesAreServed(t *testing.T) {
	n := startNode(t, testConfig(t))
	id := im.TraceID(7).Forced()
	n.traces.recorder.Record(trace.Span{Trace: id, Step: trace.Send, Of: trace.Entity(im.User(3))})
	base := "http://" + n.Addresses().Ops
	source := trace.Source{Base: base, HTTP: http.DefaultClient}
	for what, get := range map[string]func() (trace.Report, error){
		"by id": func() (trace.Report, error) { return source.Trace(t.Context(), id) },
		"slow":  func() (trace.Report, error) { return source.Slow(t.Context(), 5) },
	} {
		r, err := get()
		if err != nil || len(r.Traces) != 1 || r.Traces[0].ID != id || !strings.HasPrefix(r.Traces[0].Spans[0].Node, "serve-") {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
	}
	if r, err := source.Trace(t.Context(), id+1); err != nil || len(r.Traces) != 0 {
		t.Errorf("an unknown trace: %+v, %v", r, err)
	}
	for _, path := range []string{"/traces", "/traces?id=x", "/traces/slow?limit=0", "/traces/slow?limit=33", "/traces/slow?limit=x"} {
		if code, text := fetch(t, http.DefaultClient, base+path, ""); code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
}
