package bench

import (
	"slices"
	"sync/atomic"

	"github.com/skein-im/skein/internal/im"
)

// ledger is what one device has received. One goroutine at a time takes
// messages; delivered may be read at any time.
type ledger struct {
	run  uint64
	user uint32
	// ids are the friends' identifiers at the server, friends their places
	// in the data set, both by place.
	ids     []im.UserID
	friends []int
	lanes   []lane

	// delivered counts distinct messages, when it last grew is last, in
	// nanoseconds since the run began.
	delivered atomic.Uint64
	last      atomic.Int64

	duplicated, reordered, damaged, foreign uint64
}

// lane is what came from one friend.
type lane struct {
	// next is the lowest ordinal that has not come, less one.
	next uint32
	// ahead are those that came before a lower one.
	ahead map[uint32]bool
}

func newLedger(run uint64, user int, ids []im.UserID, friends []int) *ledger {
	return &ledger{run: run, user: uint32(user), ids: ids, friends: friends, lanes: make([]lane, len(ids))}
}

// take counts a message that arrived from a user of the server. It returns
// when the message was due, or ok false if it is none of this run or not as it
// was sent.
func (l *ledger) take(from im.UserID, body []byte, now int64) (due int64, ok bool) {
	var s stamp
	if err := s.decode(body); err != nil {
		l.damaged++
		return 0, false
	}
	if s.Run != l.run {
		l.foreign++
		return 0, false
	}
	place, found := slices.BinarySearch(l.friends, int(s.From))
	if !found || l.ids[place] != from || s.To != l.user || s.Ordinal == 0 {
		l.damaged++
		return 0, false
	}
	if !l.lanes[place].take(s.Ordinal, l) {
		return 0, false
	}
	l.delivered.Add(1)
	l.last.Store(now)
	return s.Due, true
}

// take reports whether the ordinal came for the first time.
func (a *lane) take(ordinal uint32, l *ledger) bool {
	switch {
	case ordinal <= a.next || a.ahead[ordinal]:
		l.duplicated++
		return false
	case ordinal > a.next+1:
		if a.ahead == nil {
			a.ahead = map[uint32]bool{}
		}
		a.ahead[ordinal] = true
		return true
	}
	if len(a.ahead) > 0 {
		// It came after later ones.
		l.reordered++
	}
	for a.next = ordinal; a.ahead[a.next+1]; a.next++ {
		delete(a.ahead, a.next+1)
	}
	return true
}
