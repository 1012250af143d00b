package router

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/cluster"
)

// An address that asks too much is told for how long to wait, and others are
// not made to.
func TestAddressesAreLimited(t *testing.T) {
	now := time.UnixMilli(1000)
	r := New(Config{
		Members: &fakeMembers{list: []cluster.Member{gateway("a", 0)}}, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return now }, Rate: 2, Burst: 4, Exempt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	from := func(addr, path string) *httptest.ResponseRecorder {
		req := httptest.NewRequest("GET", path, nil)
		req.RemoteAddr = addr
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		return w
	}
	for i := range 4 {
		if w := from("192.0.2.1:1000", "/v1/addresses"); w.Code != http.StatusOK {
			t.Fatalf("request %d: %d %s", i+1, w.Code, w.Body)
		}
	}
	// Whatever it is that is asked.
	for _, path := range []string{"/v1/addresses", "/v1/nodes", "/nothing"} {
		w := from("192.0.2.1:2000", path)
		var body struct{ Error struct{ Kind, Detail string } }
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatalf("%s: %s: %v", path, w.Body, err)
		}
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" || body.Error.Kind != "busy" || body.Error.Detail == "" {
			t.Errorf("%s: %d %v %+v", path, w.Code, w.Header(), body)
		}
	}
	for _, addr := range []string{"192.0.2.2:1", "[2001:db8::1]:1"} {
		if w := from(addr, "/v1/addresses"); w.Code != http.StatusOK {
			t.Errorf("%s: %d", addr, w.Code)
		}
	}
	for range 100 {
		if w := from("10.1.2.3:1", "/v1/addresses"); w.Code != http.StatusOK {
			t.Fatalf("an address without a limit: %d", w.Code)
		}
	}
	// Addresses of one IPv6 network count together.
	for _, addr := range []string{"[2001:db8::2]:1", "[2001:db8::3]:1", "[2001:db8::4]:1"} {
		from(addr, "/v1/addresses")
	}
	if w := from("[2001:db8::5]:1", "/v1/addresses"); w.Code != http.StatusTooManyRequests {
		t.Errorf("the fifth address of a network: %d", w.Code)
	}
	if s := r.Stats(); s.Refused != 4 || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
	now = now.Add(500 * time.Millisecond)
	if w := from("192.0.2.1:1000", "/v1/addresses"); w.Code != http.StatusOK {
		t.Errorf("after a while: %d", w.Code)
	}
}
