package bench

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// Tally is what became of the messages of a run.
type Tally struct {
	// Sent messages were handed out, Acked ones were accepted by the
	// server, Refused ones it did not want.
	Sent    uint64 `json:"sent"`
	Acked   uint64 `json:"acked"`
	Refused uint64 `json:"refused"`
	// Delivered counts distinct messages at distinct devices, Expected how
	// many there should be.
	Delivered uint64 `json:"delivered"`
	Expected  uint64 `json:"expected"`

	Lost       uint64 `json:"lost"`
	Duplicated uint64 `json:"duplicated"`
	Reordered  uint64 `json:"reordered"`
	// Damaged messages had another content, sender or receiver than when
	// they were sent.
	Damaged uint64 `json:"damaged"`
}

// Good: everything arrived, once and in order.
func (t *Tally) Good() bool {
	return t.Sent > 0 && t.Acked == t.Sent && t.Refused == 0 && t.Delivered == t.Expected &&
		t.Lost == 0 && t.Duplicated == 0 && t.Reordered == 0 && t.Damaged == 0
}

// Environment is where the figures come from.
type Environment struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	// Modified: the program was built from files that are in no revision.
	Modified   bool   `json:"modified,omitempty"`
	Go         string `json:"go"`
	System     string `json:"system"`
	CPU        string `json:"cpu,omitempty"`
	CPUs       int    `json:"cpus"`
	Kernel     string `json:"kernel,omitempty"`
	Congestion string `json:"congestion_control,omitempty"`
}

func newEnvironment(version string) Environment {
	e := Environment{
		Version: version, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(),
		CPU: cpuModel(), Kernel: firstLine("/proc/sys/kernel/osrelease"),
		Congestion: firstLine("/proc/sys/net/ipv4/tcp_congestion_control"),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				e.Revision = s.Value
			case "vcs.modified":
				e.Modified = s.Value == "true"
			}
		}
	}
	return e
}

// firstLine is empty where there is no such file, as on other systems.
func firstLine(path string) string {
	line, _, _ := strings.Cut(fileText(path), "\n")
	return strings.TrimSpace(line)
}

// fileText is empty where there is no such file.
func fileText(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}

func cpuModel() string {
	for line := range strings.Lines(fileText("/proc/cpuinfo")) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// ChatResult is the outcome of Chat.
type ChatResult struct {
	Good        bool        `json:"good"`
	Config      ChatConfig  `json:"config"`
	Environment Environment `json:"environment"`
	Tally
	// Seconds is from the first send to the last arrival.
	Seconds    float64 `json:"seconds"`
	MsgsPerSec float64 `json:"msgs_per_sec"`
	// Reconnects counts links that were opened again; over HTTP, requests
	// that were repeated.
	Reconnects uint64 `json:"reconnects"`
	// AckMS is from when a message was due to its receipt, DeliverMS to its
	// arrival at a device.
	AckMS     Percentiles `json:"ack_ms"`
	DeliverMS Percentiles `json:"deliver_ms"`
	// LatenessMS is how far the load generator itself was behind; with a
	// rate only.
	LatenessMS *Percentiles `json:"lateness_ms,omitempty"`

	ClientCPU     float64 `json:"client_cpu_us_per_msg"`
	ServerCPU     float64 `json:"server_cpu_us_per_msg"`
	ServerRSS     uint64  `json:"server_rss_bytes"`
	ServerPeakRSS uint64  `json:"server_peak_rss_bytes"`
	// Probe is what the run's Config.Probe counted from begin to end.
	Probe Probe `json:"-"`
}

// WriteSummary tells a person.
func (r *ChatResult) WriteSummary(w io.Writer) {
	c := &r.Config
	fmt.Fprintf(w, "chat over %s: %d users, %d friends each on average, %d bytes, %s\n",
		c.Transport, c.Users, c.Friends, c.Body, c.pace())
	r.writeTally(w)
	fmt.Fprintf(w, "  speed       %.0f messages/s over %.2f s\n", r.MsgsPerSec, r.Seconds)
	writePercentiles(w, "acked", &r.AckMS)
	writePercentiles(w, "delivered", &r.DeliverMS)
	if r.LatenessMS != nil {
		writePercentiles(w, "own delay", r.LatenessMS)
	}
	fmt.Fprintf(w, "  CPU         %.1f us per message here", r.ClientCPU)
	if r.ServerRSS > 0 {
		fmt.Fprintf(w, ", %.1f us in the server; its memory %.1f MiB, at most %.1f",
			r.ServerCPU, mib(r.ServerRSS), mib(r.ServerPeakRSS))
	}
	fmt.Fprintln(w)
	if r.Reconnects > 0 {
		fmt.Fprintf(w, "  again       %d links opened, or requests repeated\n", r.Reconnects)
	}
}

func (c *ChatConfig) pace() string {
	if c.Rate > 0 {
		return fmt.Sprintf("%g messages/s due", c.Rate)
	}
	return fmt.Sprintf("%d unanswered per user", c.Window)
}

func (t *Tally) writeTally(w io.Writer) {
	verdict := "every message arrived once and in order"
	if !t.Good() {
		verdict = "NOT GOOD"
	}
	fmt.Fprintf(w, "  %s\n", verdict)
	fmt.Fprintf(w, "  messages    %d sent, %d acknowledged, %d of %d delivered\n", t.Sent, t.Acked, t.Delivered, t.Expected)
	if !t.Good() {
		fmt.Fprintf(w, "  wrong       %d lost, %d duplicated, %d reordered, %d damaged, %d refused\n",
			t.Lost, t.Duplicated, t.Reordered, t.Damaged, t.Refused)
	}
}

func writePercentiles(w io.Writer, what string, p *Percentiles) {
	fmt.Fprintf(w, "  %-11s p50 %.2f ms, p99 %.2f, p99.9 %.2f, max %.2f\n", what, p.P50, p.P99, p.P999, p.Max)
}

func mib(b uint64) float64 { return float64(b) / (1 << 20) }

// Comparison puts a chat beside the store alone under the same messages.
type Comparison struct {
	Chat  *ChatResult  `json:"chat"`
	Store *StoreResult `json:"store"`
	// Ratio is the chat's speed in terms of the store's.
	Ratio float64 `json:"ratio"`
}

// NewComparison compares two results.
func NewComparison(chat *ChatResult, store *StoreResult) *Comparison {
	return &Comparison{Chat: chat, Store: store, Ratio: chat.MsgsPerSec / store.MsgsPerSec}
}

// WriteSummary tells a person.
func (c *Comparison) WriteSummary(w io.Writer) {
	c.Chat.WriteSummary(w)
	c.Store.WriteSummary(w)
	fmt.Fprintf(w, "the chat reaches %.0f%% of the store's speed\n", 100*c.Ratio)
}
