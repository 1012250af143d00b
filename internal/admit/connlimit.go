package admit

import (
	"net/netip"
	"sync"
	"time"
)

// ConnLimitConfig says what each address may have. Addresses of IPv6 count by
// their /64 network.
type ConnLimitConfig struct {
	// Open is how many connections may be open; 0: any number.
	Open int
	// Rate is how many new ones per second, Burst how many at once; 0: any
	// number.
	Rate  float64
	Burst int
	// Addrs is how many addresses with recent connections are told apart.
	Addrs int
	// Exempt are networks without limits, such as a load balancer's.
	Exempt []netip.Prefix
}

// Refusal says why a connection is refused.
type Refusal uint8

// Refusals.
const (
	// Accepted is none.
	Accepted Refusal = iota
	// TooManyOpen: the address has as many connections as it may.
	TooManyOpen
	// TooFast: it opens them too fast.
	TooFast
	refusals
)

// ConnLimit limits connections per address. All methods may be called at the
// same time.
type ConnLimit struct {
	cfg   ConnLimitConfig
	paces *Buckets

	mu sync.Mutex
	// open counts the connections of every address that has any, so it is
	// never larger than the number of connections.
	open    map[Key]int32
	refused [refusals]uint64
}

// ConnLimitStats are gauges and counters: addresses that have connections,
// and connections refused.
type ConnLimitStats struct {
	Addrs                int
	TooManyOpen, TooFast uint64
}

// NewConnLimit makes a ConnLimit without connections.
func NewConnLimit(cfg ConnLimitConfig) *ConnLimit {
	return &ConnLimit{
		cfg:   cfg,
		paces: NewBuckets(BucketsConfig{Rate: cfg.Rate, Burst: cfg.Burst, Size: cfg.Addrs}),
		open:  map[Key]int32{},
	}
}

// Open counts a new connection, or refuses it. One that was accepted must be
// passed to Close when it ends, with the same address.
func (l *ConnLimit) Open(now time.Duration, addr netip.Addr) Refusal {
	if l.exempt(addr) {
		return Accepted
	}
	key := AddrKey(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.open[key]
	switch {
	case l.cfg.Open > 0 && int(n) >= l.cfg.Open:
		l.refused[TooManyOpen]++
		return TooManyOpen
	case l.paces.Take(now, key, 1) > 0:
		l.refused[TooFast]++
		return TooFast
	}
	l.open[key] = n + 1
	return Accepted
}

// Close counts a connection out.
func (l *ConnLimit) Close(addr netip.Addr) {
	if l.exempt(addr) {
		return
	}
	key := AddrKey(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.open[key]; n > 1 {
		l.open[key] = n - 1
	} else {
		delete(l.open, key)
	}
}

func (l *ConnLimit) exempt(addr netip.Addr) bool {
	addr = addr.Unmap()
	for _, p := range l.cfg.Exempt {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// Stats are the counters.
func (l *ConnLimit) Stats() ConnLimitStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return ConnLimitStats{Addrs: len(l.open), TooManyOpen: l.refused[TooManyOpen], TooFast: l.refused[TooFast]}
}
