package evloop

import (
	"errors"
	"sync"
	"sync/atomic"
)

// Spare is how many bytes a connection may hold whatever its budget says: so
// those that need little are served when others have used up everything.
const Spare = 4 << 10

// ErrNoRoom is what asking for more fails with when there is no room.
var ErrNoRoom = errors.New("evloop: too many bytes are held for connections")

// leaseStep is how many bytes a budget takes from its parent's at a time.
const leaseStep = 256 << 10

// Budget counts the bytes that are held on behalf of connections and says
// whether there may be more. It may be part of another: a loop's of the
// process's, say, which it asks for much at a time, so that loops do not share
// a counter that is always changing. A nil Budget has no limit. It is safe for
// concurrent use.
type Budget struct {
	limit  int64
	parent *Budget
	used   atomic.Int64
	// leased is what the parent counts for this one, guarded by mu.
	leased atomic.Int64
	mu     sync.Mutex
}

// NewBudget makes a budget of so many bytes; parent may be nil.
func NewBudget(limit int, parent *Budget) *Budget {
	return &Budget{limit: int64(limit), parent: parent}
}

// Add counts bytes that are held from now on or, if n is negative, are not any
// more. It does not ask for room.
func (b *Budget) Add(n int) {
	if b == nil || n == 0 {
		return
	}
	used := b.used.Add(int64(n))
	if l := b.leased.Load(); used > l || used < l-2*leaseStep {
		b.lease()
	}
}

// lease takes from the parent what is used, and a bit, or gives back.
func (b *Budget) lease() {
	if b.parent == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	want := (b.used.Load() + leaseStep - 1) / leaseStep * leaseStep
	b.parent.Add(int(want - b.leased.Swap(want)))
}

// Room reports whether a connection that holds held bytes may have n more.
func (b *Budget) Room(held, n int) bool { return held+n <= Spare || b.left(int64(n)) }

func (b *Budget) left(n int64) bool {
	if b == nil {
		return true
	}
	// Of what was added without asking, the parent may be full by now.
	used := b.used.Load() + n
	return used <= b.limit && b.parent.left(max(used-b.leased.Load(), 0))
}

// Used is how many bytes are held, for one with parts rounded up.
func (b *Budget) Used() int {
	if b == nil {
		return 0
	}
	return int(b.used.Load())
}
