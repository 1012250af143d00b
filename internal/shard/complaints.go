package shard

import (
	"sync"
	"time"
)

// complaintEvery is how often it is logged that the store cannot be read: while it,
// or a part of it, is away, every command for whom it has fails for that reason.
const complaintEvery = 10 * time.Second

// complaints decides which failed reads are logged. All are counted elsewhere.
type complaints struct {
	mu      sync.Mutex
	last    time.Time
	skipped int
}

// due reports whether to log one now, and how many were not since the last.
func (c *complaints) due(now time.Time) (skipped int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.last.IsZero() && now.Sub(c.last) < complaintEvery {
		c.skipped++
		return 0, false
	}
	skipped, c.last, c.skipped = c.skipped, now, 0
	return skipped, true
}
