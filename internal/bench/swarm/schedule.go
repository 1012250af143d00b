package swarm

import "time"

// schedule says when a member's requests are due and on which connection.
// Request s of all members belongs to connection number s modulo their number,
// in an order that looks random, so any N requests that follow each other have
// one for each of N connections.
//
// Requests leave in ticks, those of different members at different moments: a
// request is due at the first tick of its member that is not before its exact
// time.
type schedule struct {
	start int64
	// period is the time between two requests of all members.
	period       float64
	tick, offset int64
	member       uint64
	members      uint64
	total, own   uint64
	// count is how many requests all members have.
	count uint64
	order permutation
}

// Ticks of a member. Together the members take about the same number of them
// a second, however many they are.
const (
	tickShare = 400 * time.Microsecond
	minTick   = time.Millisecond
	maxTick   = 20 * time.Millisecond
)

func newSchedule(j *Job, l *Load) schedule {
	tick := int64(min(max(time.Duration(j.Members)*tickShare, minTick), maxTick))
	s := schedule{
		start: l.Start, period: 1e9 / l.Rate, tick: tick, offset: tick * int64(j.Member) / int64(j.Members),
		member: uint64(j.Member), members: uint64(j.Members), total: uint64(j.Total), own: uint64(j.Conns()),
		count: l.count(),
	}
	s.order = newPermutation(s.own, j.Seed)
	return s
}

// number is that of the member's k-th request among all, ok false when there
// is none.
func (s *schedule) number(k uint64) (n uint64, ok bool) {
	n = k/s.own*s.total + s.member + k%s.own*s.members
	return n, n < s.count
}

// due is when the member's k-th request is to be sent.
func (s *schedule) due(k uint64) int64 {
	n, _ := s.number(k)
	exact := int64(float64(n) * s.period)
	ticks := (exact - s.offset + s.tick - 1) / s.tick
	return s.start + s.offset + max(ticks, 0)*s.tick
}

// conn is the place of the connection that the k-th request goes to.
func (s *schedule) conn(k uint64) int { return int(s.order.at(k % s.own)) }

// permutation maps each number below n to another.
type permutation struct{ n, factor, shift uint64 }

func newPermutation(n, seed uint64) permutation {
	// Consecutive numbers go as far apart as they can: by the golden ratio.
	p := permutation{n: n, factor: max(1, n*618/1000), shift: seed % n}
	for gcd(p.factor, n) != 1 {
		p.factor++
	}
	return p
}

func (p *permutation) at(i uint64) uint64 { return (i*p.factor + p.shift) % p.n }

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
