package bench

import (
	"time"

	"github.com/skein-im/skein/internal/child"
)

// serverUsage is what a server's processes use: all of them, and the gateways
// among them, which hold the clients' connections. A server that has started
// workers leaves the connections to those; one without holds them itself.
type serverUsage struct {
	all, gateways usage
	// processes are how many gateways there are.
	processes int
}

// readServer adds up what the processes with these identifiers use, and what
// those that they have started do. Processes that are gone count for nothing.
func readServer(roots []int) serverUsage {
	var s serverUsage
	for _, root := range roots {
		u, err := processUsage(root)
		if err != nil {
			continue
		}
		s.all.add(u)
		workers := child.Descendants(root)
		if len(workers) == 0 {
			s.gateways.add(u)
			s.processes++
		}
		for _, pid := range workers {
			if u, err := processUsage(pid); err == nil {
				s.all.add(u)
				s.gateways.add(u)
				s.processes++
			}
		}
	}
	return s
}

func (u *usage) add(o usage) {
	u.cpu += o.cpu
	u.rss += o.rss
	u.anon += o.anon
	u.peak += o.peak
}

// cpuPer is processor time in microseconds per one of n.
func cpuPer(cpu time.Duration, n uint64) float64 {
	if n == 0 {
		return 0
	}
	return float64(max(0, cpu)) / float64(time.Microsecond) / float64(n)
}
