package monitor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skein-im/skein/internal/series"
)

// A rule fires late, ends late, and does not flutter in between.
func TestHysteresis(t *testing.T) {
	value := map[string]float64{}
	rule := Rule{Name: "r", Fire: 10, Clear: 5, For: 3, ClearFor: 2, measure: func(*view) (all []measured) {
		for s, v := range value {
			all = append(all, measured{subject: s, value: v})
		}
		return all
	}}
	a := newAlerts([]Rule{rule})
	history, at := "", int64(100)
	for _, v := range []float64{1, 10, 10, 9, 10, 10, 10, 10, 7, 5, 7, 5, 4, 4, 10, 1, 10, 10, 10, 10} {
		value["x"] = v
		a.evaluate(&view{at: at})
		history += fmt.Sprint(len(a.firing()))
		at++
	}
	if want := "00000001111110000001"; history != want {
		t.Errorf("%s, want %s", history, want)
	}
	if f := a.firing(); len(f) != 1 || f[0].Since != 119 || f[0].Value != 10 || !f[0].Firing {
		t.Errorf("%+v", f)
	}
	// Without a measure it stays, but not for ever.
	delete(value, "x")
	a.evaluate(&view{at: at + forgetAfter - 1})
	if len(a.firing()) != 1 {
		t.Error("over too soon")
	}
	a.evaluate(&view{at: at + forgetAfter})
	if len(a.firing()) != 0 {
		t.Error("it fires without a measure")
	}
	for i := range maxAlerts + 5 {
		value[fmt.Sprint(i)] = 10
	}
	a.evaluate(&view{at: at + 1000})
	if len(a.state) != maxAlerts || a.dropped != 5 {
		t.Errorf("%d alerts, %d dropped", len(a.state), a.dropped)
	}
}

func TestRulesMeasure(t *testing.T) {
	for _, c := range []struct {
		rule string
		now  map[string]float64
		want float64
	}{
		{"errors", map[string]float64{seriesRequests: 100, metricAPIErrors + `{kind="busy"}`: 20, metricErrors + `{kind="internal",op="send"}`: 5, metricErrors + `{kind="busy",op="call"}`: 20}, 0.25},
		{"errors", map[string]float64{seriesRequests: 1, metricAPIErrors + `{kind="busy"}`: 1}, 0},
		{"queue", map[string]float64{metricQueueLength + `{queue="polls"}`: 75, metricQueueLimit + `{queue="polls"}`: 100, metricQueueLength + `{queue="x"}`: 9}, 0.75},
		{"latency", map[string]float64{metricRequest + tailSuffix + `{op="send"}`: 0.3, metricRequest + tailSuffix + `{op="call"}`: 0.2, metricRequest + tailSuffix + `{op="login"}`: 9}, 0.3},
		{"outbox", map[string]float64{metricOldest: 40}, 40},
	} {
		for _, r := range Rules() {
			if r.Name != c.rule {
				continue
			}
			if got := r.measure(&view{now: c.now}); len(got) != 1 || got[0].value != c.want {
				t.Errorf("%s of %v: %v", c.rule, c.now, got)
			}
		}
	}
	full := measureDisk(&view{nodes: []NodeNow{{Name: "a", Values: map[string]float64{"disk_free": 5, "disk_size": 100}}, {Name: "b"}}})
	if len(full) != 1 || full[0].subject != "a" || full[0].value != 0.95 {
		t.Errorf("%v", full)
	}
	for _, r := range Rules() {
		if r.Fire <= r.Clear || r.For <= 0 || r.ClearFor < r.For || r.Help == "" || len(r.of) == 0 {
			t.Errorf("%+v", r)
		}
		if r.Name != "availability" {
			if got := r.measure(&view{store: newStoreForTest()}); len(got) != 0 {
				t.Errorf("%s without metrics: %v", r.Name, got)
			}
		}
	}
}

func TestSurge(t *testing.T) {
	s := newStoreForTest()
	const at = 1_790_000_000
	for i := int64(at - 1200); i <= at; i++ {
		v := 100.0
		if i > at-surgeNow {
			v = 500
		}
		s.Add(i, seriesRequests, 0, v)
	}
	if got := measureSurge(&view{at: at, store: s}); len(got) != 1 || got[0].value < 4.9 || got[0].value > 5.1 {
		t.Errorf("%v", got)
	}
}

// transport answers as it is told.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestWebhookThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newWebhook("http://example.com/x", quiet)
		var hung atomic.Bool
		var bodies atomic.Uint64
		hung.Store(true)
		h.client.Transport = transport(func(r *http.Request) (*http.Response, error) {
			if hung.Load() {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			b, _ := io.ReadAll(r.Body)
			if !strings.Contains(string(b), `"rule":"queue"`) {
				return nil, errors.New("not a message")
			}
			bodies.Add(1)
			return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { h.run(ctx); close(done) }()
		for range webhookQueue + 10 {
			h.tell(message{Alerts: []Alert{{Rule: "queue", Firing: true}}})
		}
		h.tell(message{})
		synctest.Wait()
		if s := h.Stats(); s.Dropped == 0 || s.Waiting < webhookQueue-1 {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		s := h.Stats()
		if s.Failed == 0 || s.Error == "" {
			t.Errorf("%+v", s)
		}
		hung.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := h.Stats(); s.Error != "" || s.Waiting != 0 || s.Delivered != bodies.Load() || s.Delivered == 0 {
			t.Errorf("%+v, %d", s, bodies.Load())
		}
		cancel()
		<-done
		var none *webhook
		none.tell(message{})
		_ = none.Stats()
	})
}

// A webhook's address is often all that it takes to post there: it is in no log,
// and in nothing that a Monitor tells.
func TestWebhookKeepsItsAddress(t *testing.T) {
	for what, answer := range map[string]transport{
		"no answer": func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") },
		"an answer": func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 500, Body: http.NoBody}, nil
		},
		"another path": func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 302, Body: http.NoBody}, nil
		},
	} {
		h := newWebhook("http://example.com/hooks/secret", quiet)
		h.client.Transport = answer
		if err := h.post(t.Context(), nil); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func newStoreForTest() *series.Store { return series.New(10) }

func TestSelectors(t *testing.T) {
	for _, c := range []struct {
		selector, name string
		want           bool
	}{
		{"a", "a", true}, {"a", `a{b="c"}`, true}, {"a", "ab", false}, {`a{b="c"}`, `a{b="c",d="e"}`, true}, {`a{d="e"}`, `a{b="c",d="e"}`, true},
		{`a{d="e"}`, `a{bd="e"}`, false}, {`a{d="e"}`, `a{d="ex"}`, false}, {`a{b="c",d="e"}`, `a{b="c"}`, false}, {"a@n", "a@n", true}, {"a", "a@n", false},
	} {
		if selector(c.selector).matches(c.name) != c.want {
			t.Errorf("%s and %s", c.selector, c.name)
		}
	}
	if l := label(`a{b="c",queue="x"}`, "queue"); l != "x" || label("a", "queue") != "" {
		t.Error(l)
	}
}
