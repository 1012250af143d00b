package swarm

import (
	"math"
	"time"
)

// schedule says when a member's requests are due and on which connection.
// Request s of all members belongs to connection number s modulo their number,
// in an order that looks random, so any N requests that follow each other have
// one for each of N connections.
//
// Requests leave in ticks, those of different members at different moments: a
// request is due at the first tick of its member that is not before its exact
// time. When the rate changes, requests that were due before stay as they are.
//
// Envelopes are the same with senders for connections, in their order.
type schedule struct {
	start, end   int64
	paces        []pace
	tick, offset int64
	member       uint64
	members      uint64
	total, own   uint64
	// count is how many requests all members have.
	count uint64
	order permutation
	// seats, of a schedule of envelopes, are the member's senders.
	seats []seat
}

// pace is the rate from a request on.
type pace struct {
	from uint64
	// at is when that one is due, after the start; period is the time
	// between two requests of all members.
	at, period float64
}

// seat is a sender and the place of its connection.
type seat struct{ sender, place uint64 }

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
		start: l.Start, end: l.end(), paces: []pace{{period: 1e9 / l.Rate}},
		tick: tick, offset: tick * int64(j.Member) / int64(j.Members),
		member: uint64(j.Member), members: uint64(j.Members), total: uint64(j.Total), own: uint64(j.Conns()),
		count: l.count(),
	}
	if l.What == Envelopes {
		s.seats = j.seats()
		s.total, s.own = uint64(j.Senders), uint64(len(s.seats))
	}
	s.order = newPermutation(max(s.own, 1), j.Seed)
	return s
}

// seats are the member's senders.
func (j *Job) seats() []seat {
	list := []seat{}
	for i := range j.Senders {
		if n := Sender(i); n%j.Members == j.Member {
			list = append(list, seat{uint64(i), uint64(n / j.Members)})
		}
	}
	return list
}

// change sets another rate from a time on. It does the same at every member,
// however far each has come.
func (s *schedule) change(at int64, rate float64) {
	if at >= s.end {
		return
	}
	last, after := s.paces[len(s.paces)-1], float64(max(at-s.start, 0))
	from := last.from + uint64(math.Ceil(max(after-last.at, 0)/last.period))
	s.paces = append(s.paces, pace{from, after, 1e9 / rate})
	s.count = from + uint64(math.Round((float64(s.end-s.start)-after)*rate/1e9))
}

// number is that of the member's k-th request among all, ok false when there
// is none.
func (s *schedule) number(k uint64) (n uint64, ok bool) {
	switch {
	case s.own == 0:
		return 0, false
	case s.seats != nil:
		n = k/s.own*s.total + s.seats[k%s.own].sender
	default:
		n = k/s.own*s.total + s.member + k%s.own*s.members
	}
	return n, n < s.count
}

// due is when the member's k-th request is to be sent.
func (s *schedule) due(k uint64) int64 {
	n, _ := s.number(k)
	i := len(s.paces) - 1
	for n < s.paces[i].from {
		i--
	}
	p := &s.paces[i]
	exact := int64(p.at + float64(n-p.from)*p.period)
	ticks := (exact - s.offset + s.tick - 1) / s.tick
	return s.start + s.offset + max(ticks, 0)*s.tick
}

// conn is the place of the connection that the k-th request goes to.
func (s *schedule) conn(k uint64) int {
	if s.seats != nil {
		return int(s.seats[k%s.own].place)
	}
	return int(s.order.at(k % s.own))
}

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
