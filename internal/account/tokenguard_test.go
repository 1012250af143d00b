package account

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
)

func TestTokenGuard(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	g := NewTokenGuard([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, func() time.Time { return now })
	for i := range TokenFailures {
		if err := g.Check("192.0.2.1:5"); err != nil {
			t.Fatalf("after %d failures: %v", i, err)
		}
		g.Failed(fmt.Sprintf("192.0.2.1:%d", 1+i))
		g.Failed("10.1.2.3:5")
	}
	err := g.Check("192.0.2.1:7")
	if e := im.AsError(err); im.KindOf(err) != im.Busy || e.RetryAfterMS != 1000 {
		t.Fatalf("after %d failures: %v", TokenFailures, err)
	}
	for _, other := range []string{"192.0.2.2:5", "10.1.2.3:5", "[2001:db8::1]:5"} {
		if err := g.Check(other); err != nil {
			t.Errorf("%s: %v", other, err)
		}
	}
	now = now.Add(TokenInterval)
	if err := g.Check("192.0.2.1:8"); err != nil {
		t.Errorf("after a wait: %v", err)
	}
	if st := g.Stats(); st != (TokenGuardStats{Failed: 2 * TokenFailures, Refused: 1}) {
		t.Errorf("%+v", st)
	}
}

// However many addresses fail, only so many are remembered.
func TestTokenGuardIsBounded(t *testing.T) {
	g := NewTokenGuard(nil, time.Now)
	for i := range 2 * TrackedFailures {
		g.Failed(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255))
	}
	if n := len(g.failures.entries); n != TrackedFailures {
		t.Fatalf("%d addresses are remembered", n)
	}
}
