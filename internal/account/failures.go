package account

import (
	"container/list"
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/skein-im/skein/internal/im"
)

// How many failed logins are borne before further ones are refused as Busy.
// Those who know their password never notice, unless somebody else is guessing
// at it: then they wait with the guesser, and their devices stay logged in.
const (
	// NameFailures at once for one name, and one more every NameInterval.
	NameFailures = 10
	NameInterval = 10 * time.Second
	// AddressFailures at once from one address, and one more every
	// AddressInterval. Many people may share an address.
	AddressFailures = 100
	AddressInterval = time.Second
	// TrackedFailures is for how many names, and for how many addresses,
	// failures are remembered: some 300 bytes each. The ones that failed
	// least recently are forgotten first.
	TrackedFailures = 16384
)

// failures counts failed logins by some key.
type failures struct {
	every time.Duration
	burst int
	most  int

	mu      sync.Mutex
	entries map[string]*list.Element
	// recent has the key that failed last in front.
	recent list.List
}

type failure struct {
	key     string
	limiter *rate.Limiter
}

func newFailures(burst int, every time.Duration, most int) *failures {
	return &failures{every: every, burst: burst, most: most, entries: map[string]*list.Element{}}
}

// wait is how long nobody may try for the key; 0 means go ahead.
func (f *failures) wait(key string, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.entries[key]
	if e == nil {
		return 0
	}
	tokens := e.Value.(*failure).limiter.TokensAt(now)
	if tokens >= 1 {
		return 0
	}
	return time.Duration(math.Ceil((1 - tokens) * float64(f.every)))
}

// charge counts one failure. Those that run at the same time may go beyond
// what there is; the debt is waited for like the rest.
func (f *failures) charge(key string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.entries[key]
	if e == nil {
		f.forgetOldest()
		e = f.recent.PushFront(&failure{key, rate.NewLimiter(rate.Every(f.every), f.burst)})
		f.entries[key] = e
	}
	f.recent.MoveToFront(e)
	e.Value.(*failure).limiter.ReserveN(now, 1)
}

func (f *failures) forgetOldest() {
	if len(f.entries) < f.most {
		return
	}
	oldest := f.recent.Back()
	delete(f.entries, oldest.Value.(*failure).key)
	f.recent.Remove(oldest)
}

// loginFailures counts by name and by address.
type loginFailures struct {
	names     *failures
	addresses *failures
}

func newLoginFailures() loginFailures {
	return loginFailures{
		names:     newFailures(NameFailures, NameInterval, TrackedFailures),
		addresses: newFailures(AddressFailures, AddressInterval, TrackedFailures),
	}
}

// check refuses an attempt when too many before it have failed.
func (l loginFailures) check(c *Credentials, now time.Time) error {
	wait := max(l.names.wait(im.FoldName(c.Name), now), l.addresses.wait(addressKey(c.Remote), now))
	if wait == 0 {
		return nil
	}
	ms := min(max(wait.Milliseconds(), 1), math.MaxUint32)
	return &im.Error{Kind: im.Busy, RetryAfterMS: uint32(ms), Detail: "too many failed logins; wait before the next"}
}

func (l loginFailures) charge(c *Credentials, now time.Time) {
	l.names.charge(im.FoldName(c.Name), now)
	l.addresses.charge(addressKey(c.Remote), now)
}

// addressKey is what counts as one address: an IPv4 address, or the /64 that a
// site's IPv6 addresses share. Anything else stands for itself.
func addressKey(remote string) string {
	addr, err := netip.ParseAddr(remote)
	if ap, perr := netip.ParseAddrPort(remote); perr == nil {
		addr, err = ap.Addr(), nil
	}
	if err != nil {
		return remote
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	return netip.PrefixFrom(addr, 64).Masked().String()
}
