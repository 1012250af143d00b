package shake

import (
	"context"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// A SET asks for what its users are likely to take until the next time.
func TestWants(t *testing.T) {
	r := opened(t, 0, nil)
	for range 20 {
		for range 40 {
			r.shake(7)
		}
		r.advance(DefaultPace)
		r.renew(0)
	}
	for range 40 {
		r.shake(7)
	}
	r.advance(DefaultPace)
	if w := r.renew(3).Sets[0].Want; w < 48 || w > 53 {
		t.Errorf("wants %d for 40 shakes", w)
	}
	// What it has counts, and so does that nobody takes it.
	r.advance(2 * DefaultPace)
	if w := r.renew(0).Sets[0].Want; w < 30 || w > 38 {
		t.Errorf("wants %d after a quiet renewal", w)
	}
}

func TestIdleCampaignsGiveBack(t *testing.T) {
	r := opened(t, 2, func(c *Config) { c.IdleFor = time.Second })
	for range 3 {
		r.advance(slowest)
		if _, ok := r.asked[0].cmd.(*im.ReturnLeases); ok {
			break
		}
		r.renew(0)
	}
	_, cmd := take[*im.ReturnLeases](r)
	if len(cmd.Leases) != 2 {
		t.Fatalf("returns %v", cmd.Leases)
	}
	r.advance(time.Minute)
	r.quiet()
	if st := r.balanced(); st.Campaigns != 0 || st.Returned != 2 {
		t.Errorf("%+v", st)
	}
	// The next shake begins anew.
	r.shake(1)
	r.renew(0)
}

func TestNotBegun(t *testing.T) {
	r := newRig(t, nil)
	first := r.shake(1)
	a, cmd := take[*im.RenewSets](r)
	a.done.Complete(cmd, &im.Leases{Now: 1000, Start: 1300, End: 9000}, nil)
	r.want(first, im.ShakeClosed)
	r.want(r.shake(2), im.ShakeClosed)
	r.advance(299 * time.Millisecond)
	r.quiet()
	// It asks again when it begins.
	r.advance(time.Millisecond)
	r.renew(1)
	r.shake(2)
	take[*im.Claim](r)
}

func TestOver(t *testing.T) {
	r := opened(t, 2, nil)
	r.shake(7)
	c, _ := take[*im.Claim](r)
	r.advance(DefaultPace)
	a, _ := take[*im.RenewSets](r)
	a.done.Complete(a.cmd, &im.Leases{Now: 99_000, Start: 1, End: 98_000, Over: true}, nil)
	r.want(r.shake(8), im.ShakeClosed)
	c.claimed(im.ClaimOver)
	r.advance(overFor)
	r.quiet()
	if st := r.balanced(); st.Campaigns != 0 {
		t.Errorf("%+v", st)
	}
}

// Campaigns that do not exist cost one question each, and are forgotten first.
func TestUnknownCampaigns(t *testing.T) {
	r := opened(t, 1, func(c *Config) { c.MaxCampaigns = 4; c.IdleFor = time.Hour })
	shakeAs := func(user im.UserID, id im.CampaignID) *answer {
		a := &answer{}
		r.desk.Shake(user, id, func(out im.Shaken) { a.Shaken, a.n = out, a.n+1 })
		return a
	}
	shake := func(id im.CampaignID) *answer { return shakeAs(1, id) }
	for id := im.CampaignID(1000); id < 1010; id++ {
		a := shake(id)
		q, _ := take[*im.RenewSets](r)
		b := shakeAs(2, id)
		// One of a user waits at a time.
		r.want(shake(id), im.ShakeBusy)
		q.failed(im.NotFound)
		r.want(a, im.ShakeClosed)
		r.want(b, im.ShakeClosed)
		r.want(shake(id), im.ShakeClosed)
		r.quiet()
	}
	if st := r.desk.Stats(); st.Campaigns != 4 || st.Queued != 1 {
		t.Errorf("%+v", st)
	}
	// Those being asked about cannot be put out, so there may be no room.
	for id := im.CampaignID(2000); id < 2003; id++ {
		r.want(shake(id), none)
	}
	r.want(shake(3000), im.ShakeBusy)
	asked := r.asked
	r.asked = nil
	for _, q := range asked {
		q.failed(im.NotFound)
	}
	r.advance(unknownFor)
	if st := r.desk.Stats(); st.Campaigns != 1 {
		t.Errorf("%+v", st)
	}
}

func TestMailboxAway(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxWaiting = 2 })
	a, b := r.shake(1), r.shake(2)
	r.want(r.shake(3), im.ShakeBusy)
	q, _ := take[*im.RenewSets](r)
	q.failed(im.Unavailable)
	r.want(a, im.ShakeBusy)
	r.want(b, im.ShakeBusy)
	// It is not asked for every shake.
	r.want(r.shake(1), im.ShakeBusy)
	r.quiet()
	r.advance(slowest)
	c := r.shake(1)
	r.renew(1)
	r.want(c, none)
	claim, _ := take[*im.Claim](r)
	claim.claimed(im.ClaimWon)
	r.want(c, im.ShakeWon)
	// A known campaign goes on with what it has.
	r.advance(DefaultPace)
	q, _ = take[*im.RenewSets](r)
	q.failed(im.Unavailable)
	r.want(r.shake(1), im.ShakeNothing)
	r.advance(2 * slowest)
	r.renew(1)
	r.balanced()
}

// What comes after the desk has closed, or for SETs of somebody else, goes back.
func TestSurplus(t *testing.T) {
	r := opened(t, 0, nil)
	r.shake(1)
	r.advance(DefaultPace)
	a, cmd := take[*im.RenewSets](r)
	a.done.Complete(cmd, &im.Leases{Now: 1, End: 9000, Leases: []im.Lease{{ID: 5, Set: cmd.Sets[0].Set - 1, Expires: 500}}}, nil)
	if _, ret := take[*im.ReturnLeases](r); len(ret.Leases) != 1 || ret.Leases[0] != 5 {
		t.Fatalf("returns %v", ret.Leases)
	}
	r.advance(DefaultPace)
	a, cmd = take[*im.RenewSets](r)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.desk.Close(ctx)
	a.done.Complete(cmd, &im.Leases{Now: 1, End: 9000, Leases: []im.Lease{{ID: 6, Set: cmd.Sets[0].Set, Expires: 500}}}, nil)
	if _, ret := take[*im.ReturnLeases](r); len(ret.Leases) != 1 || ret.Leases[0] != 6 {
		t.Fatalf("returns %v", ret.Leases)
	}
	r.balanced()
}

// A desk may close between the first shake and the question it causes.
func TestClosedBeforeTheQuestion(t *testing.T) {
	r := newRig(t, nil)
	a := &answer{}
	r.desk.mu.Lock()
	c := r.desk.newCampaign(party)
	c.wait(waiter{1, func(out im.Shaken) { a.Shaken, a.n = out, a.n+1 }})
	r.desk.mu.Unlock()
	if err := r.desk.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.renew()
	r.want(a, im.ShakeBusy)
	r.quiet()
}
