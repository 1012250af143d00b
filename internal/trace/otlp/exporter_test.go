package otlp

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collect is a collector that answers with a status, and hands on what it took.
func collect(t *testing.T, status func() int) (url string, got chan *collector.ExportTraceServiceRequest) {
	got = make(chan *collector.ExportTraceServiceRequest, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		m := new(collector.ExportTraceServiceRequest)
		if err == nil {
			err = proto.Unmarshal(body, m)
		}
		if err != nil || r.Header.Get("Content-Type") != "application/x-protobuf" || r.URL.Path != "/v1/traces" {
			t.Errorf("%v: %v %v", err, r.URL, r.Header)
		}
		code := status()
		w.WriteHeader(code)
		if code == http.StatusOK {
			got <- m
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/v1/traces", got
}

func ok() int { return http.StatusOK }

func logger() *slog.Logger { return slog.New(slog.DiscardHandler) }

// A collector gets what a recorder records, as OTLP has it.
func TestExport(t *testing.T) {
	url, got := collect(t, ok)
	e := New(Config{URL: url, Version: "v1", Logger: logger()})
	r := trace.New(trace.Options{Node: "mailbox a", Export: e.Export})
	id := im.TraceID(0xabc).Forced()
	r.Record(trace.Span{Trace: id, Step: trace.Send, Start: r.Now(), Of: trace.Entity(im.User(7)), Seq: 3})
	r.Record(trace.Span{Trace: id, Step: trace.Commit, Start: r.Now(), Of: trace.Entity(im.User(7)), Error: im.Unavailable})
	e.Close(t.Context())
	m := <-got
	rs := m.ResourceSpans[0]
	if s := fmt.Sprint(rs.Resource.Attributes[0].Value.GetStringValue(), rs.Resource.Attributes[1].Value.GetStringValue(), rs.Resource.Attributes[2].Value.GetStringValue()); s != "skeinv1mailbox a" {
		t.Errorf("resource %s", s)
	}
	root, commit := rs.ScopeSpans[0].Spans[0], rs.ScopeSpans[0].Spans[1]
	if hex.EncodeToString(root.TraceId) != "00000000000000008000000000000abc" || len(root.SpanId) != 8 || root.ParentSpanId != nil ||
		root.Name != "send" || root.Kind != tracepb.Span_SPAN_KIND_SERVER || root.Status != nil {
		t.Errorf("root %v", root)
	}
	if string(commit.ParentSpanId) != string(root.SpanId) || string(commit.SpanId) == string(root.SpanId) ||
		commit.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || commit.Status.Message != "unavailable" {
		t.Errorf("commit %v", commit)
	}
	if now := uint64(time.Now().UnixNano()); root.StartTimeUnixNano > now || root.StartTimeUnixNano+uint64(time.Minute) < now || root.EndTimeUnixNano < root.StartTimeUnixNano {
		t.Errorf("times %d to %d", root.StartTimeUnixNano, root.EndTimeUnixNano)
	}
	if st := e.Stats(); st.Exported != 2 || st.Dropped != 0 {
		t.Errorf("%+v", st)
	}
	e.Export(trace.Span{Trace: 1})
	if st := e.Stats(); st.Dropped != 1 {
		t.Errorf("after the end: %+v", st)
	}
}

// A full batch leaves before its time.
func TestBatches(t *testing.T) {
	url, got := collect(t, ok)
	e := New(Config{URL: url, Logger: logger(), Batch: 10, Interval: time.Hour})
	defer e.Close(context.Background())
	for i := range 10 {
		e.Export(trace.Span{Trace: im.TraceID(i + 1), Step: trace.Send})
	}
	if m := <-got; len(m.ResourceSpans[0].ScopeSpans[0].Spans) != 10 {
		t.Errorf("%d spans", len(m.ResourceSpans[0].ScopeSpans[0].Spans))
	}
}

// transport answers without a network, for virtual time.
type transport func() (int, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	code, err := f()
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: code, Status: http.StatusText(code), Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// A collector that is away or busy is asked again, for a while; the queue stays
// bounded, and what is lost is counted.
func TestCollectorIsAway(t *testing.T) {
	for _, tc := range []struct {
		name            string
		code            int
		err             error
		downFor         int
		posts, exported uint64
	}{
		{"back soon", 503, nil, 3, 4, 1},
		{"busy", 429, nil, 2, 3, 1},
		{"refused", 0, io.ErrUnexpectedEOF, 1 << 30, 8, 0},
		{"final", 400, nil, 1 << 30, 1, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var posts atomic.Uint64
				e := New(Config{URL: "http://collector/v1/traces", Logger: logger(), Queue: 5, HTTP: &http.Client{Transport: transport(func() (int, error) {
					if posts.Add(1) <= uint64(tc.downFor) {
						return tc.code, tc.err
					}
					return 200, nil
				})}})
				e.Export(trace.Span{Trace: 1, Step: trace.Send})
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				if st := e.Stats(); posts.Load() != tc.posts || st.Exported != tc.exported || st.Dropped != 1-tc.exported || st.Queued != 0 {
					t.Errorf("%d posts, %+v", posts.Load(), st)
				}
				e.Close(t.Context())
			})
		})
	}
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		e := New(Config{URL: "http://collector/v1/traces", Logger: logger(), Queue: 5, HTTP: &http.Client{Transport: transport(func() (int, error) {
			<-hang
			return 200, nil
		})}})
		e.Export(trace.Span{Trace: 1, Step: trace.Send})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for range 20 {
			e.Export(trace.Span{Trace: 1, Step: trace.Send})
		}
		if st := e.Stats(); st.Queued != 5 || st.Dropped != 15 {
			t.Errorf("%+v", st)
		}
		close(hang)
		e.Close(t.Context())
		if st := e.Stats(); st.Exported != 6 {
			t.Errorf("%+v", st)
		}
	})
}
