package e2e

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var update = flag.Bool("update", false, "write the generated part of docs/METRICS.md")

// scrape is what a node's /metrics says, by name.
func scrape(t *testing.T, s *server) map[string]*dto.MetricFamily {
	t.Helper()
	status, body := get(web, "http://"+s.Ops+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// documented is what docs/METRICS.md says of one metric.
type documented struct {
	typ, help string
	// labels and their values, roles that have it.
	labels map[string][]string
	roles  []string
}

// anyValue stands for the values of labels that are not from a fixed list.
var anyValue = map[string]string{"version": "that of the program", "region": "those in `--regions`"}

// wholeRoles are those all of whose metrics are listed; of others, only what
// these do not have.
var wholeRoles = []string{"mailbox", "gateway", "serve", "monitor"}

// gather adds a role's metrics to what there is.
func gather(t *testing.T, all map[string]*documented, role string, families map[string]*dto.MetricFamily) {
	t.Helper()
	for name, f := range families {
		d := all[name]
		if !strings.HasPrefix(name, "skein_") || d != nil && !slices.Contains(wholeRoles, role) {
			continue
		}
		if d == nil {
			d = &documented{typ: strings.ToLower(f.GetType().String()), help: f.GetHelp(), labels: map[string][]string{}}
			all[name] = d
		}
		if d.help != f.GetHelp() {
			t.Errorf("%s has two helps: %q and %q", name, d.help, f.GetHelp())
		}
		d.roles = append(d.roles, role)
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				value := l.GetValue()
				if any := anyValue[l.GetName()]; any != "" {
					value = any
				}
				if values := d.labels[l.GetName()]; !slices.Contains(values, value) {
					d.labels[l.GetName()] = append(values, value)
				}
			}
		}
	}
}

// reference is the generated part of docs/METRICS.md.
func reference(all map[string]*documented) string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | roles | what it is |\n|---|---|---|---|---|\n")
	// users of a label with the same values, by label and values.
	users := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		d := all[name]
		var labels []string
		for _, label := range slices.Sorted(maps.Keys(d.labels)) {
			labels = append(labels, "`"+label+"`")
			values := slices.Sorted(slices.Values(d.labels[label]))
			key := fmt.Sprintf("| `%s` | %s", label, strings.Join(values, ", "))
			users[key] = append(users[key], "`"+name+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", name, d.typ, strings.Join(labels, ", "), strings.Join(d.roles, ", "), d.help)
	}
	b.WriteString("\n| label | values | of |\n|---|---|---|\n")
	for _, key := range slices.Sorted(maps.Keys(users)) {
		fmt.Fprintf(&b, "%s | %s |\n", key, strings.Join(users[key], ", "))
	}
	return b.String()
}

const (
	referenceBegins = "<!-- generated: go test ./e2e -run MetricsAreDocumented -update -->\n"
	referenceEnds   = "<!-- end -->\n"
)

// Every metric of every role is in docs/METRICS.md, with its type, help, labels
// and their values, and nothing else is.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := startNode(t, mailboxArgs(t, filepath.Join(dir, "m"))...)
	uplinked, relay := startUplinked(t)
	all, away := map[string]*documented{}, startSite(t, "async")
	for _, role := range []struct {
		name string
		node *server
	}{
		{"mailbox", m},
		{"gateway", startNode(t, gatewayArgs(t, m, "--workers", "1")...)},
		{"serve", start(t, filepath.Join(dir, "s"), "--workers", "1")},
		{"monitor", startNode(t, "monitor", "--json", "--data", filepath.Join(dir, "w"), "--ops", "127.0.0.1:0", "--monitor-targets", m.Ops)},
		{"router", startNode(t, newNodes(t, filepath.Join(dir, "n")).args("router", "way")...)},
		{"shared", start(t, filepath.Join(dir, "r"), append(redisArgs(t), "--role-listen", "127.0.0.1:0")...)},
		{"postgres", start(t, filepath.Join(dir, "p"), append(postgresArgs(t), "--role-listen", "127.0.0.1:0")...)},
		{"region", startPair(t, nil, nil).east},
		{"region", away.region},
		{"uplink", uplinked},
		{"relay", relay},
		{"standby", away.standby},
	} {
		gather(t, all, role.name, scrape(t, role.node))
	}

	path := filepath.Join("..", "docs", "METRICS.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), referenceBegins)
	written, after, ends := strings.Cut(rest, referenceEnds)
	if !ok || !ends {
		t.Fatalf("%s has no generated part", path)
	}
	want := reference(all)
	if written == want {
		return
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+referenceBegins+want+referenceEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	there := strings.Split(written, "\n")
	for _, line := range strings.Split(want, "\n") {
		if !slices.Contains(there, line) {
			t.Errorf("not documented: %s", line)
		}
	}
	is := strings.Split(want, "\n")
	for _, line := range there {
		if !slices.Contains(is, line) {
			t.Errorf("documented, but there is no such thing: %s", line)
		}
	}
	t.Errorf("run %s", strings.Trim(referenceBegins, "<!->\n"))
}

// The counters of workers are added up, histograms too, and what a worker has
// counted is not lost when it dies.
func TestMetricsOfWorkersAreMerged(t *testing.T) {
	inBothShapes(t, setup{front: []string{"--workers", "2"}}, metricsAreMerged)
}

func metricsAreMerged(t *testing.T, p *product) {
	s := p.server
	logins := func() float64 {
		f := scrape(t, s)["skein_gateway_request_duration_seconds"]
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == "login" {
				return float64(m.GetHistogram().GetSampleCount())
			}
		}
		t.Fatal("there is no such metric")
		return 0
	}
	if n := metric(t, s, "skein_processes"); n != 3 {
		t.Fatalf("%v processes", n)
	}
	ann := newUser(t, &world{server: s, http: "http://" + s.HTTP}, "ann")
	connect := func() { ann.dial(t, "tcp://"+s.Link, ann.token).Close() }
	for i := range 10 {
		connect()
		if n := logins(); n != float64(i+1) {
			t.Fatalf("%v logins after %d", n, i+1)
		}
	}
	for _, pid := range workersOf(t, s) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for metric(t, s, "skein_worker_restarts_total") < 2 || metric(t, s, "skein_workers_ready") < 2 {
		if err := testContext(t).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if n := logins(); n != 10 {
		t.Fatalf("%v logins after the workers died", n)
	}
	connect()
	if n := logins(); n != 11 {
		t.Fatalf("%v logins after one more", n)
	}
}
