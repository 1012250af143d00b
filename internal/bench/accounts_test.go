package bench

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/skein-im/skein/client"
	rpc "github.com/skein-im/skein/gen/skein/v1/skeinv1connect"
)

// TestProvisionDuringRestart breaks off the first requests, as a server does
// that is killed while users are made.
func TestProvisionDuringRestart(t *testing.T) {
	var calls atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) <= 2 {
			panic(http.ErrAbortHandler)
		}
		if r.URL.Path != rpc.AdminServiceProvisionProcedure {
			t.Errorf("a call of %s", r.URL.Path)
		}
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	}))
	defer srv.Close()
	d, err := NewDataset(10, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	a, err := provision(t.Context(), client.NewAPI(srv.URL, "operator", srv.Client()), d, 1)
	if err != nil || len(a.tokens) != d.Users || calls.Load() != 3 {
		t.Fatalf("%v after %d calls", err, calls.Load())
	}
}
