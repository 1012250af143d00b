package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/skein-im/skein/internal/config"
)

const limitsFile = `Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max processes             %s                %s                processes 
Max open files            1024                 %s                files     
`

// files are those of a machine, by path; "" is one that is not there.
type files map[string]string

func limitsWith(processes, open string) string {
	return fmt.Sprintf(limitsFile, processes, processes, open)
}

// healthy is a machine on which 18,000 links are no problem.
func healthy() files {
	return files{
		"proc/self/limits":                           limitsWith("96350", "20000"),
		"proc/self/cgroup":                           "0::/\n",
		"proc/meminfo":                               "MemTotal: 8000000 kB\nMemAvailable:    4000000 kB\n",
		"proc/sys/fs/nr_open":                        "1048576\n",
		"proc/sys/fs/file-max":                       "9223372036854775807\n",
		"proc/sys/kernel/pid_max":                    "32768\n",
		"proc/sys/kernel/threads-max":                "192700\n",
		"proc/sys/net/core/somaxconn":                "4096\n",
		"proc/sys/net/ipv4/tcp_max_syn_backlog":      "2048\n",
		"proc/sys/net/ipv4/tcp_syncookies":           "1\n",
		"proc/sys/net/ipv4/ip_local_port_range":      "32768\t60999\n",
		"proc/sys/net/ipv4/tcp_mem":                  "287853\t383807\t575706\n",
		"proc/sys/net/ipv4/tcp_congestion_control":   "cubic\n",
		"proc/sys/net/netfilter/nf_conntrack_max":    "",
		"proc/sys/net/netfilter/nf_conntrack_count":  "",
		"sys/fs/cgroup/pids.max":                     "max\n",
		"sys/fs/cgroup/memory.max":                   "max\n",
		"proc/net/tcp":                               "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n",
		"proc/4242/comm":                             "nginx\n",
		"proc/4242/fd/0":                             "/dev/null",
		"proc/4242/fd/7":                             "socket:[777]",
		"proc/not-a-process/comm":                    "x",
		"proc/sys/net/ipv4/ip_local_reserved_ports":  "\n",
		"proc/sys/net/ipv4/tcp_available_congestion": "cubic\n",
	}
}

// machine has these files, and nothing else is wrong with it.
func machine(f files) Machine {
	root := fstest.MapFS{}
	for name, text := range f {
		switch {
		case text == "":
		case strings.Contains(name, "/fd/"):
			root[name] = &fstest.MapFile{Data: []byte(text), Mode: fs.ModeSymlink | 0o777}
		default:
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return Machine{
		FS: root, Now: func() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) },
		Listen:       func(string) error { return nil },
		Space:        func(string) (Space, error) { return Space{Free: 50 << 30, Total: 100 << 30}, nil },
		Sync:         func(string) ([]time.Duration, error) { return []time.Duration{time.Millisecond}, nil },
		Synchronized: func() (bool, error) { return true, nil },
	}
}

// settings are the defaults, with a data directory of the test.
func settings(t *testing.T) config.Config {
	cfg := config.Default()
	cfg.Data = filepath.Join(t.TempDir(), "data")
	return cfg
}

// found are the findings of one check.
func found(r Report, name string) []Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Check != name })
}

func TestAHealthyMachine(t *testing.T) {
	r := Examine(machine(healthy()), settings(t))
	if !r.OK || r.MaxConns != 18000 || r.Workers != 1 {
		t.Errorf("%+v", r)
	}
	for _, f := range r.Findings {
		if f.Level != OK || f.Value == "" || f.Why != "" || f.Fix != "" {
			t.Errorf("%+v", f)
		}
	}
	for _, name := range Names() {
		if len(found(r, name)) == 0 {
			t.Errorf("nothing about %s", name)
		}
	}
}

func TestAMachineThatTellsNothing(t *testing.T) {
	m := machine(nil)
	m.Space = func(string) (Space, error) { return Space{}, errors.ErrUnsupported }
	m.Synchronized = func() (bool, error) { return false, errors.ErrUnsupported }
	r := Examine(m, settings(t))
	if !r.OK {
		t.Errorf("%+v", r)
	}
	var silent []string
	for _, f := range r.Findings {
		if f.Level == Unknown {
			silent = append(silent, f.Check)
		}
	}
	want := []string{
		"open-files", "nr-open", "file-max", "processes", "memory", "tcp-mem", "somaxconn", "syn-backlog", "port-range",
		"congestion-control", "clock", "disk-space",
	}
	if !slices.Equal(silent, want) {
		t.Errorf("unknown: %q", silent)
	}
}

func TestFilesThatAreNotWhatTheyShouldBe(t *testing.T) {
	for name := range healthy() {
		for _, text := range []string{"x", "\x00", "-1", "99999999999999999999999", strings.Repeat("9 ", 1000), "1 2 3", ":::", "\n"} {
			f := healthy()
			f[name] = text
			Examine(machine(f), settings(t))
		}
	}
}

// TestBounds takes each check to both sides of its bound.
func TestBounds(t *testing.T) {
	const mib = 1 << 10 // in the kB of /proc/meminfo
	for _, c := range []struct {
		check, file, text string
		conns             int
		want              Level
		says              string // in the fix
	}{
		{"open-files", "proc/self/limits", limitsWith("1", "18500"), 18000, OK, ""},
		{"open-files", "proc/self/limits", limitsWith("1", "18499"), 18000, Warn, "LimitNOFILE=18500"},
		{"open-files", "proc/self/limits", limitsWith("1", "20000"), 1_000_000, OK, ""},
		{"open-files", "proc/self/limits", limitsWith("1", "19900"), 1_000_000, Warn, "LimitNOFILE="},
		{"open-files", "proc/self/limits", limitsWith("1", "600"), 1_000_000, Fail, "LimitNOFILE="},
		{"open-files", "proc/self/limits", limitsWith("1", "10"), 18000, Fail, "LimitNOFILE=18500"},
		{"nr-open", "proc/sys/fs/nr_open", "18500", 18000, OK, ""},
		{"nr-open", "proc/sys/fs/nr_open", "18499", 18000, Fail, "fs.nr_open"},
		{"file-max", "proc/sys/fs/file-max", "23100", 18000, OK, ""},
		{"file-max", "proc/sys/fs/file-max", "23099", 18000, Fail, "fs.file-max = 23100"},
		{"processes", "proc/sys/kernel/pid_max", "1048", 18000, OK, ""},
		{"processes", "proc/sys/kernel/pid_max", "1047", 18000, Fail, "kernel.pid_max = 1048"},
		{"processes", "proc/sys/kernel/threads-max", "1047", 18000, Fail, "kernel.threads-max = 1048"},
		{"processes", "sys/fs/cgroup/pids.max", "48", 18000, OK, ""},
		{"processes", "sys/fs/cgroup/pids.max", "47", 18000, Fail, "TasksMax=48"},
		{"memory", "proc/meminfo", fmt.Sprintf("MemAvailable: %d kB", 600*mib), 18000, OK, ""},
		{"memory", "proc/meminfo", fmt.Sprintf("MemAvailable: %d kB", 450*mib), 18000, Warn, "--max-conns"},
		{"memory", "proc/meminfo", fmt.Sprintf("MemAvailable: %d kB", 400*mib), 18000, Fail, "--max-conns"},
		{"memory", "sys/fs/cgroup/memory.max", fmt.Sprint(600 << 20), 18000, OK, ""},
		{"memory", "sys/fs/cgroup/memory.max", fmt.Sprint(400 << 20), 18000, Fail, "MemoryMax="},
		{"tcp-mem", "proc/sys/net/ipv4/tcp_mem", "1 2 18000", 18000, OK, ""},
		{"tcp-mem", "proc/sys/net/ipv4/tcp_mem", "1 2 17999", 18000, Warn, "tcp_mem = 13500 18000 27000"},
		{"tcp-mem", "proc/sys/net/ipv4/tcp_mem", "1 2 2249", 18000, Fail, "tcp_mem"},
		{"somaxconn", "proc/sys/net/core/somaxconn", "1800", 18000, OK, ""},
		{"somaxconn", "proc/sys/net/core/somaxconn", "1799", 18000, Warn, "net.core.somaxconn=\"1800\""},
		{"somaxconn", "proc/sys/net/core/somaxconn", "128", 10, OK, ""},
		{"somaxconn", "proc/sys/net/core/somaxconn", "4096", 1_000_000, OK, ""},
		{"syn-backlog", "proc/sys/net/ipv4/tcp_max_syn_backlog", "1800", 18000, OK, ""},
		{"syn-backlog", "proc/sys/net/ipv4/tcp_max_syn_backlog", "1799", 18000, Info, "tcp_max_syn_backlog"},
		{"syn-backlog", "proc/sys/net/ipv4/tcp_syncookies", "0", 18000, OK, ""},
		{"syn-backlog", "proc/sys/net/ipv4/tcp_syncookies", "0", 20490, Warn, "tcp_max_syn_backlog = 2049"},
		{"port-range", "proc/sys/net/ipv4/ip_local_port_range", "32768 50767", 18000, OK, ""},
		{"port-range", "proc/sys/net/ipv4/ip_local_port_range", "32768 50766", 18000, Info, "1024 65535"},
		{"port-range", "proc/sys/net/ipv4/ip_local_port_range", "7002 60000", 18000, Warn, "reserved_ports = 7080,7070"},
		{"port-range", "proc/sys/net/ipv4/ip_local_port_range", "7081 60000", 18000, OK, ""},
		{"conntrack", "proc/sys/net/netfilter/nf_conntrack_max", "20800", 18000, OK, ""},
		{"conntrack", "proc/sys/net/netfilter/nf_conntrack_max", "20799", 18000, Fail, "nf_conntrack_max = 20800"},
		{"congestion-control", "proc/sys/net/ipv4/tcp_congestion_control", "bbr", 18000, Info, ""},
	} {
		f := healthy()
		f[c.file] = c.text
		cfg := settings(t)
		cfg.MaxConns = c.conns
		got := found(Examine(machine(f), cfg), c.check)[0]
		if got.Level != c.want || !strings.Contains(got.Fix, c.says) || (got.Fix == "") != (c.says == "") {
			t.Errorf("%s, %q, %d links: %+v", c.check, c.text, c.conns, got)
		}
		if got.Level != OK && got.Why == "" {
			t.Errorf("%s, %q: no reason: %+v", c.check, c.text, got)
		}
	}
}

func TestWorkersThatWereAskedFor(t *testing.T) {
	cfg := settings(t)
	cfg.MaxConns, cfg.Workers = 100_000, 5
	r := Examine(machine(healthy()), cfg)
	f := found(r, "open-files")[0]
	if r.OK || r.Workers != 5 || f.Level != Fail || !strings.Contains(f.Fix, "--workers 6") {
		t.Errorf("%+v", f)
	}
	cfg.Workers = 6
	if r := Examine(machine(healthy()), cfg); !r.OK {
		t.Errorf("%+v", found(r, "open-files"))
	}
}

func TestTheSettingsAcceptMaxWorkers(t *testing.T) {
	cfg := config.Default()
	if cfg.Workers = maxWorkers; cfg.Validate() != nil {
		t.Error(cfg.Validate())
	}
	if cfg.Workers++; cfg.Validate() == nil {
		t.Error("more are accepted, too")
	}
}

func TestFilesForIsTheLeastThatWillDo(t *testing.T) {
	for _, conns := range []int{1, 999, 18000, 1_000_000} {
		for n := 1; n <= 60; n++ {
			f := filesFor(conns, n)
			if processesFor(conns, f) > n || f > 0 && processesFor(conns, f-1) <= n {
				t.Errorf("%d links, %d processes: %d files", conns, n, f)
			}
		}
	}
}

func TestTLSTakesMoreMemory(t *testing.T) {
	e := &exam{cfg: config.Default(), workers: 1}
	plain := e.memoryNeed()
	e.cfg.TLSCert = "cert.pem"
	if d := e.memoryNeed() - plain; d != 18000*(tlsBytes-connBytes) {
		t.Errorf("%d bytes more", d)
	}
}

func TestATableOfConnectionsThatNobodyUses(t *testing.T) {
	f := healthy()
	f["proc/sys/net/netfilter/nf_conntrack_max"], f["proc/sys/net/netfilter/nf_conntrack_count"] = "1000", "0"
	if got := found(Examine(machine(f), settings(t)), "conntrack")[0]; got.Level != Info {
		t.Errorf("%+v", got)
	}
}

func TestControlGroupsOfBothVersions(t *testing.T) {
	for _, c := range []struct {
		groups string
		limits files
		want   int
		known  bool
	}{
		{"0::/a/b\n", files{"sys/fs/cgroup/a/memory.max": "300", "sys/fs/cgroup/a/b/memory.max": "500"}, 300, true},
		{"0::/a/b\n", files{"sys/fs/cgroup/a/memory.max": "max"}, 0, false},
		{"4:memory:/c\n8:pids:/\n0::/\n", files{"sys/fs/cgroup/memory/c/memory.limit_in_bytes": "700"}, 700, true},
		{"4:cpu:/\n", files{"sys/fs/cgroup/memory.max": "1"}, 0, false},
		{"0::/../..\n", files{"sys/fs/cgroup/memory.max": "9"}, 9, true},
	} {
		c.limits["proc/self/cgroup"] = c.groups
		m := machine(c.limits)
		if got, ok := m.cgroup("memory", "memory.limit_in_bytes", "memory.max"); got != c.want || ok != c.known {
			t.Errorf("%q: %d, %v", c.groups, got, ok)
		}
	}
}

func TestClockAndDisk(t *testing.T) {
	for _, c := range []struct {
		check string
		wrong func(*Machine)
		want  Level
	}{
		{"clock", func(m *Machine) { m.Synchronized = func() (bool, error) { return false, nil } }, Warn},
		{"disk-space", func(m *Machine) { m.Space = space(spaceFail-1, false) }, Fail},
		{"disk-space", func(m *Machine) { m.Space = space(spaceFail, false) }, Warn},
		{"disk-space", func(m *Machine) { m.Space = space(spaceWarn-1, false) }, Warn},
		{"disk-space", func(m *Machine) { m.Space = space(spaceWarn, false) }, OK},
		{"disk-space", func(m *Machine) { m.Space = space(spaceWarn, true) }, Warn},
		{"fsync", func(m *Machine) { m.Sync = syncs(slowSync, slowSync, time.Second) }, OK},
		{"fsync", func(m *Machine) { m.Sync = syncs(1, slowSync+1, time.Second) }, Warn},
		{"fsync", func(m *Machine) { m.Sync = syncs() }, Fail},
		{"fsync", func(m *Machine) {
			m.Sync = func(string) ([]time.Duration, error) { return nil, errors.New("input/output error") }
		}, Fail},
		{"fsync", func(m *Machine) {
			m.Sync = func(string) ([]time.Duration, error) { return nil, &fs.PathError{Op: "open", Err: syscall.EACCES} }
		}, Unknown},
	} {
		m := machine(healthy())
		c.wrong(&m)
		r := Examine(m, settings(t))
		if f := found(r, c.check)[0]; f.Level != c.want || (c.want == Warn || c.want == Fail) != (f.Fix != "") || r.OK != (c.want != Fail) {
			t.Errorf("%+v", f)
		}
	}
}

func space(free uint64, volatile bool) func(string) (Space, error) {
	return func(string) (Space, error) { return Space{Free: free, Total: 100 << 30, Volatile: volatile}, nil }
}

func syncs(took ...time.Duration) func(string) ([]time.Duration, error) {
	return func(string) ([]time.Duration, error) { return took, nil }
}

func TestAddresses(t *testing.T) {
	used := &os.SyscallError{Syscall: "bind", Err: syscall.EADDRINUSE}
	f := healthy()
	f["proc/net/tcp"] += "   0: 0100007F:1BA8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 x\n" +
		"   1: 0100007F:1B59 0100007F:1BA8 01 00000000:00000000 00:00000000 00000000     0        0 777 1 x\n"
	f["proc/net/tcp6"] = "   0: 00000000000000000000000000000000:1B9E 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 778 1 x\n"
	f["proc/77/comm"], f["proc/77/fd/3"] = "skein\n", "socket:[778]"
	m := machine(f)
	for _, c := range []struct {
		err  error
		want []Level
		says string
	}{
		{nil, []Level{OK, OK, OK}, "is free"},
		// 7080 is nginx's, 7070 Skein's; who has 7001 is not told.
		{used, []Level{Fail, Fail, Info}, "in use by nginx (process 4242)"},
		{&os.SyscallError{Syscall: "bind", Err: syscall.EACCES}, []Level{Fail, Fail, Fail}, "not allowed"},
		{&os.SyscallError{Syscall: "bind", Err: syscall.EADDRNOTAVAIL}, []Level{Fail, Fail, Fail}, "not an address of this machine"},
		{errors.New("no such host"), []Level{Fail, Fail, Fail}, "no such host"},
	} {
		m.Listen = func(string) error { return c.err }
		var levels []Level
		var said string
		for _, f := range found(Examine(m, settings(t)), "listen") {
			levels = append(levels, f.Level)
			said += f.Value + "\n"
		}
		if !slices.Equal(levels, c.want) || !strings.Contains(said, c.says) {
			t.Errorf("%v: %v %s", c.err, levels, said)
		}
	}
}

func TestMoreAddresses(t *testing.T) {
	cfg := settings(t)
	cfg.ArticleAPI, cfg.RoleListen, cfg.Ops = cfg.HTTP, "unix:/no/such/directory/socket", "127.0.0.1:0"
	var levels []Level
	for _, f := range found(Examine(machine(healthy()), cfg), "listen") {
		levels = append(levels, f.Level)
	}
	if !slices.Equal(levels, []Level{OK, OK, OK, Fail, Fail}) {
		t.Error(levels)
	}
}

func TestReports(t *testing.T) {
	f := healthy()
	f["proc/sys/net/core/somaxconn"], f["proc/sys/fs/file-max"] = "128", "128"
	r := Examine(machine(f), settings(t))
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"18000 links in one process\n", "\nFAIL     file-max            128; needed: 23100", "\nWARN     somaxconn ",
		"why: so many connections", "fix: sysctl -w net.core.somaxconn=\"1800\"", "\n1 fail, 1 warn, 0 unknown, ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
	text, err := json.Marshal(r)
	if err != nil || !bytes.Contains(text, []byte(`{"check":"file-max","level":"fail","value":"128",`)) {
		t.Errorf("%s, %v", text, err)
	}
}
