package otlp

import (
	"encoding/binary"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"

	"github.com/skein-im/skein/internal/trace"
)

// request is a batch as a collector wants it. All its spans are of one process.
func request(batch []trace.Span, version string) *collector.ExportTraceServiceRequest {
	spans := make([]*tracepb.Span, len(batch))
	for i := range batch {
		spans[i] = span(&batch[i])
	}
	return &collector.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource: &resource.Resource{Attributes: []*common.KeyValue{
			text("service.name", "skein"), text("service.version", version), text("service.instance.id", batch[0].Node),
		}},
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: &common.InstrumentationScope{Name: "skein"}, Spans: spans}},
	}}}
}

// span makes the identifiers as long as OTLP wants them: zeros lead those of
// traces, as is usual for identifiers of 64 bits.
func span(s *trace.Span) *tracepb.Span {
	m := &tracepb.Span{
		TraceId: append(make([]byte, 8), id(uint64(s.Trace))...), SpanId: id(s.ID),
		Name: s.Step.String(), Kind: tracepb.Span_SPAN_KIND_INTERNAL,
		StartTimeUnixNano: uint64(max(0, s.Start)), EndTimeUnixNano: uint64(max(0, s.End)),
		Attributes: []*common.KeyValue{text("skein.entity", s.Of.String())},
	}
	if s.Step == trace.Send {
		m.Kind = tracepb.Span_SPAN_KIND_SERVER
	} else {
		m.ParentSpanId = id(trace.RootID(s.Trace))
	}
	if s.Seq != 0 {
		m.Attributes = append(m.Attributes, &common.KeyValue{
			Key: "skein.seq", Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: int64(s.Seq)}},
		})
	}
	if s.Error != 0 {
		m.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: s.Error.String()}
	}
	return m
}

func id(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func text(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}
