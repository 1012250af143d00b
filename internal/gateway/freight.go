package gateway

import (
	"sync"

	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/im"
)

// piece is the unit in which the bodies of sends without an answer are accounted
// for, in bytes: so that a session's share fits into 16 bits.
const piece = 256

// leastBytes is the least of each bound: room for the largest body.
const leastBytes = im.MaxBody + piece

// pieces is what a body counts for.
func pieces(body []byte) int { return len(body)/piece + 1 }

// freight bounds the bodies of sends that have no answer yet: per user, over all
// the user's connections, and in all.
type freight struct {
	all     *admit.Budget
	perUser int
	shards  [64]freightShard
}

// freightShard has the users with such sends, and how many pieces.
type freightShard struct {
	mu    sync.Mutex
	users map[im.UserID]int
	_     [48]byte
}

func newFreight(all, perUser int) *freight {
	f := &freight{all: admit.NewBudget(nil, int64(all/piece)), perUser: perUser / piece}
	for i := range f.shards {
		f.shards[i].users = map[im.UserID]int{}
	}
	return f
}

func (f *freight) shard(user im.UserID) *freightShard {
	return &f.shards[user%im.UserID(len(f.shards))]
}

// take makes room for n pieces of a user's, if there is.
func (f *freight) take(user im.UserID, n int) bool {
	sh := f.shard(user)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	has := sh.users[user]
	if has+n > f.perUser || !f.all.TryTake(n) {
		return false
	}
	sh.users[user] = has + n
	return true
}

// give returns what was taken.
func (f *freight) give(user im.UserID, n int) {
	sh := f.shard(user)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	f.all.Give(n)
	if sh.users[user] -= n; sh.users[user] == 0 {
		delete(sh.users, user)
	}
}
