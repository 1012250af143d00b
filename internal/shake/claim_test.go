package shake

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
)

func TestWonIsToldWhenItIsDurable(t *testing.T) {
	r := opened(t, 1, nil)
	a := r.shake(7)
	c, cmd := take[*im.Claim](r)
	if c.to != im.Campaign(party) || cmd.User != 7 || cmd.Lease != 1 {
		t.Fatalf("claims %+v at %v", cmd, c.to)
	}
	r.want(a, none)
	r.want(r.shake(8), im.ShakeNothing)
	c.claimed(im.ClaimWon)
	r.want(a, im.ShakeWon)
	if a.Cents != 10 {
		t.Errorf("won %d cents", a.Cents)
	}
	if st := r.balanced(); st.Claimed != 1 || st.Outcomes[im.ShakeWon] != 1 {
		t.Errorf("%+v", st)
	}
}

func TestOneClaimOfAUserAtATime(t *testing.T) {
	r := opened(t, 3, func(c *Config) { c.MaxClaims = 2 })
	r.shake(7)
	take[*im.Claim](r)
	r.want(r.shake(7), im.ShakeBusy)
	r.shake(8)
	take[*im.Claim](r)
	full := r.shake(9)
	r.want(full, im.ShakeBusy)
	if full.RetryAfterMS == 0 {
		t.Error("no time to come back")
	}
	r.quiet()
	r.balanced()
}

func TestLimit(t *testing.T) {
	r := opened(t, 1, nil)
	a := r.shake(7)
	c, _ := take[*im.Claim](r)
	c.claimed(im.ClaimLimit)
	r.want(a, im.ShakeLimit)
	r.want(r.shake(7), im.ShakeLimit)
	r.quiet()
	b := r.shake(8)
	c, cmd := take[*im.Claim](r)
	if cmd.Lease != 1 || cmd.User != 8 {
		t.Fatalf("claims %+v, want the same lease for another", cmd)
	}
	c.claimed(im.ClaimWon)
	r.want(b, im.ShakeWon)
	r.balanced()
}

// Who is known to be at the limit hears so whether there are leases or not.
func TestLimitWithoutLeases(t *testing.T) {
	r := opened(t, 1, func(c *Config) { c.IdleFor = time.Minute })
	a := r.shake(7)
	c, _ := take[*im.Claim](r)
	c.done.Complete(c.cmd, &im.Claimed{Outcome: im.ClaimWon, Cents: 10, Last: true}, nil)
	r.want(a, im.ShakeWon)
	r.want(r.shake(7), im.ShakeLimit)
	r.want(r.shake(8), im.ShakeNothing)
	for range 60 {
		r.advance(second)
		for _, one := range r.asked {
			one.done.Complete(one.cmd, &im.Leases{Now: 5000, Start: 4000, End: 600_000}, nil)
		}
		r.asked = nil
		r.want(r.shake(7), im.ShakeLimit)
	}
	r.balanced()
}

// The users who are remembered are a bounded number of the last ones.
func TestLimitsAreForgotten(t *testing.T) {
	var q queue
	for user := im.UserID(1); user <= 3*maxLimited; user++ {
		q.limit(user)
		q.limit(user)
		if n := len(q.limited) + len(q.before); n > 2*maxLimited || !q.isLimited(user) || user > maxLimited && !q.isLimited(user-maxLimited+1) {
			t.Fatalf("%d are remembered after %d", n, user)
		}
	}
}

func TestLateLeasesAreReplaced(t *testing.T) {
	r := opened(t, 2, nil)
	a := r.shake(7)
	for lease := im.LeaseID(1); lease <= 2; lease++ {
		c, cmd := take[*im.Claim](r)
		if cmd.Lease != lease {
			t.Fatalf("claims %+v, want lease %d", cmd, lease)
		}
		c.claimed(im.ClaimLate)
	}
	r.want(a, im.ShakeNothing)
	if st := r.balanced(); st.Late != 2 {
		t.Errorf("%+v", st)
	}
}

// A claim without an answer is repeated for the same user, whatever happens.
func TestUnknownFate(t *testing.T) {
	r := opened(t, 1, nil)
	a := r.shake(7)
	c, first := take[*im.Claim](r)
	for range 3 {
		c.failed(im.Unavailable)
		r.want(a, none)
		r.want(r.shake(8), im.ShakeNothing)
		r.advance(lastRepeat * 5 / 4)
		r.asked = slices.DeleteFunc(r.asked, func(a asked) bool {
			_, renewal := a.cmd.(*im.RenewSets)
			return renewal
		})
		var cmd *im.Claim
		c, cmd = take[*im.Claim](r)
		if *cmd != *first {
			t.Fatalf("repeats %+v as %+v", first, cmd)
		}
	}
	c.claimed(im.ClaimWon)
	r.want(a, im.ShakeWon)
	r.balanced()
}

func TestUnknownFateForLong(t *testing.T) {
	r := opened(t, 1, func(c *Config) { c.IdleFor = time.Minute })
	a := r.shake(7)
	for began := r.Now(); a.n == 0; {
		if r.Now().Sub(began) > DefaultClaimFor {
			t.Fatal("no answer in time")
		}
		for _, one := range r.asked {
			one.failed(im.Unavailable)
		}
		r.asked = nil
		r.advance(10 * time.Millisecond)
	}
	r.want(a, im.ShakeBusy)
	r.asked = nil
	r.want(r.shake(8), im.ShakeNothing)
	r.quiet()
	if st := r.balanced(); st.Abandoned != 1 {
		t.Errorf("%+v", st)
	}
}

func TestLeasesExpireHere(t *testing.T) {
	r := opened(t, 2, func(c *Config) { c.Pace, c.IdleFor = time.Minute, time.Hour })
	r.advance(2*second - maxMargin - time.Millisecond)
	r.shake(7)
	take[*im.Claim](r)
	r.advance(time.Millisecond)
	r.want(r.shake(8), im.ShakeNothing)
	r.quiet()
	if st := r.balanced(); st.Expired != 1 {
		t.Errorf("%+v", st)
	}
}

func TestOverByAClaim(t *testing.T) {
	r := opened(t, 2, nil)
	a := r.shake(7)
	c, _ := take[*im.Claim](r)
	c.claimed(im.ClaimOver)
	r.want(a, im.ShakeClosed)
	r.want(r.shake(8), im.ShakeClosed)
	r.advance(overFor - second)
	r.want(r.shake(8), im.ShakeClosed)
	r.quiet()
	r.balanced()
}

func TestCloseReturnsLeases(t *testing.T) {
	r := opened(t, 4, nil)
	claiming, repeating, limited := r.shake(7), r.shake(8), r.shake(9)
	c7, _ := take[*im.Claim](r)
	c8, _ := take[*im.Claim](r)
	c9, _ := take[*im.Claim](r)
	c8.failed(im.Unavailable)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r.desk.Close(ctx) == nil {
		t.Fatal("closed with a claim under way")
	}
	ret, cmd := take[*im.ReturnLeases](r)
	if len(cmd.Leases) != 1 || cmd.Leases[0] != 4 {
		t.Fatalf("returns %v", cmd.Leases)
	}
	r.want(repeating, im.ShakeBusy)
	r.want(r.shake(10), im.ShakeBusy)
	c7.claimed(im.ClaimWon)
	r.want(claiming, im.ShakeWon)
	c9.claimed(im.ClaimLimit)
	r.want(limited, im.ShakeLimit)
	again, cmd := take[*im.ReturnLeases](r)
	if len(cmd.Leases) != 1 || cmd.Leases[0] != 3 {
		t.Fatalf("returns %v", cmd.Leases)
	}
	ret.failed(im.Unavailable)
	again.done.Complete(again.cmd, nil, nil)
	r.advance(time.Minute)
	r.quiet()
	if err := r.desk.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.balanced()
}
