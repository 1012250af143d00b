package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// ConnectResult is the outcome of Connect.
type ConnectResult struct {
	Good        bool          `json:"good"`
	Config      ConnectConfig `json:"config"`
	Environment Environment   `json:"environment"`
	Congestion  string        `json:"congestion_control,omitempty"`
	// Processes are those of the load generator.
	Processes        int     `json:"client_processes"`
	ProvisionSeconds float64 `json:"provision_seconds"`

	// Conns is how many connections were open when all were, or time was
	// up; ConnectSeconds from the first attempt to the last Welcome.
	Conns          int         `json:"conns"`
	ConnectSeconds float64     `json:"connect_seconds"`
	ConnectPerSec  float64     `json:"connect_per_sec"`
	LoginMS        Percentiles `json:"login_ms"`
	// Retries are attempts that had to be repeated, Lost connections that
	// ended after they had logged in, at any time of the run.
	Retries   uint64     `json:"retries"`
	Lost      uint64     `json:"lost"`
	Heartbeat Heartbeats `json:"heartbeat"`

	// Memory of the processes that hold the connections, after the hold.
	// That per connection is what it has grown by since before the first
	// one; Anon is the part of it that is not of files.
	ServerProcesses   int     `json:"server_processes"`
	ServerRSS         uint64  `json:"server_rss_bytes"`
	ServerRSSPerConn  float64 `json:"server_rss_bytes_per_conn"`
	ServerAnonPerConn float64 `json:"server_anon_bytes_per_conn"`
	// TotalRSS is that of all the server's processes.
	TotalRSS uint64 `json:"server_total_rss_bytes"`

	Requests *Requests `json:"requests,omitempty"`
	// LatencyMS is from when a request was due to its answer, LatenessMS
	// by how much the load generator was late to send it.
	LatencyMS  *Percentiles `json:"latency_ms,omitempty"`
	LatenessMS *Percentiles `json:"generator_lateness_ms,omitempty"`
	ServerCPU  float64      `json:"server_cpu_us_per_request,omitempty"`
	ClientCPU  float64      `json:"client_cpu_us_per_request,omitempty"`

	// Pushed is how many connections the notice reached; PushSeconds is
	// from asking for it to the last one.
	Pushed      int     `json:"pushed"`
	PushedAgain uint64  `json:"pushed_again"`
	PushSeconds float64 `json:"push_seconds"`
	PushPerSec  float64 `json:"push_per_sec"`

	// Errors are why connections ended or did not come about, and what the
	// server did wrong; Wrong counts the latter.
	Wrong  uint64            `json:"wrong"`
	Errors map[string]uint64 `json:"errors"`
}

// Heartbeats are those of all connections. A missed one had no answer within
// the interval.
type Heartbeats struct {
	IntervalMS uint32 `json:"interval_ms"`
	Sent       uint64 `json:"sent"`
	Missed     uint64 `json:"missed"`
}

// Requests is what became of the small requests.
type Requests struct {
	PerSec   float64 `json:"per_sec"`
	Due      uint64  `json:"due"`
	Answered uint64  `json:"answered"`
	// Missing ones had no answer, or no connection to be sent on.
	Missing uint64 `json:"missing"`
}

func newConnectResult(c *crowd, cfg ConnectConfig) *ConnectResult {
	env := newEnvironment(cfg.Version)
	return &ConnectResult{
		Config: cfg, Environment: env, Congestion: env.Congestion,
		Processes: c.swarm.Processes(), ProvisionSeconds: c.provisioned.Seconds(), Errors: map[string]uint64{},
	}
}

// measure takes the server's memory.
func (r *ConnectResult) measure(before, after *serverUsage) {
	r.ServerProcesses, r.ServerRSS, r.TotalRSS = after.processes, after.gateways.rss, after.all.rss
	n := float64(r.Conns)
	r.ServerRSSPerConn = (float64(after.gateways.rss) - float64(before.gateways.rss)) / n
	r.ServerAnonPerConn = (float64(after.gateways.anon) - float64(before.gateways.anon)) / n
}

// answered takes what came of the requests.
func (r *ConnectResult) answered(l *loaded, seconds float64) {
	r.Requests = &Requests{
		PerSec: float64(l.InTime) / seconds, Due: l.Due, Answered: l.Answered, Missing: l.Due - l.Answered,
	}
	r.LatencyMS, r.LatenessMS = &l.latency, &l.lateness
	r.ServerCPU = cpuPer(l.gatewayCPU, l.Answered)
	r.ClientCPU = cpuPer(l.clientCPU, l.Answered)
}

// fault counts an error of the run itself.
func (r *ConnectResult) fault(kind string) { r.Errors[kind]++ }

// good: every connection came about and stayed, and had all its answers and
// the push, once.
func (r *ConnectResult) good() bool {
	return r.Conns == r.Config.Conns && r.Lost == 0 && r.Heartbeat.Missed == 0 && r.Wrong == 0 &&
		(r.Config.Rate == 0 || r.Requests != nil && r.Requests.Missing == 0) &&
		(r.Config.NoPush || r.Pushed == r.Conns && r.PushedAgain == 0)
}

// WriteSummary tells a person.
func (r *ConnectResult) WriteSummary(w io.Writer) {
	fmt.Fprintf(w, "%d connections from %d processes\n", r.Config.Conns, r.Processes)
	verdict := "every connection lasted and got everything"
	if !r.Good {
		verdict = "NOT GOOD"
	}
	fmt.Fprintf(w, "  %s\n", verdict)
	fmt.Fprintf(w, "  connected   %d in %.2f s, %.0f/s; %d attempts repeated, %d connections lost\n",
		r.Conns, r.ConnectSeconds, r.ConnectPerSec, r.Retries, r.Lost)
	writePercentiles(w, "login", &r.LoginMS)
	fmt.Fprintf(w, "  heartbeats  %d sent, every %g s, %d missed\n",
		r.Heartbeat.Sent, float64(r.Heartbeat.IntervalMS)/1000, r.Heartbeat.Missed)
	if r.ServerProcesses > 0 {
		fmt.Fprintf(w, "  memory      %.0f bytes per connection in %d server processes, %.1f MiB in all\n",
			r.ServerRSSPerConn, r.ServerProcesses, mib(r.ServerRSS))
	}
	r.writeRequests(w)
	if !r.Config.NoPush {
		fmt.Fprintf(w, "  push        to %d in %.2f s, %.0f/s\n", r.Pushed, r.PushSeconds, r.PushPerSec)
	}
	writeErrors(w, r.Errors)
}

func (r *ConnectResult) writeRequests(w io.Writer) {
	if r.Requests == nil {
		return
	}
	fmt.Fprintf(w, "  requests    %d due, %d answered, %.0f/s\n", r.Requests.Due, r.Requests.Answered, r.Requests.PerSec)
	writePercentiles(w, "answered", r.LatencyMS)
	writePercentiles(w, "own delay", r.LatenessMS)
	fmt.Fprintf(w, "  CPU         %.1f us per request here", r.ClientCPU)
	if r.ServerProcesses > 0 {
		fmt.Fprintf(w, ", %.1f us in the server", r.ServerCPU)
	}
	fmt.Fprintln(w)
}

// writeErrors lists errors, the most frequent first.
func writeErrors(w io.Writer, errs map[string]uint64) {
	kinds := slices.SortedFunc(maps.Keys(errs), func(a, b string) int {
		if errs[a] != errs[b] {
			return int(min(max(int64(errs[b])-int64(errs[a]), -1), 1))
		}
		return int(min(max(int64(len(a))-int64(len(b)), -1), 1))
	})
	for _, kind := range kinds {
		fmt.Fprintf(w, "  error       %d x %s\n", errs[kind], kind)
	}
}
