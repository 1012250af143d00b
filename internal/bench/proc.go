package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has used of the machine.
type usage struct {
	cpu time.Duration
	// anon is the part of rss that is not of files.
	rss, anon, peak uint64
}

// clockTick is the unit of /proc/<pid>/stat, the same on all systems that Go
// runs on.
const clockTick = 10 * time.Millisecond

// processUsage reads /proc. It fails on systems without it, and when the
// process is gone.
func processUsage(pid int) (usage, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return usage{}, err
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return usage{}, err
	}
	return parseUsage(string(stat), string(status))
}

func parseUsage(stat, status string) (usage, error) {
	var u usage
	// The second field is the program's name, which may hold anything.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return u, fmt.Errorf("a stat line of %d fields", len(fields))
	}
	for _, f := range fields[11:13] {
		ticks, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return u, fmt.Errorf("a stat line: %w", err)
		}
		u.cpu += time.Duration(ticks) * clockTick
	}
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "VmRSS":
			u.rss = parseKB(value)
		case "RssAnon":
			u.anon = parseKB(value)
		case "VmHWM":
			u.peak = parseKB(value)
		}
	}
	return u, nil
}

func parseKB(s string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(s), "kB")), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}
