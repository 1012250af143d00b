package monitor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/skein-im/skein/internal/series"
)

// fetchOnce asks a server once, as a target elsewhere would be asked.
func fetchOnce(t *testing.T, h http.HandlerFunc) (*node, error) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	f := newFetcher("secret")
	defer f.close()
	n := &node{values: map[string]*value{}}
	err := f.fetch(t.Context(), &Target{Name: "x", URL: srv.URL}, func(families []*dto.MetricFamily) {
		n.take(families, time.Now(), 0)
	})
	return n, err
}

func TestUselessAnswers(t *testing.T) {
	hang, cancel := context.WithCancel(t.Context())
	defer cancel()
	for want, h := range map[string]http.HandlerFunc{
		"does not send metrics": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>\x00{{{ 1") },
		"more than": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("# comment\n", maxBody/10+1))
		},
		"answers 500":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"answers 302":      func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"operator's token": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) },
		"breaks off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "skein_x 1\n")
		},
		"does not answer": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-hang.Done():
			}
		},
	} {
		n, err := fetchOnce(t, h)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("want %q: %v", want, err)
		}
		if len(n.values) != 0 {
			t.Errorf("%q: it has values", want)
		}
	}
}

// The token goes to other machines only, and nowhere by redirection.
func TestTheTokenStaysAmongTargets(t *testing.T) {
	_, _ = fetchOnce(t, func(_ http.ResponseWriter, r *http.Request) {
		if a := r.Header.Get("Authorization"); a != "" {
			t.Errorf("a target on this machine gets %q", a)
		}
	})
	for addr, want := range map[string]bool{
		"http://localhost:1": true, "http://127.0.0.9:1": true, "http://[::1]:1": true, "http://10.0.0.1:1": false, "http://localhost.example:1": false,
	} {
		if local(addr) != want {
			t.Errorf("%s: %v", addr, !want)
		}
	}
}

func TestOddValuesAreSkipped(t *testing.T) {
	text := "# TYPE skein_a counter\nskein_a NaN\n# TYPE skein_b counter\nskein_b -1\n# TYPE skein_c gauge\nskein_c +Inf\n" +
		"# TYPE skein_d gauge\nskein_d{x=\"" + strings.Repeat("y", 300) + "\"} 1\nskein_e{b=\"2\",a=\"sp ace@\"} 5\n# TYPE skein_h histogram\n" +
		"skein_h_bucket{le=\"1\"} 1\nskein_h_sum 1\nskein_h_count 1\nother 7\n"
	for i := range maxValues {
		text += fmt.Sprintf("skein_many{i=\"%d\"} 1\n", i)
	}
	n, err := fetchOnce(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) })
	if err != nil {
		t.Fatal(err)
	}
	if len(n.values) != maxValues || n.skipped < 4 || n.values["other"] != nil || n.values["skein_a"] != nil {
		t.Errorf("%d values, %d skipped", len(n.values), n.skipped)
	}
	n.take(nil, time.Now(), 0)
	if len(n.values) != 0 {
		t.Error("what is not sent any more is still there")
	}
}

// turning tells when a Monitor begins a second.
type turning struct {
	Static
	c chan struct{}
}

func (t turning) Targets() []Target {
	<-t.c
	return t.Static
}

// A thousand nodes report: how often each is asked falls, and nothing else.
func TestAThousandNodes(t *testing.T) {
	f := newFake()
	var text bytes.Buffer
	for i := range 300 {
		fmt.Fprintf(&text, "# HELP skein_metric_%d What it is.\n# TYPE skein_metric_%d counter\nskein_metric_%d{kind=\"a\"} %d\n", i, i, i, i)
	}
	fmt.Fprintf(&text, "# TYPE %s gauge\n%s 1\n", metricHealthy, metricHealthy)
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write(text.Bytes())
	}))
	defer srv.Close()
	targets := Static{f.target("self")}
	for i := range 1000 {
		targets = append(targets, Target{Name: fmt.Sprint("n", i), URL: fmt.Sprint(srv.URL, "/", i)})
	}
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	began := time.Now()
	turns := turning{targets, make(chan struct{})}
	m := start(t, Config{Targets: turns})
	defer stop(t, m)
	defer close(turns.c)
	published, up, last := 0, 0, int64(0)
	// A machine that is too slow for all of them, as under the race detector,
	// has fewer of them up; the pace and the bounds are the same.
	for up < 1000 && published < 8 {
		turns.c <- struct{}{}
		if st := m.State(); st.Time != last {
			last, up = st.Time, 0
			published++
			for _, n := range st.Nodes {
				if n.Up {
					up++
				}
			}
		}
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	took := time.Since(began)
	cpu := time.Duration(after.Utime.Nano()+after.Stime.Nano()-before.Utime.Nano()-before.Stime.Nano()) / time.Duration(max(1, took/time.Second))
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	t.Logf("%d seconds published, %d pulls in %v, %v of CPU time a second (server included), %d MB of memory, state of %d bytes",
		published, asked.Load(), took.Round(time.Millisecond), cpu.Round(time.Millisecond), mem.HeapAlloc>>20, len(m.State().JSON()))
	if most := int64(took/time.Second+2) * maxRate; asked.Load() > most {
		t.Errorf("%d pulls; at most %d are allowed", asked.Load(), most)
	}
	if up == 0 {
		t.Error("no node is up")
	}
	if mem.HeapAlloc > 256<<20 {
		t.Errorf("%d bytes of memory", mem.HeapAlloc)
	}
	if p := m.State().Monitor.PauseMS; p != 4004 {
		t.Errorf("a pause of %d ms", p)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("# TYPE skein_a counter\nskein_a 1\n"))
	f.Add([]byte("# TYPE skein_h histogram\nskein_h_bucket{le=\"+Inf\"} 1\nskein_h_sum 1\nskein_h_count 1\n"))
	f.Add([]byte("# TYPE skein_s summary\nskein_s{quantile=\"0.5\"} NaN\nskein_s_count 2\nskein_x{a=\"\\\"\"} -1e308 5\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		n := &node{values: map[string]*value{}}
		sums := aggregates{byName: map[string]*aggregate{}, most: 100}
		for i := range 3 {
			families, err := parse(text)
			if err != nil {
				return
			}
			n.take(families, time.Unix(int64(100+i), 0), 0)
			sums.begin()
			sums.add(n.values)
			sums.each(func(name string, _ series.Merge, v float64) {
				if len(name) > maxName+10 || strings.ContainsAny(name, " \n") || v != v {
					t.Fatalf("%q is %g", name, v)
				}
			})
		}
	})
}
