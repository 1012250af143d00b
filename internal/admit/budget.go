package admit

import (
	"math"
	"sync/atomic"
)

// Budget bounds how many bytes something holds. What it takes counts for its
// parent too. All methods may be called at the same time.
type Budget struct {
	parent  *Budget
	limit   int64
	used    atomic.Int64
	peak    atomic.Int64
	refused atomic.Uint64
}

// BudgetStats are gauges and counters: bytes held now, at most, and allowed,
// and how often there was no room, here or further up.
type BudgetStats struct {
	Used, Peak, Limit int64
	Refused           uint64
}

// NewBudget makes a budget of so many bytes (0: any number) within a parent's,
// which may be nil.
func NewBudget(parent *Budget, limit int64) *Budget {
	if limit <= 0 {
		limit = math.MaxInt64
	}
	return &Budget{parent: parent, limit: limit}
}

// TryTake takes n bytes, or none and returns false if there is no room.
func (b *Budget) TryTake(n int) bool {
	for at := b; at != nil; at = at.parent {
		if !at.take(int64(n)) {
			for back := b; back != at; back = back.parent {
				back.used.Add(-int64(n))
			}
			b.refused.Add(1)
			return false
		}
	}
	return true
}

func (b *Budget) take(n int64) bool {
	used := b.used.Load()
	for {
		if n > b.limit-used {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			break
		}
		used = b.used.Load()
	}
	used += n
	for peak := b.peak.Load(); used > peak; peak = b.peak.Load() {
		if b.peak.CompareAndSwap(peak, used) {
			break
		}
	}
	return true
}

// Give returns n bytes that were taken.
func (b *Budget) Give(n int) {
	for at := b; at != nil; at = at.parent {
		at.used.Add(-int64(n))
	}
}

// Close returns what is still taken. The budget must not be used any more.
func (b *Budget) Close() { b.Give(int(b.used.Load())) }

// Stats are the gauges and counters.
func (b *Budget) Stats() BudgetStats {
	return BudgetStats{Used: b.used.Load(), Peak: b.peak.Load(), Limit: b.limit, Refused: b.refused.Load()}
}
