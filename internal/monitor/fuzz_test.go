package monitor

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/series"
)

// FuzzReport makes a report of whatever is in a file of a monitor's logs.
func FuzzReport(f *testing.F) {
	const magic = "skein-samples 1\n"
	f.Add([]byte(magic + "n 0 sum " + seriesRequests + "\nn 1 max " + metricQueueLength + `{queue="mailbox"}` + "\nt 1790000000 0=5 1=7\nt 1790000002 0=6 1=\n"))
	f.Add([]byte(magic + "n 0 sum " + metricCommands + "\nt 0 0=1e308\nt 7 0=-1e18\nt 9223372036854775807 0=1e18\n"))
	f.Add([]byte(magic + "n 0 sum x\nt 5 0=1\ne 6 " + `{"alerts":[{"rule":"queue","subject":"polls","firing":true}]}` + "\ne 7 {\"alerts\":[]}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "samples-1.log")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := reportOf([]string{path}, 100)
		if err != nil {
			if im.KindOf(err) == im.Internal {
				t.Fatal(err)
			}
			return
		}
		if err := p.Write(io.Discard); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzPages asks for series and charts with any query: the answer is JSON of
// bounded size, or says what is wrong.
func FuzzPages(f *testing.F) {
	const now = 1_790_000_000
	m, err := New(Config{Logger: quiet, Targets: Static{}})
	if err != nil {
		f.Fatal(err)
	}
	store := series.New(10)
	for at := range int64(700) {
		store.Add(now-700+at, metricCommands, series.Sum, float64(at))
	}
	m.store.Store(store)
	m.state.Store(&State{Time: now})
	f.Add("name=" + metricCommands + "&from=-100&points=7")
	f.Add("name=" + metricCommands + "&from=9223372036854775507&to=9223372036854775807&points=1500")
	f.Add("name=a&name=b@c&from=-9223372036854775808&to=0")
	f.Add("name=" + metricCommands + "&from=-90100&to=-90000&points=60")
	f.Add("id=qps&to=-1&points=99999999999")
	f.Fuzz(func(t *testing.T, query string) {
		if _, err := url.ParseQuery(query); err != nil {
			return
		}
		for _, page := range []http.HandlerFunc{m.serveSeries, m.serveCharts} {
			req, res := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
			req.URL.RawQuery = query
			page(res, req)
			if res.Code == http.StatusOK && !json.Valid(res.Body.Bytes()) || res.Code != http.StatusOK && res.Code != http.StatusBadRequest {
				t.Fatalf("status %d: %s", res.Code, res.Body)
			}
		}
	})
}
