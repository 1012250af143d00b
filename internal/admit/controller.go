package admit

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// Config of a Controller.
type Config struct {
	// Threshold is the mean queueing time above which a window is
	// overloaded; 0: no window is.
	Threshold time.Duration
	// Window is the least length of a window. One in which fewer than
	// MinStarts requests started may last four times as long.
	Window    time.Duration
	MinStarts int
	// MaxWait bounds how much may be queued, in time, once the capacity is
	// known.
	MaxWait time.Duration
}

// DefaultConfig is right for a mailbox.
func DefaultConfig() Config {
	return Config{
		Threshold: 20 * time.Millisecond,
		Window:    100 * time.Millisecond,
		MinStarts: 20,
		MaxWait:   150 * time.Millisecond,
	}
}

// Controller decides which requests enter a queue. Admit is called as they
// arrive, Observe when their processing starts, Tick every few ten
// milliseconds. All methods may be called at the same time.
type Controller struct {
	cfg Config
	// level is the highest level admitted; limit is how many requests may
	// be queued.
	level atomic.Uint32
	limit atomic.Int64
	// retry is what to wait before a request just above the level is tried
	// again.
	retry atomic.Int64
	_     [40]byte
	// queued is how much waits, requests and other work; admitted counts
	// requests. What follows is written by those who process: it has a cache
	// line of its own.
	queued   atomic.Int64
	admitted atomic.Int64
	_        [48]byte
	started  atomic.Int64
	waited   atomic.Int64
	other    atomic.Int64
	_        [40]byte
	shed     [Classes]atomic.Uint64
	arrivals [levels]atomic.Uint32

	mu     sync.Mutex
	window window
	stats  Stats
}

// Stats are a Controller's counters, and gauges as of the last window.
type Stats struct {
	// Level is what is admitted now: im.AnyLevel, unless overloaded.
	Level im.Level
	// Admitted and Shed count requests.
	Admitted uint64
	Shed     [Classes]uint64
	// Windows and Overloaded count windows.
	Windows, Overloaded uint64
	// MeanQueued is the mean queueing time of the last window.
	MeanQueued time.Duration
	// Capacity is how many requests per second were processed when there
	// was more to do; 0: not known. Offered is how many came.
	Capacity, Offered float64
	// Queued is how many requests and other pieces of work wait; Limit is
	// from how many on no more requests are admitted, 0: any number.
	Queued, Limit int64
}

// noLimit is the limit while the capacity is not known.
const noLimit = 1 << 62

// NewController makes a Controller that admits everything.
func NewController(cfg Config) *Controller {
	c := &Controller{cfg: cfg}
	c.level.Store(uint32(im.AnyLevel))
	c.limit.Store(noLimit)
	c.retry.Store(int64(cfg.MaxWait))
	return c
}

// Level is the highest level that is admitted.
func (c *Controller) Level() im.Level { return im.Level(c.level.Load()) }

// Admit reports whether a request may enter the queue. One that may must be
// passed to Observe later, or taken back by Withdraw.
func (c *Controller) Admit(l im.Level) bool {
	class := classOfLevel(l)
	c.arrivals[min(int(l), levels-1)].Add(1)
	if class != Keep && (l > c.Level() || c.full(class)) {
		c.shed[class].Add(1)
		return false
	}
	c.admitted.Add(1)
	c.queued.Add(1)
	return true
}

// Pass is Admit for a request that does not enter the queue.
func (c *Controller) Pass(l im.Level) bool {
	if l > c.Level() {
		c.shed[classOfLevel(l)].Add(1)
		return false
	}
	return true
}

// full reports whether as much is queued as may be for a class: live sessions
// have half of the room to themselves.
func (c *Controller) full(class Class) bool {
	limit := c.limit.Load()
	if class > Live {
		limit /= 2
	}
	return c.queued.Load() >= limit
}

// Observe says that the processing of an admitted request starts, and how long
// it was queued.
func (c *Controller) Observe(queued time.Duration) {
	c.queued.Add(-1)
	c.started.Add(1)
	c.waited.Add(int64(queued))
}

// Enter says that a piece of work enters the queue without being asked about,
// since it follows from requests that were admitted. It must be passed to Start
// or Leave.
func (c *Controller) Enter() { c.queued.Add(1) }

// Start says that the processing of such a piece starts.
func (c *Controller) Start() {
	c.queued.Add(-1)
	c.other.Add(1)
}

// Leave says that such a piece did not enter the queue.
func (c *Controller) Leave() { c.queued.Add(-1) }

// Overloaded is what to answer to a request that was shed.
func (c *Controller) Overloaded(l im.Level) error {
	return &im.Error{Kind: im.Busy, RetryAfterMS: uint32(c.RetryAfter(l).Milliseconds()), Detail: "the server is overloaded"}
}

// Withdraw says that an admitted request did not enter the queue.
func (c *Controller) Withdraw() {
	c.admitted.Add(-1)
	c.queued.Add(-1)
}

// Stats are the counters.
func (c *Controller) Stats() Stats {
	c.mu.Lock()
	st := c.stats
	c.mu.Unlock()
	st.Level = c.Level()
	st.Admitted = uint64(max(0, c.admitted.Load()))
	st.Queued = max(0, c.queued.Load())
	if st.Limit = c.limit.Load(); st.Limit == noLimit {
		st.Limit = 0
	}
	for i := range st.Shed {
		st.Shed[i] = c.shed[i].Load()
	}
	return st
}

const (
	minRetry = 100 * time.Millisecond
	maxRetry = 10 * time.Second
)

// RetryAfter is how long a request that was shed should wait for its next try:
// until the queue is shorter, if it is important enough; else the longer the
// further above the level it is, and the more is offered.
func (c *Controller) RetryAfter(l im.Level) time.Duration {
	cursor := c.Level()
	if l <= cursor {
		return max(c.cfg.MaxWait, minRetry)
	}
	wait := time.Duration(c.retry.Load())
	wait += wait * time.Duration(min(l, im.Level(levels))-cursor) / userClasses
	return min(max(wait, minRetry), maxRetry)
}
