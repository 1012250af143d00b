package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/trace"
	"github.com/skein-im/skein/internal/trace/otlp"
)

// tracing is what a process needs to follow messages.
type tracing struct {
	recorder *trace.Recorder
	sampler  *trace.Sampler
	// exporter is nil unless spans are exported.
	exporter *otlp.Exporter
}

// startTraces makes the recorder of this process.
func (n *Node) startTraces() error {
	var seed [8]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return err
	}
	users, err := n.cfg.TracedUsers()
	if err != nil {
		return err
	}
	n.traces.sampler = trace.NewSampler(n.cfg.TracePercent, users, binary.LittleEndian.Uint64(seed[:]))
	opts := trace.Options{Node: n.name}
	if n.cfg.TraceExport != "" {
		n.traces.exporter = otlp.New(otlp.Config{URL: n.cfg.TraceExport, Version: n.opts.Version, Logger: n.log})
		opts.Export = n.traces.exporter.Export
	}
	n.traces.recorder = trace.New(opts)
	return nil
}

// stop posts the last spans.
func (t *tracing) stop(ctx context.Context) {
	if t.exporter != nil {
		t.exporter.Close(ctx)
	}
}

// relayed records how long messages that are traced were on their way from
// another region.
func (n *Node) relayed(deliver func(im.Region, *entity.Message, uint8)) func(im.Region, *entity.Message, uint8) {
	rec := n.traces.recorder
	return func(from im.Region, m *entity.Message, hops uint8) {
		if m.Body.Trace != 0 {
			s := trace.Span{Trace: m.Body.Trace, Step: trace.Relay, Start: m.At, End: rec.Now(), Of: trace.Entity(m.To), Seq: uint64(max(m.Seq, m.Ack))}
			rec.Record(s)
			m.At = s.End
		}
		deliver(from, m, hops)
	}
}

// traceStats are the counters of one process.
type traceStats struct {
	Spans   trace.Stats `json:"spans"`
	Unheard uint64      `json:"unheard"`
	Export  otlp.Stats  `json:"export"`
}

func (t *tracing) stats() traceStats {
	return traceStats{Spans: t.recorder.Stats(), Unheard: t.sampler.Unheard(), Export: t.exporter.Stats()}
}

// addTraces exports what was traced, and what became of it.
func addTraces[S any](c *collector[S], of func(*S) *traceStats) {
	c.count("skein_trace_spans_total", "Spans recorded.", func(s *S) float64 { return float64(of(s).Spans.Recorded) })
	c.gauge("skein_trace_kept_spans", "Spans in memory.", func(s *S) float64 { return float64(of(s).Spans.Kept) })
	c.gauge("skein_trace_size_spans", "Spans that there is room for in memory.", func(s *S) float64 { return float64(of(s).Spans.Size) })
	c.count("skein_trace_unheard_total", "Traces that clients asked for too often.", func(s *S) float64 { return float64(of(s).Unheard) })
	c.count("skein_trace_exported_total", "Spans that the collector has taken.", func(s *S) float64 { return float64(of(s).Export.Exported) })
	c.count("skein_trace_export_dropped_total", "Spans that the collector will not get.", func(s *S) float64 { return float64(of(s).Export.Dropped) })
	c.count("skein_trace_export_failures_total", "Posts to the collector that did not succeed.", func(s *S) float64 { return float64(of(s).Export.Failures) })
	c.queue("trace_export", func(s *S) int { return of(s).Export.Queued }, func(s *S) int { return of(s).Export.Limit })
}

// traceCollector is for a process without clients; where there are any, their
// samples have the same.
func (n *Node) traceCollector() prometheus.Collector {
	c := &collector[traceStats]{samples: func() []traceStats { return []traceStats{n.traces.stats()} }}
	addTraces(c, func(s *traceStats) *traceStats { return s })
	return c
}

// traceQuery asks for some traces, or, without ids, for the slowest.
type traceQuery struct {
	IDs   []im.TraceID `json:"ids,omitempty"`
	Limit int          `json:"limit,omitempty"`
}

// report is what this process knows.
func (t *tracing) report(q traceQuery) trace.Report {
	if len(q.IDs) == 0 {
		return trace.Report{Traces: t.recorder.Slow(q.Limit)}
	}
	var all []trace.Report
	for _, id := range q.IDs {
		all = append(all, t.recorder.Of(id))
	}
	return trace.Merge(len(q.IDs), all...)
}

// traceReport is what this process and its workers know. What was slow in one of
// them the others have parts of, though they were fast.
func (n *Node) traceReport(q traceQuery) trace.Report {
	all := []trace.Report{n.traces.report(q)}
	if n.workers != nil && n.workers.supervisor != nil {
		all = append(all, n.workers.reports(q)...)
	}
	merged := trace.Merge(max(len(q.IDs), q.Limit), all...)
	if len(q.IDs) > 0 || len(all) == 1 || len(merged.Traces) == 0 {
		return merged
	}
	rest := traceQuery{Limit: q.Limit}
	for _, t := range merged.Traces {
		rest.IDs = append(rest.IDs, t.ID)
	}
	return trace.Merge(q.Limit, merged, n.traceReport(rest))
}

// serveTrace answers with the spans of one trace: none, if it is not known.
func (n *Node) serveTrace(w http.ResponseWriter, r *http.Request) {
	id, err := im.ParseTraceID(r.URL.Query().Get("id"))
	if err != nil {
		http.Error(w, im.AsError(err).Detail+"; /traces/slow lists some", http.StatusBadRequest)
		return
	}
	n.writeTraces(w, traceQuery{IDs: []im.TraceID{id}})
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
