package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/skein-im/skein/internal/patience"
)

// deploy is where the files for operators are.
var deploy = filepath.Join("..", "deploy")

// installed skips a test whose program is missing, unless somebody said that it
// is needed.
func installed(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil && os.Getenv("TEST_NEED_PROMETHEUS") == "" {
		t.Skipf("%v; scripts/deps.sh installs it", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(testContext(t), installed(t, "promtool"), args...)
	cmd.Dir, cmd.Stdin = filepath.Join(deploy, "prometheus"), strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// The shipped rules are valid, and complain when they should.
func TestRules(t *testing.T) {
	t.Parallel()
	promtool(t, "", "check", "rules", "skein.rules.yml")
	promtool(t, "", "test", "rules", "skein.rules.test.yml")
	promtool(t, "", "check", "config", "prometheus.yml")
}

// dashboardQueries are those of the shipped dashboard, with its variables set
// to everything.
func dashboardQueries(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, "grafana", "skein.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	var queries []string
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			queries = append(queries, strings.NewReplacer("$job", ".*", "$instance", ".*").Replace(target.Expr))
		}
	}
	if len(queries) < 30 {
		t.Fatalf("the dashboard has only %d queries", len(queries))
	}
	return queries
}

var (
	metricName = regexp.MustCompile(`\bskein_[a-z_]+`)
	ruleName   = regexp.MustCompile(`\bskein:[a-z0-9_:]+`)
)

// Every metric that the rules, their tests, the dashboard and the docs name is
// in the reference, which TestMetricsAreDocumented holds to what there is; and
// every recorded one is recorded.
func TestShippedFilesNameRealMetrics(t *testing.T) {
	t.Parallel()
	read := func(parts ...string) string {
		text, err := os.ReadFile(filepath.Join(append([]string{".."}, parts...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	metrics := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(skein_[a-z_]+)` \\| (\\w+) ").FindAllStringSubmatch(read("docs", "METRICS.md"), -1) {
		metrics[row[1]] = true
		if row[2] == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				metrics[row[1]+suffix] = true
			}
		}
	}
	rules := read("deploy", "prometheus", "skein.rules.yml")
	for name, text := range map[string]string{
		"rules": rules, "tests of the rules": read("deploy", "prometheus", "skein.rules.test.yml"),
		"dashboard":  strings.Join(dashboardQueries(t), "\n") + read("deploy", "grafana", "skein.json"),
		"METRICS.md": regexp.MustCompile(`skein_[a-z]+_\*`).ReplaceAllString(read("docs", "METRICS.md"), ""),
		"OPERATIONS": read("docs", "OPERATIONS.md"),
	} {
		found := metricName.FindAllString(text, -1)
		if len(found) < 10 {
			t.Errorf("%s: only %q", name, found)
		}
		for _, m := range found {
			if !metrics[m] && m != "skein_workers_" {
				t.Errorf("%s: there is no metric %s", name, m)
			}
		}
		for _, r := range ruleName.FindAllString(text, -1) {
			if !strings.Contains(rules, "record: "+r+"\n") {
				t.Errorf("%s: no rule records %s", name, r)
			}
		}
	}
}

// prometheus is a running Prometheus.
type prometheus struct{ addr string }

// startPrometheus starts one that scrapes nodes every second and evaluates the
// shipped rules.
func startPrometheus(t *testing.T, nodes ...*server) *prometheus {
	t.Helper()
	program, dir := installed(t, "prometheus"), t.TempDir()
	rules, err := filepath.Abs(filepath.Join(deploy, "prometheus", "skein.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, n := range nodes {
		targets = append(targets, n.Ops)
	}
	list, _ := json.Marshal(targets)
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 5s, scrape_timeout: 5s, evaluation_interval: 1s}\nrule_files: [%q]\n"+
		"scrape_configs: [{job_name: skein, static_configs: [{targets: %s}]}]\n", rules, list)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &prometheus{freeAddr(t)}
	logs := &logBuffer{}
	cmd := exec.Command(program, "--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", p.addr)
	cmd.Stderr = logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("log of prometheus:\n%s", logs)
		}
	})
	return p
}

// ask asks for a path of the HTTP API, and puts the data into reply.
func (p *prometheus) ask(path string, query url.Values, reply any) error {
	status, body := get(web, "http://"+p.addr+"/api/v1/"+path+"?"+query.Encode())
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Status != "success" {
		return fmt.Errorf("%d %s %v", status, answer.Error, err)
	}
	return json.Unmarshal(answer.Data, reply)
}

// values are what a query has for a result.
func (p *prometheus) values(query string) (values []string, err error) {
	var data struct {
		Result []struct{ Value [2]any }
	}
	err = p.ask("query", url.Values{"query": {query}}, &data)
	for _, r := range data.Result {
		values = append(values, fmt.Sprint(r.Value[1]))
	}
	return values, err
}

// A real Prometheus scrapes every role, evaluates the shipped rules, and
// answers what the dashboard asks.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	installed(t, "prometheus")
	dir := t.TempDir()
	m := startNode(t, mailboxArgs(t, filepath.Join(dir, "m"))...)
	g := startNode(t, gatewayArgs(t, m)...)
	s := start(t, filepath.Join(dir, "s"), "--workers", "1")
	p := startPrometheus(t, m, g, s)
	for _, node := range []*server{g, s} {
		ann := newUser(t, &world{server: node, http: "http://" + node.HTTP}, "ann")
		ann.dial(t, "tcp://"+node.Link, ann.token)
	}
	patience.Until(t, "three targets are up", func() (bool, any) {
		var data struct {
			ActiveTargets []struct{ Health, LastError, ScrapeURL string }
		}
		err := p.ask("targets", nil, &data)
		up := 0
		for _, target := range data.ActiveTargets {
			if target.Health == "up" {
				up++
			}
		}
		return err == nil && up == 3, fmt.Sprint(data, err)
	})
	for query, want := range map[string][]string{
		"sum(skein_healthy)":                     {"3"},
		"sum(skein_gateway_sessions)":            {"2"},
		"sum(skein_gateway_logins_total)":        {"2"},
		"count(skein:requests:rate1m)":           {"2"},
		"count(skein:queue:ratio) > bool 0":      {"1"},
		"count(ALERTS{alertstate=\"firing\"})":   nil,
		"sum(skein_mailbox_sessions) > bool 1":   {"1"},
		"count by (role) (skein_build_info) > 1": nil,
	} {
		patience.Until(t, query, func() (bool, any) {
			values, err := p.values(query)
			return err == nil && slices.Equal(values, want), fmt.Sprint(values, err)
		})
	}
	for _, query := range dashboardQueries(t) {
		if _, err := p.values(query); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
	for _, node := range []*server{m, g, s} {
		_, body := get(web, "http://"+node.Ops+"/metrics")
		promtool(t, body, "check", "metrics")
	}
}
