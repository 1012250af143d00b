package trace

import (
	"math"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/skein-im/skein/internal/im"
)

// MaxForced is how many traces a second clients may ask for, in all at one
// process: what they ask for takes the place of what others asked for.
const MaxForced = 100

// Sampler decides which messages are traced. A nil Sampler traces none.
type Sampler struct {
	seed uint64
	// below is what the hash of a message's number must stay under.
	below  uint64
	users  map[im.UserID]bool
	forced *rate.Limiter
	// unheard counts traces that clients asked for in vain.
	unheard atomic.Uint64
}

// NewSampler draws per cent of all messages, and takes all those from some
// users. Seed makes the identifiers of one process differ from all others'.
func NewSampler(percent float64, users []im.UserID, seed uint64) *Sampler {
	s := &Sampler{seed: seed, forced: rate.NewLimiter(MaxForced, MaxForced)}
	if percent > 0 {
		s.below = uint64(min(percent/100*math.MaxUint64, math.MaxUint64-1<<12))
	}
	for _, u := range users {
		if s.users == nil {
			s.users = map[im.UserID]bool{}
		}
		s.users[u] = true
	}
	return s
}

// Pick returns the trace of the n-th message of this process, from a user, or
// 0: it is not traced. asked is the identifier that the client wants.
func (s *Sampler) Pick(n uint64, from im.UserID, asked im.TraceID) im.TraceID {
	if s == nil || asked == 0 && s.below == 0 && s.users == nil {
		return 0
	}
	return s.pick(n, from, asked)
}

func (s *Sampler) pick(n uint64, from im.UserID, asked im.TraceID) im.TraceID {
	if asked != 0 {
		if s.forced.Allow() {
			return asked.Forced()
		}
		s.unheard.Add(1)
	}
	drawn := mix(s.seed + n)
	switch {
	case s.users[from]:
		return im.TraceID(drawn).Forced()
	case drawn <= s.below && s.below > 0:
		return im.TraceID(mix(drawn)).Drawn()
	}
	return 0
}

// Unheard is how many traces clients asked for in vain.
func (s *Sampler) Unheard() uint64 {
	if s == nil {
		return 0
	}
	return s.unheard.Load()
}
