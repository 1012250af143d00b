package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// fakeRouter answers as it is told, and counts.
type fakeRouter struct {
	*httptest.Server
	asked  atomic.Int64
	status atomic.Int64
	query  atomic.Value
}

func newFakeRouter(t *testing.T, name string) *fakeRouter {
	t.Helper()
	f := &fakeRouter{}
	f.status.Store(http.StatusOK)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		f.asked.Add(1)
		f.query.Store(req.URL.String())
		if status := int(f.status.Load()); status != http.StatusOK {
			w.WriteHeader(status)
			fmt.Fprint(w, `{"error":{"kind":"unavailable","detail":"no gateway is there"}}`)
			return
		}
		fmt.Fprintf(w, `{"addresses":[{"node":"g","link":"%s:7001","http":"%s:7080","load":0.5}],"stale":false}`, name, name)
	}))
	t.Cleanup(f.Close)
	return f
}

func TestRoutersTakeTheOneThatAnswers(t *testing.T) {
	one, two := newFakeRouter(t, "one"), newFakeRouter(t, "two")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := NewRouters([]string{one.URL, two.URL + "/"}, client)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() string {
		t.Helper()
		list, err := r.Gateways(t.Context(), 42, 2)
		if err != nil || len(list) != 1 {
			t.Fatalf("%v, %v", list, err)
		}
		return list[0].Link
	}
	if got := ask(); got != "one:7001" || one.query.Load() != "/v1/addresses?n=2&user=42" {
		t.Errorf("%s after %v", got, one.query.Load())
	}
	one.status.Store(http.StatusServiceUnavailable)
	if got := ask(); got != "two:7001" {
		t.Errorf("while the first knows none: %s", got)
	}
	// The last good one is asked first from then on.
	one.status.Store(http.StatusOK)
	asked := one.asked.Load()
	if got := ask(); got != "two:7001" || one.asked.Load() != asked {
		t.Errorf("then %s, and the first was asked %d times more", got, one.asked.Load()-asked)
	}
	one.Close()
	two.Close()
	_, err = r.Gateways(t.Context(), 0, 1)
	if e := (*Error)(nil); !errors.As(err, &e) || !e.Kind.Temporary() {
		t.Errorf("without routers: %v", err)
	}
}

func TestRoutersAreURLs(t *testing.T) {
	for _, urls := range [][]string{nil, {"127.0.0.1:7005"}, {"tcp://h:1"}, {"http://"}} {
		if _, err := NewRouters(urls, nil); err == nil {
			t.Errorf("%q are taken", urls)
		}
	}
}
