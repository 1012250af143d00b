package admit

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// BucketsConfig says what each key may take.
type BucketsConfig struct {
	// Rate is how many tokens per second flow into a bucket; 0: there is no
	// limit.
	Rate float64
	// Burst is how many a bucket holds.
	Burst int
	// Size is how many buckets that are not full there can be; further keys
	// share some.
	Size int
}

const (
	// ways is how many buckets a set holds: a key has its place in one set.
	ways = 8
	// stripes is how many locks the sets share.
	stripes = 64
)

// Buckets are token buckets by key, in a table of fixed size.
type Buckets struct {
	// interval is the time in which one token flows in; burst the time in
	// which an empty bucket becomes full.
	interval, burst time.Duration
	seed            maphash.Seed
	sets            []bucketSet
	locks           [stripes]bucketLock

	refused, shared atomic.Uint64
}

type bucketLock struct {
	sync.Mutex
	_ [56]byte
}

// bucketSet holds the buckets of some keys. A bucket is the time at which it
// will be full: if that has passed, the bucket is as good as none.
type bucketSet struct {
	tags [ways]uint64
	full [ways]time.Duration
	// rest is shared by the keys that find no place.
	rest time.Duration
}

// BucketsStats are counters: requests refused, and requests that were served
// from shared buckets because the table was full.
type BucketsStats struct{ Refused, Shared uint64 }

// NewBuckets makes full buckets for every key.
func NewBuckets(cfg BucketsConfig) *Buckets {
	b := &Buckets{seed: maphash.MakeSeed()}
	if cfg.Rate <= 0 {
		return b
	}
	b.interval = max(1, time.Duration(float64(time.Second)/cfg.Rate))
	b.burst = b.interval * time.Duration(max(1, cfg.Burst))
	b.sets = make([]bucketSet, max(1, (cfg.Size+ways-1)/ways))
	return b
}

// Take takes n tokens from a key's bucket. If there are not so many, it takes
// none and returns how long it is until there are; 0 means taken. More than
// Burst are as good as Burst.
func (b *Buckets) Take(now time.Duration, key Key, n int) (wait time.Duration) {
	if b.sets == nil {
		return 0
	}
	tag := maphash.Comparable(b.seed, key)
	i := tag % uint64(len(b.sets))
	lock := &b.locks[i%stripes]
	lock.Lock()
	full, shared := b.sets[i].find(tag, now)
	next := max(*full, now) + min(b.interval*time.Duration(n), b.burst)
	if wait = next - now - b.burst; wait <= 0 {
		*full, wait = next, 0
	}
	lock.Unlock()
	if wait > 0 {
		b.refused.Add(1)
	}
	if shared {
		b.shared.Add(1)
	}
	return wait
}

// find returns a key's bucket: its own, or one in the place of a full one, or
// the shared one. A set that has never been used is full of full buckets.
func (s *bucketSet) find(tag uint64, now time.Duration) (full *time.Duration, shared bool) {
	free := -1
	for i := range s.tags {
		if s.tags[i] == tag {
			return &s.full[i], false
		}
		if s.full[i] <= now {
			free = i
		}
	}
	if free < 0 {
		return &s.rest, true
	}
	s.tags[free], s.full[free] = tag, now
	return &s.full[free], false
}

// Stats are the counters.
func (b *Buckets) Stats() BucketsStats {
	return BucketsStats{Refused: b.refused.Load(), Shared: b.shared.Load()}
}
