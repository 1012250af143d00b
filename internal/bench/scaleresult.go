package bench

import (
	"fmt"
	"io"
)

// ScaleResult is the outcome of Scale.
type ScaleResult struct {
	// Good: in every run, every message arrived once and in order.
	Good        bool        `json:"good"`
	Config      ScaleConfig `json:"config"`
	Environment Environment `json:"environment"`
	Runs        []ScaleRun  `json:"runs"`
}

// ScaleRun is the chat on one number of nodes.
type ScaleRun struct {
	Nodes int `json:"nodes"`
	Tally
	Seconds    float64     `json:"seconds"`
	MsgsPerSec float64     `json:"msgs_per_sec"`
	AckMS      Percentiles `json:"ack_ms"`
	DeliverMS  Percentiles `json:"deliver_ms"`
	Reconnects uint64      `json:"reconnects"`
	// CPU is processor time in microseconds per message: by role, and ServerCPU
	// of all of them together.
	CPU       map[string]float64 `json:"cpu_us_per_msg_by_role"`
	ServerCPU float64            `json:"server_cpu_us_per_msg"`
	ClientCPU float64            `json:"client_cpu_us_per_msg"`
	// CPURatio is ServerCPU in terms of the first run's.
	CPURatio float64 `json:"cpu_ratio"`
	// Commits are batches per message; Conflicts those of which another node's
	// epoch refused a part, and commands that had to go to another node than
	// was believed; Forwarded are link messages between nodes, Retransmitted
	// those sent again.
	Commits       float64 `json:"commits_per_msg"`
	Conflicts     float64 `json:"conflicts_per_msg"`
	Forwarded     float64 `json:"forwarded_per_msg"`
	Retransmitted float64 `json:"retransmitted_per_msg"`
}

func newScaleRun(nodes int, c *ChatResult) *ScaleRun {
	r := &ScaleRun{
		Nodes: nodes, Tally: c.Tally, Seconds: c.Seconds, MsgsPerSec: c.MsgsPerSec, AckMS: c.AckMS, DeliverMS: c.DeliverMS,
		Reconnects: c.Reconnects, ClientCPU: c.ClientCPU, CPU: map[string]float64{},
	}
	for role, cpu := range c.Probe.CPU {
		r.CPU[role] = cpuPer(cpu, c.Acked)
		r.ServerCPU += r.CPU[role]
	}
	per := func(name string) float64 { return c.Probe.Counters[name] / float64(max(1, c.Acked)) }
	r.Commits, r.Forwarded, r.Retransmitted = per(metricCommits), per(metricForwarded), per(metricRetransmit)
	r.Conflicts = per(metricFenced) + per(metricRepeated)
	return r
}

func (r *ScaleResult) add(run *ScaleRun) {
	run.CPURatio = 1
	if len(r.Runs) > 0 && r.Runs[0].ServerCPU > 0 {
		run.CPURatio = run.ServerCPU / r.Runs[0].ServerCPU
	}
	r.Runs = append(r.Runs, *run)
	r.Good = r.Good && run.Good()
}

// WriteSummary tells a person.
func (r *ScaleResult) WriteSummary(w io.Writer) {
	c := &r.Config
	where := "one " + c.Store + " server"
	switch {
	case c.Cluster && c.Store == StorePostgres:
		where = fmt.Sprintf("a PostgreSQL server with %d standbys, %d of which confirm", c.Replicas, c.Confirm)
	case c.Cluster:
		where = fmt.Sprintf("a Redis Cluster of 3 primaries with %d replicas each, %d of which confirm", c.Replicas, c.Confirm)
	}
	fmt.Fprintf(w, "chat of %d users, %d friends each on average, %d messages to each, over %s\n", c.Chat.Users, c.Chat.Friends, c.Chat.Messages, where)
	fmt.Fprintf(w, "  %5s %9s %9s  %-41s %7s %8s %9s %8s\n", "nodes", "msg/s", "p99 ack", "CPU per message, us", "of the", "commits", "conflicts", "between")
	fmt.Fprintf(w, "  %5s %9s %9s  %8s %8s %8s %8s %5s %7s %8s %9s %8s\n", "", "", "", "gateway", "mailbox", c.Store, "all", "", "first", "per msg", "per msg", "nodes")
	for i := range r.Runs {
		run := &r.Runs[i]
		fmt.Fprintf(w, "  %5d %9.0f %6.1f ms  %8.1f %8.1f %8.1f %8.1f %5s %6.2fx %8.4f %9.5f %8.2f\n", run.Nodes, run.MsgsPerSec, run.AckMS.P99,
			run.CPU["gateway"], run.CPU["mailbox"], run.CPU[c.Store], run.ServerCPU, "", run.CPURatio, run.Commits, run.Conflicts, run.Forwarded)
		if !run.Good() {
			run.writeTally(w)
		}
	}
	if r.Good {
		fmt.Fprintln(w, "  every message arrived once and in order in every run")
	}
}
