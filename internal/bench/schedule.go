package bench

import "math/rand/v2"

// schedule is the order in which one user writes: perFriend messages to each
// friend, shuffled among each other, and over again when it is endless.
type schedule struct {
	// turns lists friends by place; at is the next one.
	turns   []int32
	at      int
	endless bool
	rng     *rand.Rand
	// sent counts the messages to each friend.
	sent []uint32
}

func newSchedule(friends, perFriend int, endless bool, rng *rand.Rand) *schedule {
	s := &schedule{endless: endless, rng: rng, sent: make([]uint32, friends), turns: make([]int32, 0, friends*perFriend)}
	for f := range friends {
		for range perFriend {
			s.turns = append(s.turns, int32(f))
		}
	}
	s.shuffle()
	return s
}

func (s *schedule) shuffle() {
	s.rng.Shuffle(len(s.turns), func(i, j int) { s.turns[i], s.turns[j] = s.turns[j], s.turns[i] })
}

// next is whom to write to now, and the number of the message among those to
// the same friend, from 1. false: it is over.
func (s *schedule) next() (friend int, ordinal uint32, ok bool) {
	if s.at == len(s.turns) {
		if !s.endless || len(s.turns) == 0 {
			return 0, 0, false
		}
		s.at = 0
		s.shuffle()
	}
	friend = int(s.turns[s.at])
	s.at++
	s.sent[friend]++
	return friend, s.sent[friend], true
}

// left reports whether next would succeed more than n times.
func (s *schedule) left(n int) bool {
	return s.endless && len(s.turns) > 0 || s.at+n < len(s.turns)
}
