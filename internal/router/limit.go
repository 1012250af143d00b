package router

import (
	"net/netip"
	"time"

	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/im"
)

// limitedAddrs is how many addresses with recent requests are told apart.
const limitedAddrs = 1 << 16

// limit bounds what an address may ask.
type limit struct {
	cfg   *Config
	began time.Time
	paces *admit.Buckets
}

func newLimit(cfg *Config) *limit {
	return &limit{cfg: cfg, began: cfg.Now(), paces: admit.NewBuckets(admit.BucketsConfig{
		Rate: float64(cfg.Rate), Burst: cfg.Burst, Size: limitedAddrs,
	})}
}

// check refuses a request of an address that makes too many.
func (l *limit) check(remote string) error {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return im.Errorf(im.Internal, "a request from %q: %w", remote, err)
	}
	addr := from.Addr().Unmap()
	for _, p := range l.cfg.Exempt {
		if p.Contains(addr) {
			return nil
		}
	}
	wait := l.paces.Take(l.cfg.Now().Sub(l.began), admit.AddrKey(addr), 1)
	if wait == 0 {
		return nil
	}
	return &im.Error{
		Kind: im.Busy, RetryAfterMS: uint32(wait/time.Millisecond) + 1, Detail: "too many requests from this address",
	}
}

func (l *limit) refused() uint64 { return l.paces.Stats().Refused }
