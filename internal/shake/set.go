package shake

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// Waits that clients are told: for their own claim, and for the mailbox.
const (
	claimRetryMS = 200
	awayRetryMS  = 1000
)

func busy(ms uint32) im.Shaken { return im.Shaken{Outcome: im.ShakeBusy, RetryAfterMS: ms} }

// set is a SET.
type set struct {
	desk *Desk
	id   im.SetID

	mu     sync.Mutex
	queues map[im.CampaignID]*queue
	claims map[im.UserID]*claim
	closed bool
	stats  Stats
	// SETs are neighbours in memory, and are not to share a cache line.
	_ [64]byte
}

// take begins a claim for a user who has shaken, or says why not. The caller
// has the lock.
func (s *set) take(q *queue, user im.UserID) (*claim, im.Shaken) {
	switch {
	case s.closed, s.claims[user] != nil, len(s.claims) >= s.desk.cfg.MaxClaims:
		return nil, busy(claimRetryMS)
	case q.isLimited(user):
		return nil, im.Shaken{Outcome: im.ShakeLimit}
	}
	now := s.desk.now()
	l, ok := s.next(q, now)
	if !ok {
		return nil, im.Shaken{Outcome: q.empty(user)}
	}
	c := &claim{set: s, lease: l, began: now, cmd: &im.Claim{Lease: l.id, Set: s.id, User: user}}
	s.claims[user] = c
	s.desk.open.Add(1)
	return c, im.Shaken{}
}

// next takes the first lease that has not expired. The caller has the lock.
func (s *set) next(q *queue, now time.Duration) (lease, bool) {
	for q.len() > 0 {
		if l := q.pop(); now < l.expires {
			return l, true
		}
		s.stats.Expired++
	}
	return lease{}, false
}

// stock takes a lease, if there is room.
func (s *set) stock(q *queue, l lease) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.len() >= s.desk.cfg.MaxQueue {
		return false
	}
	q.push(l)
	return true
}

// close ends the claims that wait to be repeated.
func (s *set) close() {
	s.mu.Lock()
	s.closed = true
	var waiting []*claim
	for _, user := range slices.Sorted(maps.Keys(s.claims)) {
		if c := s.claims[user]; c.stop != nil && c.stop() {
			waiting = append(waiting, c)
		}
	}
	s.mu.Unlock()
	for _, c := range waiting {
		c.abandon()
	}
}
