package node

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/trace"
)

// tracing is what a process needs to follow messages.
type tracing struct {
	recorder *trace.Recorder
	sampler  *trace.Sampler
}

// startTraces makes the recorder of this process.
func (n *Node) startTraces(role string) error {
	var seed [8]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return err
	}
	users, err := n.cfg.TracedUsers()
	if err != nil {
		return err
	}
	n.traces.sampler = trace.NewSampler(n.cfg.TracePercent, users, binary.LittleEndian.Uint64(seed[:]))
	n.traces.recorder = trace.New(trace.Options{Node: role + " " + n.processName()})
	return nil
}

// traceQuery asks for one trace, or, without an id, for the slowest.
type traceQuery struct {
	ID    im.TraceID `json:"id,omitempty"`
	Limit int        `json:"limit,omitempty"`
}

// report is what this process knows.
func (t *tracing) report(q traceQuery) trace.Report {
	if q.ID != 0 {
		return t.recorder.Of(q.ID)
	}
	return trace.Report{Traces: t.recorder.Slow(q.Limit)}
}

// report is what this process and its workers know.
func (n *Node) traceReport(q traceQuery) trace.Report {
	all := []trace.Report{n.traces.report(q)}
	if n.workers != nil && n.workers.supervisor != nil {
		all = append(all, n.workers.reports(q)...)
	}
	return trace.Merge(max(1, q.Limit), all...)
}

// serveTrace answers with the spans of one trace: none, if it is not known.
func (n *Node) serveTrace(w http.ResponseWriter, r *http.Request) {
	id, err := im.ParseTraceID(r.URL.Query().Get("id"))
	if err != nil {
		http.Error(w, im.AsError(err).Detail+"; /traces/slow lists some", http.StatusBadRequest)
		return
	}
	n.writeTraces(w, traceQuery{ID: id})
}

// serveSlowTraces answers with the traces that were slowest of late.
func (n *Node) serveSlowTraces(w http.ResponseWriter, r *http.Request) {
	limit := trace.MaxSlow
	if s := r.URL.Query().Get("limit"); s != "" {
		v, err := strconv.Atoi(s)
		if err != nil || v < 1 || v > trace.MaxSlow {
			http.Error(w, "limit is a number from 1 to "+strconv.Itoa(trace.MaxSlow), http.StatusBadRequest)
			return
		}
		limit = v
	}
	n.writeTraces(w, traceQuery{Limit: limit})
}

func (n *Node) writeTraces(w http.ResponseWriter, q traceQuery) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(n.traceReport(q))
}
