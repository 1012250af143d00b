package shake

import (
	"slices"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// lease is an envelope that a SET may claim for a user until it expires.
type lease struct {
	id      im.LeaseID
	expires time.Duration
}

// queue is what a SET has of one campaign, guarded by the SET's lock.
type queue struct {
	// leases from first on, those that expire first in front.
	leases []lease
	first  int
	// without is the answer when there are none.
	without im.ShakeOutcome
	// shakes counts those since the last renewal.
	shakes int
	// limited are users who have won as often as they may, and earlier ones.
	limited, before map[im.UserID]struct{}
}

// maxLimited is how many users are remembered at a time, twice.
const maxLimited = 1024

func (q *queue) len() int { return len(q.leases) - q.first }

func (q *queue) push(l lease) {
	if q.first > 0 && len(q.leases) == cap(q.leases) {
		q.leases = slices.Delete(q.leases, 0, q.first)
		q.first = 0
	}
	q.leases = append(q.leases, l)
}

// putBack puts a lease where it came from.
func (q *queue) putBack(l lease) {
	if q.first == 0 {
		q.leases = slices.Insert(q.leases, 0, l)
		return
	}
	q.first--
	q.leases[q.first] = l
}

func (q *queue) pop() lease {
	l := q.leases[q.first]
	q.first++
	if q.first == len(q.leases) {
		q.leases, q.first = q.leases[:0], 0
	}
	return l
}

// expire drops leases from the front that have expired, and returns how many.
func (q *queue) expire(now time.Duration) (n uint64) {
	for q.len() > 0 && q.leases[q.first].expires <= now {
		q.pop()
		n++
	}
	return n
}

// drain takes all leases out.
func (q *queue) drain() []im.LeaseID {
	var ids []im.LeaseID
	for q.len() > 0 {
		ids = append(ids, q.pop().id)
	}
	return ids
}

// empty is the answer to a user when there are no leases.
func (q *queue) empty(user im.UserID) im.ShakeOutcome {
	if q.without == im.ShakeNothing && q.isLimited(user) {
		return im.ShakeLimit
	}
	return q.without
}

func (q *queue) isLimited(user im.UserID) bool {
	_, now := q.limited[user]
	_, before := q.before[user]
	return now || before
}

// limit remembers a user who may not win any more. When there are too many, it
// forgets those who came first.
func (q *queue) limit(user im.UserID) {
	if q.isLimited(user) {
		return
	}
	if q.limited == nil {
		q.limited = map[im.UserID]struct{}{}
	}
	q.limited[user] = struct{}{}
	if len(q.limited) >= maxLimited {
		q.before, q.limited = q.limited, nil
	}
}
