package swarm

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPermutationReachesEveryNumberOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(1, 3000).Draw(t, "n")
		p := newPermutation(n, rapid.Uint64().Draw(t, "seed"))
		seen := make([]bool, n)
		for i := range n {
			at := p.at(i)
			if at >= n || seen[at] {
				t.Fatalf("%d of %d became %d, which is taken or too large", i, n, at)
			}
			seen[at] = true
		}
	})
}

func TestPermutationSpreadsNeighbours(t *testing.T) {
	p := newPermutation(20_000, 1)
	for i := range uint64(19_999) {
		a, b := p.at(i), p.at(i+1)
		if d := max(a, b) - min(a, b); d < 1000 || d > 19_000 {
			t.Fatalf("%d and %d follow each other", a, b)
		}
	}
}

// All members together send request 0, 1, 2 ... of the load, each once, in time
// and evenly over the connections.
func TestSchedulesOfAllMembersMakeOneLoad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.IntRange(1, 9).Draw(t, "members")
		total := rapid.IntRange(members, 60).Draw(t, "conns")
		l := &Load{Start: 1e12, Rate: rapid.Float64Range(10, 1e6).Draw(t, "rate")}
		l.Seconds = rapid.Float64Range(0, 300).Draw(t, "requests") / l.Rate
		requests := map[uint64]int{}
		for p := range members {
			j := &Job{Member: p, Members: members, Total: total, Seed: 7}
			s := newSchedule(j, l)
			last := int64(0)
			for k := uint64(0); ; k++ {
				n, ok := s.number(k)
				if !ok {
					break
				}
				if _, twice := requests[n]; twice {
					t.Fatalf("request %d is sent twice", n)
				}
				requests[n] = j.number(s.conn(k))
				due, exact := s.due(k), l.Start+int64(float64(n)*1e9/l.Rate)
				if due < last || due < exact || due > exact+2*s.tick {
					t.Fatalf("request %d is due at %d, not %d, after one due at %d; ticks are %d", n, due, exact, last, s.tick)
				}
				last = due
			}
		}
		if uint64(len(requests)) != l.count() {
			t.Fatalf("%d requests of %d", len(requests), l.count())
		}
		for from := 0; from+total <= len(requests); from++ {
			conns := map[int]bool{}
			for n := from; n < from+total; n++ {
				conns[requests[uint64(n)]] = true
			}
			if len(conns) != total {
				t.Fatalf("requests %d to %d reach %d of %d connections", from, from+total, len(conns), total)
			}
		}
	})
}

// When the rate changes, members that have come differently far still make one
// load together, in which every request is due when its rate says.
func TestSchedulesChangeTheirRateTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.IntRange(1, 5).Draw(t, "members")
		total := rapid.IntRange(members, 30).Draw(t, "conns")
		l := &Load{Start: 1e12, Rate: rapid.Float64Range(10, 1e4).Draw(t, "rate")}
		l.Seconds = rapid.Float64Range(10, 200).Draw(t, "requests") / l.Rate
		at := l.Start + int64(rapid.Float64Range(-0.2, 1.2).Draw(t, "when")*l.Seconds*1e9)
		rate := rapid.Float64Range(10, 1e4).Draw(t, "new rate")
		seen, most := map[uint64]bool{}, uint64(0)
		for p := range members {
			s := newSchedule(&Job{Member: p, Members: members, Total: total}, l)
			s.change(at, rate)
			last := int64(0)
			for k := uint64(0); ; k++ {
				n, ok := s.number(k)
				if !ok {
					break
				}
				due := s.due(k)
				if seen[n] || due < last || due > l.end()+2*s.tick {
					t.Fatalf("request %d, seen %v, is due at %d after %d; the end is at %d", n, seen[n], due, last, l.end())
				}
				seen[n], most, last = true, max(most, n), due
			}
		}
		if len(seen) > 0 && uint64(len(seen)) != most+1 {
			t.Fatalf("%d requests, the last one is number %d", len(seen), most)
		}
		seconds := min(max(float64(at-l.Start)/1e9, 0), l.Seconds)
		if want := seconds*l.Rate + (l.Seconds-seconds)*rate; float64(len(seen)) < want-2 || float64(len(seen)) > want+2 {
			t.Fatalf("%d requests, not %g", len(seen), want)
		}
	})
}

// Senders take turns, whichever members they are with, and each is followed by
// the friends that it has.
func TestSendersTakeTurns(t *testing.T) {
	for _, members := range []int{1, 2, 3, 4, 8, 57} {
		const total, senders = 400, 90
		l := &Load{What: Envelopes, Rate: 100, Seconds: 2}
		by, used := map[uint64]int{}, 0
		for p := range members {
			j := &Job{Member: p, Members: members, Total: total, Senders: senders}
			s := newSchedule(j, l)
			if s.own > 0 {
				used++
			}
			for k := uint64(0); ; k++ {
				n, ok := s.number(k)
				if !ok {
					break
				}
				by[n] = j.number(s.conn(k))
			}
		}
		if len(by) != 200 || used < min(members, 4) {
			t.Errorf("%d requests from %d of %d members", len(by), used, members)
		}
		for n, conn := range by {
			if conn != Sender(int(n%senders)) {
				t.Errorf("request %d is of connection %d", n, conn)
			}
		}
	}
	for number := range 400 {
		for _, f := range FriendsAmong(90, number) {
			mutual := FriendsAmong(90, f)
			if f == number || f/4 != number/4 || !slices.Contains(mutual, number) {
				t.Errorf("%d is a friend of %d, who has %v", f, number, mutual)
			}
		}
	}
	if n := len(FriendsAmong(90, Sender(89))); n != Friends || FriendsAmong(90, 360) != nil {
		t.Errorf("a sender has %d friends", n)
	}
}

func TestTicksAreStaggered(t *testing.T) {
	l := &Load{Rate: 60_000, Seconds: 1}
	seen := map[int64]bool{}
	for p := range 54 {
		s := newSchedule(&Job{Member: p, Members: 54, Total: 1_000_000}, l)
		if s.tick != int64(maxTick) || s.offset >= s.tick || seen[s.offset] {
			t.Errorf("member %d ticks every %d from %d on", p, s.tick, s.offset)
		}
		seen[s.offset] = true
	}
	if s := newSchedule(&Job{Members: 1, Total: 1}, l); s.tick != int64(minTick) {
		t.Errorf("a single member ticks every %d", s.tick)
	}
}
