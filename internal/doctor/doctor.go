package doctor

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/skein-im/skein/internal/config"
)

// Level says how bad a finding is.
type Level string

// The levels of a finding.
const (
	OK Level = "ok"
	// Info is worth knowing, and nothing to change.
	Info Level = "info"
	// Unknown: the system does not tell.
	Unknown Level = "unknown"
	// Warn: it works, but worse or not always.
	Warn Level = "warn"
	// Fail: it will not work.
	Fail Level = "fail"
)

// Finding is the result of a check.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	// Value is what there is, Need what is wanted.
	Value string `json:"value"`
	Need  string `json:"need,omitempty"`
	// Why it is wanted, and Fix, the command or line that changes it, are
	// given when something should be changed.
	Why string `json:"why,omitempty"`
	Fix string `json:"fix,omitempty"`
}

// Report is everything that was found.
type Report struct {
	OK bool `json:"ok"`
	// MaxConns is how many links are wanted, Workers in how many processes.
	MaxConns int       `json:"max_conns"`
	Workers  int       `json:"workers"`
	Findings []Finding `json:"findings"`
}

// Space is how much a file system holds.
type Space struct {
	Free, Total uint64
	// Volatile: it is memory, and gone when the machine restarts.
	Volatile bool
}

// Machine is what the checks look at.
type Machine struct {
	// FS is the root of the machine's files, for /proc and /sys.
	FS  fs.FS
	Now func() time.Time
	// Listen opens an address and closes it again.
	Listen func(addr string) error
	// Space tells of the file system of a directory.
	Space func(dir string) (Space, error)
	// Sync times syncs of a file in a directory.
	Sync func(dir string) ([]time.Duration, error)
	// Synchronized reports whether the clock follows a reference.
	Synchronized func() (bool, error)
}

// check is one thing that is looked at.
type check struct {
	name string
	run  func(*exam) []Finding
}

// checks in the order in which they are reported.
func checks() []check {
	return []check{
		{"open-files", one((*exam).openFiles)},
		{"nr-open", one((*exam).nrOpen)},
		{"file-max", one((*exam).fileMax)},
		{"processes", one((*exam).processes)},
		{"memory", one((*exam).memory)},
		{"tcp-mem", one((*exam).tcpMem)},
		{"somaxconn", one((*exam).somaxconn)},
		{"syn-backlog", one((*exam).synBacklog)},
		{"port-range", one((*exam).portRange)},
		{"conntrack", one((*exam).conntrack)},
		{"congestion-control", one((*exam).congestion)},
		{"clock", one((*exam).clock)},
		{"data-directory", one((*exam).dataDirectory)},
		{"secret-files", (*exam).secretFiles},
		{"disk-space", one((*exam).diskSpace)},
		{"fsync", one((*exam).fsync)},
		{"listen", (*exam).listen},
		{"tls", one((*exam).tls)},
	}
}

func one(f func(*exam) Finding) func(*exam) []Finding {
	return func(e *exam) []Finding { return []Finding{f(e)} }
}

// Names are those of all checks.
func Names() []string {
	var names []string
	for _, c := range checks() {
		names = append(names, c.name)
	}
	return names
}

// exam is one run.
type exam struct {
	Machine
	cfg config.Config
	// files is how many files a process may have open; 0 if that is unknown.
	files int
	// workers is how many processes hold the links.
	workers int
}

// Examine runs all checks.
func Examine(m Machine, cfg config.Config) Report {
	e := &exam{Machine: m, cfg: cfg, workers: cfg.Workers}
	if hard, ok := e.limit("Max open files"); ok {
		e.files = hard
	}
	if e.workers == 0 {
		e.workers = 1
		if e.files > 0 {
			e.workers = min(processesFor(cfg.MaxConns, e.files), maxWorkers)
		}
	}
	r := Report{OK: true, MaxConns: cfg.MaxConns, Workers: e.workers}
	for _, c := range checks() {
		for _, f := range c.run(e) {
			f.Check = c.name
			r.OK = r.OK && f.Level != Fail
			r.Findings = append(r.Findings, f)
		}
	}
	return r
}

func unknown(what string) Finding {
	return Finding{Level: Unknown, Value: "the system does not tell " + what}
}

// sysctl says how to change a setting of the kernel.
func sysctl(key, value string) string {
	return fmt.Sprintf("sysctl -w %s=%q; to keep it, add the line '%s = %s' to /etc/sysctl.d/60-skein.conf", key, value, key, value)
}
