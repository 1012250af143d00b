package bench

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/skein-im/skein/internal/bench/swarm"
)

// What a connection takes of a machine on which both its ends are, in bytes:
// twice 3.9 KiB in the kernel, and what the two processes keep. With TLS they
// keep more.
const (
	connBytes    = 9 << 10
	tlsConnBytes = connBytes + 24<<10
)

// connFiles is how many open files a connection takes of such a machine.
const connFiles = 2

// Check fails when this machine cannot hold the connections, and says what it
// is short of.
func (c *CrowdConfig) Check() error {
	if err := c.validate(); err != nil {
		return err
	}
	limits, err := swarm.SystemLimits()
	if err == nil {
		_, err = limits.Members(c.Conns, c.Procs)
	}
	if err == nil {
		err = preflight(c.Conns, c.TLS, c.own())
	}
	return err
}

// preflight fails when this machine cannot hold so many connections, with what
// it is short of. What the system does not tell is not checked.
func preflight(conns int, tls, serverHere bool) error {
	each, files := connBytes, connFiles
	if tls {
		each = tlsConnBytes
	}
	if !serverHere {
		each, files = each/2, files/2
	}
	if free := meminfo("MemAvailable"); free > 0 && uint64(conns*each) > free {
		return fmt.Errorf("%d connections take about %.1f GiB of memory, %.1f are free", conns,
			float64(conns*each)/(1<<30), float64(free)/(1<<30))
	}
	most, err := strconv.Atoi(firstLine("/proc/sys/fs/file-max"))
	if err == nil && conns*files > most {
		return fmt.Errorf("%d connections take %d open files in all, fs.file-max is %d", conns, conns*files, most)
	}
	return nil
}

// meminfo is a line of /proc/meminfo in bytes, 0 if there is none.
func meminfo(key string) uint64 {
	for line := range strings.Lines(fileText("/proc/meminfo")) {
		if k, v, ok := strings.Cut(line, ":"); ok && k == key {
			return parseKB(v)
		}
	}
	return 0
}
