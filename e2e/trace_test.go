package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/skein-im/skein/client"
	"github.com/skein-im/skein/internal/trace"
)

// otlp is a collector on this machine, for any number of processes.
type otlp struct {
	url string
	mu  sync.Mutex
	// steps are the names of spans by trace.
	steps map[string]map[string]bool
	// raw is everything that came.
	raw     strings.Builder
	changed chan struct{}
}

func newOTLP(t *testing.T) *otlp {
	o := &otlp{steps: map[string]map[string]bool{}, changed: make(chan struct{}, 1)}
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		m := new(collector.ExportTraceServiceRequest)
		if err == nil {
			err = proto.Unmarshal(body, m)
		}
		if err != nil {
			t.Errorf("the collector got %q: %v", body, err)
		}
		o.take(body, m)
	}))
	t.Cleanup(srv.Close)
	o.url = srv.URL + "/v1/traces"
	return o
}

func (o *otlp) take(body []byte, m *collector.ExportTraceServiceRequest) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.raw.Write(body)
	for _, rs := range m.ResourceSpans {
		for _, s := range rs.ScopeSpans[0].Spans {
			id := string(s.TraceId[8:])
			if o.steps[id] == nil {
				o.steps[id] = map[string]bool{}
			}
			o.steps[id][s.Name] = true
		}
	}
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// wait waits until there is a span of every step of a trace.
func (o *otlp) wait(t *testing.T, id client.TraceID, want []string) {
	t.Helper()
	ctx := testContext(t)
	key := make([]byte, 8)
	for i := range key {
		key[i] = byte(id >> (56 - 8*i))
	}
	for {
		o.mu.Lock()
		var missing []string
		for _, step := range want {
			if !o.steps[string(key)][step] {
				missing = append(missing, step)
			}
		}
		o.mu.Unlock()
		if len(missing) == 0 {
			return
		}
		select {
		case <-o.changed:
		case <-ctx.Done():
			t.Fatalf("the collector has no span of %v", missing)
		}
	}
}

// hops are the steps of a message whose way is not disturbed.
var hops = []string{
	"send", "gateway.receive", "mailbox.arrive", "mailbox.queue", "mailbox.apply", "mailbox.batch", "mailbox.commit", "mailbox.release",
	"gateway.answer", "link.forward", "receiver.queue", "receiver.apply", "receiver.batch", "receiver.commit", "receiver.release",
	"gateway.deliver", "client.ack", "ack.forward", "ack.queue", "ack.apply",
}

// A message whose sender asks for it is followed through every process, to the
// receiver and back; and what is told of it does not say what it said.
func TestTrace(t *testing.T) {
	t.Parallel()
	for _, name := range []string{together, "workers", "two processes", "two processes and workers"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOTLP(t)
			followMessage(t, o, shapes[name](t, filepath.Join(t.TempDir(), "data"), setup{every: []string{"--trace-export", o.url}}))
		})
	}
}

func followMessage(t *testing.T, o *otlp, g *product) {
	const planted = "the-planted-body"
	w := g.world()
	a, b := newUser(t, w, "alice"), newUser(t, w, "bob")
	ac, bc := a.dial(t, "tcp://"+g.Link, a.token), b.dial(t, "tcp://"+g.Link, b.token)
	makeFriends(t, a, b, ac, bc)
	id := client.NewTraceID()
	if _, err := ac.SendTraced(testContext(t), b.id, client.Text(planted), id); err != nil {
		t.Fatal(err)
	}
	if e := next(t, bc, client.Message); string(e.Content.Body) != planted || e.Trace != id {
		t.Fatalf("received %q with trace %v", e.Content.Body, e.Trace)
	}
	if _, err := ac.SendText(testContext(t), b.id, "not traced"); err != nil {
		t.Fatal(err)
	}
	if e := next(t, bc, client.Message); e.Trace != 0 {
		t.Errorf("a message that nobody asked about has trace %v", e.Trace)
	}
	o.wait(t, id, hops)
	checkTrace(t, id, planted, g.ops())
	o.mu.Lock()
	defer o.mu.Unlock()
	if strings.Contains(o.raw.String(), planted) || strings.Contains(o.raw.String(), a.token) || len(o.steps) != 1 {
		t.Errorf("the collector knows too much: %d traces, %q", len(o.steps), o.raw.String())
	}
}

// checkTrace holds what 'skein trace' says against what it should.
func checkTrace(t *testing.T, id client.TraceID, planted, ops string) {
	t.Helper()
	report := fetchTrace(t, id, ops)
	var got []string
	for _, s := range report.Traces[0].Spans {
		got = append(got, s.Step.String())
		if s.End < s.Start || s.Error != 0 {
			t.Errorf("%+v", s)
		}
	}
	want := slices.Clone(hops)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	text, err := run(t, "", "trace", id.String(), "--ops", ops)
	if err != nil || !strings.Contains(text, "receiver.commit") || !strings.Contains(text, "  gateway.receive") {
		t.Errorf("%v: %s", err, text)
	}
	slow, err := run(t, "", "trace", "--slow", "5", "--ops", ops)
	if err != nil || !strings.HasPrefix(slow, id.String()) {
		t.Errorf("%v: slow: %s", err, slow)
	}
	if strings.Contains(text+slow, planted) {
		t.Errorf("a trace tells the body: %s%s", text, slow)
	}
}

// fetchTrace is what 'skein trace' knows of a trace.
func fetchTrace(t *testing.T, id client.TraceID, ops string) (report trace.Report) {
	t.Helper()
	out, err := run(t, "", "trace", id.String(), "--ops", ops, "--json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &report)
	}
	if err != nil || len(report.Traces) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	return report
}

// Two mailbox nodes each have one half of the way, and their spans are one trace.
func TestTraceAcrossNodes(t *testing.T) {
	t.Parallel()
	o := newOTLP(t)
	c := newNodes(t, filepath.Join(t.TempDir(), "data"))
	one, two := c.mailbox("one", "--trace-export", o.url), c.mailbox("two", "--trace-export", o.url)
	g := c.gateway("--trace-export", o.url)
	c.await("two nodes share the slots", settled(3))
	w := &world{server: g, http: "http://" + g.HTTP}
	alice := newUser(t, w, "alice")
	ac := alice.dial(t, "tcp://"+g.Link, alice.token)
	// Who lives where is up to the numbers of users.
	for i := range 16 {
		peer := newUser(t, w, fmt.Sprint("peer", i))
		pc := peer.dial(t, "tcp://"+g.Link, peer.token)
		makeFriends(t, alice, peer, ac, pc)
		id := client.NewTraceID()
		if _, err := ac.SendTraced(testContext(t), peer.id, client.Text("hello"), id); err != nil {
			t.Fatal(err)
		}
		next(t, pc, client.Message)
		o.wait(t, id, hops)
		report := fetchTrace(t, id, one.Ops+","+two.Ops+","+g.Ops)
		at := map[trace.Step]string{}
		for _, s := range report.Traces[0].Spans {
			at[s.Step] = s.Node
		}
		if at[trace.Commit] == at[trace.ReceiverCommit] {
			continue
		}
		if len(at) != len(hops) || at[trace.Forward] != at[trace.ReceiverCommit] || at[trace.AckApply] != at[trace.Commit] {
			t.Errorf("the steps were at %v", at)
		}
		return
	}
	t.Fatal("16 users live on the node where alice does")
}

// Between regions, the relay is a step of the way.
func TestTraceAcrossRegions(t *testing.T) {
	t.Parallel()
	p := startPair(t, nil, nil)
	alice, bob := newUser(t, worldOf(p.east), "alice"), newUser(t, worldOf(p.west), "bob")
	ac, bc := alice.dial(t, "tcp://"+p.east.Link, alice.token), bob.dial(t, "tcp://"+p.west.Link, bob.token)
	makeFriends(t, alice, bob, ac, bc)
	id := client.NewTraceID()
	if _, err := ac.SendTraced(testContext(t), bob.id, client.Text("hello"), id); err != nil {
		t.Fatal(err)
	}
	if e := next(t, bc, client.Message); e.Trace != id {
		t.Fatalf("received with trace %v", e.Trace)
	}
	// The ack goes before the reply, on the same way.
	if _, err := bc.SendText(testContext(t), alice.id, "re: hello"); err != nil {
		t.Fatal(err)
	}
	next(t, ac, client.Message)
	out, err := run(t, "", "trace", id.String(), "--ops", p.east.Ops+","+p.west.Ops)
	if err != nil {
		t.Fatal(err)
	}
	for step, want := range map[string]int{"relay.forward": 2, "mailbox.commit": 1, "receiver.commit": 1, "ack.apply": 1} {
		if n := strings.Count(out, step); n != want {
			t.Errorf("%d times %s:\n%s", n, step, out)
		}
	}
}
