package doctor

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"

	"github.com/skein-im/skein/internal/node"
)

// filesFix says how to let a process open n files.
func filesFix(n int) string {
	return fmt.Sprintf("LimitNOFILE=%d in the [Service] section of systemd's unit; without systemd, 'skein hard nofile %d' "+
		"in /etc/security/limits.conf for the user skein, or 'ulimit -n %d' before the start", n, n, n)
}

const whyFiles = "every link is an open file; 500 more are for the store, HTTP and other processes, and a worker is counted on " +
	"for 95% of the rest, because the system deals links out unevenly"

// What the settings accept, and what a process should be allowed, so that
// there are no more processes than are of use.
const (
	maxWorkers  = 1024
	usefulFiles = 20_000
)

// processesFor is how many processes it takes for so many links.
func processesFor(conns, files int) int { return max(1, node.WorkersFor(conns, files)) }

// filesFor is how many files each of n processes must be able to open.
func filesFor(conns, n int) int {
	return sort.Search(1<<26, func(files int) bool { return processesFor(conns, files) <= n })
}

func (e *exam) openFiles() Finding {
	if e.files == 0 {
		return unknown("how many files a process may have open")
	}
	conns := e.cfg.MaxConns
	need, useful := processesFor(conns, e.files), processesFor(conns, usefulFiles)
	f := Finding{Level: OK, Value: fmt.Sprintf("%d per process (hard limit)", e.files)}
	files := filesFor(conns, useful)
	switch {
	case e.cfg.Workers > 0 && need > e.cfg.Workers:
		f.Level, files = Fail, filesFor(conns, e.cfg.Workers)
		f.Need = fmt.Sprintf("%d for %s", files, links(conns, e.cfg.Workers))
	case need > maxWorkers:
		f.Level = Fail
		f.Need = fmt.Sprintf("%d for %s", files, links(conns, useful))
	case need > useful:
		f.Level = Warn
		f.Need = fmt.Sprintf("%d for %s instead of %d", files, links(conns, useful), need)
	default:
		f.Need = links(conns, e.workers)
		return f
	}
	f.Why, f.Fix = whyFiles, filesFix(files)
	if e.cfg.Workers > 0 && need <= maxWorkers {
		f.Fix += fmt.Sprintf("; or --workers %d", need)
	}
	return f
}

func links(conns, processes int) string {
	if processes == 1 {
		return fmt.Sprintf("%d links in one process", conns)
	}
	return fmt.Sprintf("%d links in %d processes", conns, processes)
}

// nrOpen is the bound of the limit of open files.
func (e *exam) nrOpen() Finding {
	bound, ok := e.sysctl("fs.nr_open")
	if !ok {
		return unknown("fs.nr_open")
	}
	need := filesFor(e.cfg.MaxConns, e.workers)
	f := Finding{Level: OK, Value: fmt.Sprint(bound), Need: fmt.Sprintf("%d for a process", need)}
	if bound < need {
		f.Level, f.Fix = Fail, sysctl("fs.nr_open", fmt.Sprint(need))
		f.Why = "the limit of open files of a process cannot be raised beyond it"
	}
	return f
}

// otherFiles is how many open files the rest of a node and of the machine are
// counted on to want.
const otherFiles = 5000

func (e *exam) fileMax() Finding {
	most, ok := e.sysctl("fs.file-max")
	if !ok {
		return unknown("fs.file-max")
	}
	need := e.cfg.MaxConns + otherFiles + e.workers*100
	f := Finding{Level: OK, Value: fmt.Sprint(most), Need: fmt.Sprintf("%d for all processes", need)}
	if most < need {
		f.Level, f.Fix = Fail, sysctl("fs.file-max", fmt.Sprint(need))
		f.Why = "it bounds the open files of the whole machine: the links, 100 for each worker, 5000 for everything else"
	}
	return f
}

// threadsEach is how many threads a process is counted on to have, and
// threadsElse what the rest of the machine has.
const (
	threadsEach = 24
	threadsElse = 1000
)

func (e *exam) processes() Finding {
	need := (1 + e.workers) * threadsEach
	limits := []struct {
		name, fix   string
		value, need int
	}{
		{name: "kernel.pid_max", need: need + threadsElse, fix: sysctl("kernel.pid_max", fmt.Sprint(need+threadsElse))},
		{name: "kernel.threads-max", need: need + threadsElse, fix: sysctl("kernel.threads-max", fmt.Sprint(need+threadsElse))},
		{name: "processes of the user", need: need, fix: fmt.Sprintf("LimitNPROC=%d in the [Service] section of systemd's unit", need)},
		{name: "pids of the control group", need: need, fix: fmt.Sprintf("TasksMax=%d in the [Service] section of systemd's unit, or --pids-limit %d for a container", need, need)},
	}
	known := [4]bool{}
	limits[0].value, known[0] = e.sysctl("kernel.pid_max")
	limits[1].value, known[1] = e.sysctl("kernel.threads-max")
	limits[2].value, known[2] = e.limit("Max processes")
	// Root is not bound by its own.
	known[2] = known[2] && os.Geteuid() != 0
	limits[3].value, known[3] = e.cgroup("pids", "pids.max", "pids.max")
	tightest := -1
	for i, l := range limits {
		if known[i] && (tightest < 0 || l.value-l.need < limits[tightest].value-limits[tightest].need) {
			tightest = i
		}
	}
	if tightest < 0 {
		return unknown("how many processes there may be")
	}
	l := limits[tightest]
	f := Finding{Level: OK, Value: fmt.Sprintf("%d (%s)", l.value, l.name), Need: fmt.Sprint(l.need)}
	if l.value < l.need {
		f.Level, f.Fix = Fail, l.fix
		f.Why = fmt.Sprintf("every process is counted on for %d threads, each of which counts as a process", threadsEach)
	}
	return f
}

// What memory goes to, in bytes. The kernel's part was measured with a million
// links.
const (
	socketBytes = 3994
	connBytes   = 600
	tlsBytes    = 12 << 10
	workerBytes = 12 << 20
	baseBytes   = 256 << 20
)

// memoryNeed is how much memory the node wants when it is full.
func (e *exam) memoryNeed() int {
	each := connBytes
	if e.cfg.TLSCert != "" {
		each = tlsBytes
	}
	return e.cfg.MaxConns*(socketBytes+each) + e.workers*workerBytes + e.cfg.CacheMB<<20 + baseBytes
}

func (e *exam) memory() Finding {
	free, from := e.available()
	if free == 0 {
		return unknown("how much memory is available")
	}
	need := e.memoryNeed()
	f := Finding{Level: OK, Value: fmt.Sprintf("%s available (%s)", size(free), from), Need: size(need)}
	switch {
	case need > free:
		f.Level = Fail
	case need > free/5*4:
		f.Level = Warn
	default:
		return f
	}
	f.Why = "in the kernel 3.9 KiB for each link, in a process 600 bytes (12 KiB with TLS), 12 MiB for each worker, the block cache, and 256 MiB for the rest; " +
		"a Skein that runs already is counted as used"
	conns := max(0, free/5*4-(need-e.cfg.MaxConns*e.perConn())) / e.perConn()
	f.Fix = fmt.Sprintf("--max-conns %d, or more memory", conns)
	if from != meminfo {
		f.Fix += "; for the control group MemoryMax= in the [Service] section of systemd's unit, or --memory for a container"
	}
	return f
}

func (e *exam) perConn() int {
	if e.cfg.TLSCert != "" {
		return socketBytes + tlsBytes
	}
	return socketBytes + connBytes
}

const meminfo = "/proc/meminfo"

// available is how much memory can be taken, and who says so; 0 if nobody.
func (e *exam) available() (bytes int, from string) {
	bytes, from = e.memInfo("MemAvailable"), meminfo
	most, ok := e.cgroup("memory", "memory.limit_in_bytes", "memory.max")
	if ok && (bytes == 0 || most < bytes) {
		bytes, from = most, "control group"
	}
	return bytes, from
}

// memInfo is a line of /proc/meminfo in bytes, 0 if there is none.
func (m *Machine) memInfo(key string) int {
	for line := range strings.Lines(m.text("proc/meminfo")) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != key+":" {
			continue
		}
		if kb, err := strconv.Atoi(f[1]); err == nil {
			return kb << 10
		}
	}
	return 0
}

func size(bytes int) string {
	const mib = 1 << 20
	if bytes < 10<<30 {
		return fmt.Sprintf("%d MiB", bytes/mib)
	}
	return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
}
