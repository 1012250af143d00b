package capacity

import (
	"cmp"
	"math"
	"slices"
)

// machines is how many of a role there are.
func (p *Plan) machines(role string) float64 {
	for _, n := range p.Needs {
		if n.Role == role {
			return float64(n.Machines)
		}
	}
	return 0
}

// limit works out how near one region with all users is to what more machines do
// not help against.
func (p *Plan) limit(conns, servers float64) {
	workers := math.Ceil(conns / workerConns)
	p.Limits = []Limit{
		{"mailbox nodes for 4,096 slots", p.machines("mailbox") * slotsPerNode / slots},
		{"role links to one mailbox node", (workers + p.machines("mailbox")) / roleLinks},
		{"servers in one Redis Cluster", servers / redisServers},
	}
	slices.SortFunc(p.Limits, func(a, b Limit) int { return cmp.Compare(b.Used, a.Used) })
	p.Regions = max(1, int(math.Ceil(p.Limits[0].Used)))
}
