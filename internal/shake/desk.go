package shake

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"math"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

// Defaults of Config.
const (
	DefaultPace         = 150 * time.Millisecond
	DefaultIdleFor      = 5 * time.Second
	DefaultClaimFor     = 5 * time.Second
	DefaultMaxQueue     = 256
	DefaultMaxClaims    = 1024
	DefaultMaxCampaigns = 64
	DefaultMaxWaiting   = 4096
)

// Config is what a Desk needs.
type Config struct {
	Mailbox im.Mailbox
	Logger  *slog.Logger
	// Sets is how many SETs there are; 0: one per core.
	Sets int
	// Now is a clock whose differences are those of a monotonic one; nil:
	// time.Now.
	Now func() time.Time
	// After runs f after d, unless stop is called before; nil means
	// time.AfterFunc.
	After func(d time.Duration, f func()) (stop func() bool)
	// Rand returns a number in [0, n); nil: math/rand.
	Rand func(n int64) int64
	// Pace is how long leases are to last from one renewal to the next.
	Pace time.Duration
	// IdleFor is how long after the last shake a campaign's leases go back.
	IdleFor time.Duration
	// ClaimFor is for how long a claim is repeated whose fate is unknown.
	ClaimFor time.Duration
	// MaxQueue bounds the leases that a SET has of a campaign, MaxClaims the
	// claims of a SET that are under way.
	MaxQueue, MaxClaims int
	// MaxCampaigns bounds the campaigns that are known, MaxWaiting the shakes
	// that wait for a campaign's first word.
	MaxCampaigns, MaxWaiting int
}

// Desk answers shakes; it implements im.Shaker.
type Desk struct {
	cfg   Config
	began time.Time
	sets  []set
	// open counts claims and commands without an answer.
	open sync.WaitGroup

	// mu guards what follows, and all of the campaigns. It comes before the
	// locks of the SETs.
	mu        sync.Mutex
	campaigns map[im.CampaignID]*campaign
	// asking is how many campaigns are being asked for the first time,
	// waiting how many shakes wait for that.
	asking, waiting int
	// awayUntil is until when the mailbox is not asked for further campaigns.
	awayUntil time.Duration
	closed    bool
	stats     Stats
	// returned counts leases that went back.
	returned atomic.Uint64
}

// New makes a Desk.
func New(cfg Config) (*Desk, error) {
	if cfg.Mailbox == nil || cfg.Logger == nil {
		return nil, errors.New("a desk needs a mailbox and a logger")
	}
	cfg.Sets = cmp.Or(max(cfg.Sets, 0), runtime.GOMAXPROCS(0))
	cfg.Pace = cmp.Or(cfg.Pace, DefaultPace)
	cfg.IdleFor = cmp.Or(cfg.IdleFor, DefaultIdleFor)
	cfg.ClaimFor = cmp.Or(cfg.ClaimFor, DefaultClaimFor)
	cfg.MaxQueue = min(cmp.Or(cfg.MaxQueue, DefaultMaxQueue), im.MaxWant)
	cfg.MaxClaims = cmp.Or(cfg.MaxClaims, DefaultMaxClaims)
	cfg.MaxCampaigns = cmp.Or(cfg.MaxCampaigns, DefaultMaxCampaigns)
	cfg.MaxWaiting = cmp.Or(cfg.MaxWaiting, DefaultMaxWaiting)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.After == nil {
		cfg.After = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Int64N
	}
	d := &Desk{cfg: cfg, began: cfg.Now(), sets: make([]set, cfg.Sets), campaigns: map[im.CampaignID]*campaign{}}
	// Nobody else has these: numbers of 63 bits, drawn by every process.
	first := im.SetID(cfg.Rand(math.MaxInt64-int64(cfg.Sets))) + 1
	for i := range d.sets {
		d.sets[i] = set{desk: d, id: first + im.SetID(i), queues: map[im.CampaignID]*queue{}, claims: map[im.UserID]*claim{}}
	}
	return d, nil
}

// now is the time since the desk began.
func (d *Desk) now() time.Duration { return d.cfg.Now().Sub(d.began) }

// jittered is a time of d on average.
func (d *Desk) jittered(t time.Duration) time.Duration {
	return t*3/4 + time.Duration(d.cfg.Rand(int64(t)/2+1))
}

// setOf is the SET of a user: users are spread evenly, whatever their
// identifiers have in common.
func (d *Desk) setOf(user im.UserID) *set {
	hash := uint64(user) * 0x9e3779b97f4a7c15
	hash ^= hash >> 32
	i, _ := bits.Mul64(hash*0x9e3779b97f4a7c15, uint64(len(d.sets)))
	return &d.sets[i]
}

// Shake implements im.Shaker. The answer "nothing" comes at once.
func (d *Desk) Shake(user im.UserID, id im.CampaignID, done func(im.Shaken)) {
	s := d.setOf(user)
	s.mu.Lock()
	q := s.queues[id]
	if q == nil {
		s.mu.Unlock()
		d.meet(user, id, done)
		return
	}
	q.shakes++
	if q.len() == 0 {
		out := q.empty(user)
		s.stats.Outcomes[out]++
		s.mu.Unlock()
		done(im.Shaken{Outcome: out})
		return
	}
	c, out := s.take(q, user)
	if c == nil {
		s.stats.Outcomes[out.Outcome]++
		s.mu.Unlock()
		done(out)
		return
	}
	c.campaign, c.done = id, done
	s.mu.Unlock()
	c.submit()
}

// Ask shakes and waits for the answer. Being busy is an error.
func (d *Desk) Ask(ctx context.Context, user im.UserID, id im.CampaignID) (skeinv1.ShakeOutcome, im.Cents, error) {
	answer := make(chan im.Shaken, 1)
	d.Shake(user, id, func(out im.Shaken) { answer <- out })
	select {
	case out := <-answer:
		if out.Outcome == im.ShakeBusy {
			return 0, 0, &im.Error{Kind: im.Busy, RetryAfterMS: out.RetryAfterMS, Detail: "shaking is not possible just now"}
		}
		return skeinv1.ShakeOutcome(out.Outcome), out.Cents, nil
	case <-ctx.Done():
		return 0, 0, im.Errorf(im.Unavailable, "no answer in time; what was won arrives all the same: %w", context.Cause(ctx))
	}
}

// Close answers further shakes with Busy, returns the leases and waits for the
// claims that are under way; those whose fate is unknown are not repeated. When
// ctx is done it does not wait any longer.
func (d *Desk) Close(ctx context.Context) error {
	d.mu.Lock()
	d.closed = true
	for _, id := range slices.Sorted(maps.Keys(d.campaigns)) {
		d.campaigns[id].forget()
	}
	d.mu.Unlock()
	for i := range d.sets {
		d.sets[i].close()
	}
	if ctx.Err() == nil {
		idle := make(chan struct{})
		go func() {
			d.open.Wait()
			close(idle)
		}()
		select {
		case <-idle:
			return nil
		case <-ctx.Done():
		}
	}
	return im.Errorf(im.Unavailable, "not everything was claimed or returned in time: %w", context.Cause(ctx))
}
