package bench

import (
	"fmt"
	"io"
)

// OverloadResult is the outcome of Overload.
type OverloadResult struct {
	// Good: everything that was admitted has arrived, by the books of both
	// sides, and no connection was lost.
	Good        bool           `json:"good"`
	Config      OverloadConfig `json:"config"`
	Environment Environment    `json:"environment"`
	Congestion  string         `json:"congestion_control,omitempty"`
	Conns       int            `json:"conns"`
	Processes   int            `json:"client_processes"`

	// Capacity is the best of Closed, in which each request follows an
	// answer.
	Capacity float64        `json:"capacity_per_sec"`
	Closed   []ClosedStep   `json:"closed,omitempty"`
	Steps    []OverloadStep `json:"steps"`
	// Goodput is that of the last step, Peak the best of all, and
	// GoodputRatio the one in terms of the other.
	Goodput      float64 `json:"goodput_per_sec"`
	Peak         float64 `json:"peak_per_sec"`
	GoodputRatio float64 `json:"goodput_ratio"`

	Audit  *Audit            `json:"audit,omitempty"`
	Lost   uint64            `json:"lost"`
	Wrong  uint64            `json:"wrong"`
	Errors map[string]uint64 `json:"errors,omitempty"`
}

// ClosedStep is a closed loop: so many connections with one request each.
type ClosedStep struct {
	Active int `json:"active"`
	LoadStep
}

// OverloadStep offers so many times the capacity.
type OverloadStep struct {
	Factor float64 `json:"factor"`
	LoadStep
}

// LoadStep is what became of a load.
type LoadStep struct {
	Seconds float64 `json:"seconds"`
	// Offered requests came due. Admitted ones were done, those of Goodput
	// before the load's end.
	Offered       uint64  `json:"offered"`
	OfferedPerSec float64 `json:"offered_per_sec"`
	Admitted      uint64  `json:"admitted"`
	Goodput       float64 `json:"goodput_per_sec"`
	// Shed requests were given up: ShedServer by the server, ShedHeld by
	// devices that the server had asked to wait, ShedFull by devices with
	// too many unanswered.
	Shed       uint64 `json:"shed"`
	ShedServer uint64 `json:"shed_by_server"`
	ShedHeld   uint64 `json:"shed_by_waiting_clients"`
	ShedFull   uint64 `json:"shed_by_full_windows"`
	// Missing requests were neither done nor shed: refused, unanswered, or
	// without a connection.
	Missing uint64 `json:"missing"`
	// LatencyMS is of what was admitted, from when it was due.
	LatencyMS  Percentiles `json:"latency_ms"`
	LatenessMS Percentiles `json:"generator_lateness_ms"`
	// CPU times are per admitted request.
	ServerCPU float64 `json:"server_cpu_us_per_request"`
	ClientCPU float64 `json:"client_cpu_us_per_request"`
}

func newLoadStep(l *loaded, seconds float64) LoadStep {
	s := LoadStep{
		Seconds: seconds, Offered: l.Due, OfferedPerSec: float64(l.Due) / seconds,
		Admitted: l.Answered, Goodput: float64(l.InTime) / seconds,
		ShedServer: l.Shed, ShedHeld: l.Held, ShedFull: l.Full, Shed: l.Shed + l.Held + l.Full,
		LatencyMS: l.latency, LatenessMS: l.lateness,
		ServerCPU: cpuPer(l.serverCPU, l.Answered), ClientCPU: cpuPer(l.clientCPU, l.Answered),
	}
	s.Missing = s.Offered - min(s.Offered, s.Admitted+s.Shed)
	return s
}

func newOverloadResult(c *crowd, cfg OverloadConfig) *OverloadResult {
	env := newEnvironment(cfg.Version)
	return &OverloadResult{
		Config: cfg, Environment: env, Congestion: env.Congestion, Processes: c.swarm.Processes(), Steps: []OverloadStep{},
	}
}

// conclude fills in what follows from the steps.
func (r *OverloadResult) conclude() {
	r.Peak = 0
	missing := uint64(0)
	for i := range r.Closed {
		r.Peak = max(r.Peak, r.Closed[i].Goodput)
		missing += r.Closed[i].Missing
	}
	for i := range r.Steps {
		r.Peak = max(r.Peak, r.Steps[i].Goodput)
		missing += r.Steps[i].Missing
		r.Goodput = r.Steps[i].Goodput
	}
	if r.Peak > 0 {
		r.GoodputRatio = r.Goodput / r.Peak
	}
	r.Good = r.Conns == r.Config.Conns && len(r.Steps) == len(r.Config.Factors) && missing == 0 &&
		r.Lost == 0 && r.Wrong == 0 && (r.Audit == nil || r.Audit.good())
}

// WriteSummary tells a person.
func (r *OverloadResult) WriteSummary(w io.Writer) {
	fmt.Fprintf(w, "overload: %d connections from %d processes, %ss\n", r.Conns, r.Processes, r.Config.What)
	verdict := "everything that was admitted arrived"
	if !r.Good {
		verdict = "NOT GOOD"
	}
	fmt.Fprintf(w, "  %s\n", verdict)
	fmt.Fprintf(w, "  capacity    %.0f/s\n", r.Capacity)
	if len(r.Steps) > 0 {
		fmt.Fprintf(w, "  %-7s %10s %10s %10s %9s %9s %9s %9s %9s\n",
			"load", "offered/s", "goodput/s", "shed", "p50 ms", "p99 ms", "p99.9 ms", "own p99", "CPU us")
	}
	for i := range r.Steps {
		s := &r.Steps[i]
		fmt.Fprintf(w, "  %-7s %10.0f %10.0f %10d %9.1f %9.1f %9.1f %9.1f %9.1f\n", fmt.Sprintf("%gx", s.Factor),
			s.OfferedPerSec, s.Goodput, s.Shed, s.LatencyMS.P50, s.LatencyMS.P99, s.LatencyMS.P999,
			s.LatenessMS.P99, s.ServerCPU)
	}
	fmt.Fprintf(w, "  goodput     %.0f/s at the last load, %.0f%% of the best\n", r.Goodput, 100*r.GoodputRatio)
	if a := r.Audit; a != nil {
		fmt.Fprintf(w, "  books       %d admitted, %d received; at the server %d and %d; %d users differ, %d messages wrong\n",
			a.Admitted, a.Received, a.ServerSent, a.ServerReceived, a.Differing, a.Wrong)
	}
	if r.Lost > 0 {
		fmt.Fprintf(w, "  lost        %d connections\n", r.Lost)
	}
	writeErrors(w, r.Errors)
}
