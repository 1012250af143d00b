package account

import (
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// TokenFailures wrong tokens from one address are borne at once, and one more
// every TokenInterval; further requests from there that show a token are
// refused unseen. TrackedFailures bounds for how many addresses that is known.
const (
	TokenFailures = 100
	TokenInterval = time.Second
)

// TokenGuard bounds how often an address may show a token that is none. Tokens
// cannot be guessed; what a flood of wrong ones costs is the mailbox's time.
type TokenGuard struct {
	failures *failures
	exempt   []netip.Prefix
	now      func() time.Time

	failed, refused atomic.Uint64
}

// TokenGuardStats are counters: wrong tokens, and requests refused unseen.
type TokenGuardStats struct{ Failed, Refused uint64 }

// NewTokenGuard makes a TokenGuard. Networks in exempt are never refused: those
// of proxies, behind which there are many clients.
func NewTokenGuard(exempt []netip.Prefix, now func() time.Time) *TokenGuard {
	return &TokenGuard{failures: newFailures(TokenFailures, TokenInterval, TrackedFailures), exempt: exempt, now: now}
}

// Check refuses a request from an address that has shown too many wrong tokens.
func (g *TokenGuard) Check(remote string) error {
	wait := g.failures.wait(addressKey(remote), g.now())
	if wait == 0 {
		return nil
	}
	g.refused.Add(1)
	ms := min(max(wait.Milliseconds(), 1), math.MaxUint32)
	return &im.Error{Kind: im.Busy, RetryAfterMS: uint32(ms), Detail: "too many wrong tokens from this address; wait before the next"}
}

// Failed counts a wrong token.
func (g *TokenGuard) Failed(remote string) {
	g.failed.Add(1)
	if !g.exempts(remote) {
		g.failures.charge(addressKey(remote), g.now())
	}
}

func (g *TokenGuard) exempts(remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	for _, p := range g.exempt {
		if p.Contains(at.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// Stats are the counters.
func (g *TokenGuard) Stats() TokenGuardStats {
	return TokenGuardStats{Failed: g.failed.Load(), Refused: g.refused.Load()}
}
