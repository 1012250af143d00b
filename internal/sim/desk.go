package sim

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shake"
)

// counter is where users shake at a gateway process: the real desk, behind what
// watches and spoils its commands.
type counter struct {
	g    *gateway
	life int
	desk *shake.Desk
	// leases are those that the desk was lent.
	leases map[im.LeaseID]*lent
	// waiting counts shakes without an answer.
	waiting int
}

// lent is a lease at a desk.
type lent struct {
	// deadline is when the campaign may have dealt it again, by the gateway's
	// clock, if the campaign's goes evenly.
	deadline time.Duration
	// user is for whom it was claimed.
	user im.UserID
}

// openCounter is part of a gateway's start, where there are campaigns.
func (g *gateway) openCounter() {
	w := g.w
	if len(w.bank.campaigns) == 0 {
		return
	}
	c := &counter{g: g, life: g.life, leases: map[im.LeaseID]*lent{}}
	var err error
	c.desk, err = shake.New(shake.Config{
		Mailbox: &teller{c: c}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Sets: 1 + w.rng.IntN(3), MaxQueue: 1 + w.rng.IntN(8), MaxClaims: 1 + w.rng.IntN(4),
		ClaimFor: w.between(100*time.Millisecond, 8*time.Second), IdleFor: w.between(time.Second, 5*time.Second),
		Now:   func() time.Time { return time.UnixMilli(0).Add(w.now) },
		After: g.after, Rand: w.jitter,
	})
	if err != nil {
		w.fail("gateway %d: %v", g.id, err)
	}
	g.counter = c
}

// closeCounter is a gateway's end, in peace or not.
func (g *gateway) closeCounter() {
	if g.counter == nil {
		return
	}
	if g.w.chance(0.3) {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = g.counter.desk.Close(ended)
	}
	g.counter = nil
}

// shakeAtDesk is one by a user, at some gateway.
func (f *fest) shakeAtDesk(u *user) {
	w := u.w
	c := w.gateways[w.rng.IntN(len(w.gateways))].counter
	if c == nil {
		return
	}
	c.waiting++
	answered := false
	c.desk.Shake(u.id, im.CampaignID(f.addr.ID), func(out im.Shaken) {
		if answered {
			w.fail("%v has shaken once, and is answered %+v again", u, out)
		}
		answered = true
		c.waiting--
		if out.Outcome != im.ShakeNothing {
			w.logf("%v: shakes %v at gateway %d: %+v", u, f.addr, c.g.id, out)
		}
		if out.Outcome == im.ShakeWon {
			w.stats.Told++
			w.bank.hearsWon(f, u, out.Cents)
		}
		if out.Outcome == im.ShakeLimit {
			w.bank.hearsLimit(f, u)
		}
	})
}

// hearsWon: who hears of a win has a durable one of this amount that they have
// not heard of.
func (b *bank) hearsWon(f *fest, u *user, cents im.Cents) {
	bk := b.book(f.addr)
	for lease, user := range bk.wonBy {
		id := im.LeaseID(lease)
		if user == uint64(u.id) && bk.dealt[lease].Cents == int64(cents) && !f.heard[id] {
			f.heard[id] = true
			return
		}
	}
	b.w.fail("%v is told of %d cents from %v, but no such win is durable", u, cents, f.addr)
}

// hearsLimit: who hears that there is no more for them has had as much, durably.
func (b *bank) hearsLimit(f *fest, u *user) {
	bk := b.book(f.addr)
	if n := bk.perUser[uint64(u.id)]; n < bk.camp.Limit && b.w.defect != ClaimedTwice {
		b.w.fail("%v is told to be at the limit of %v after %d wins of %d", u, f.addr, n, bk.camp.Limit)
	}
}

// unsettled says what is left to do at a gateway's desk; "": nothing.
func (c *counter) unsettled() string {
	st := c.desk.Stats()
	switch {
	case c.waiting > 0:
		return "shakes wait for answers"
	case st.Campaigns > 0 || st.Queued > 0 || st.Claiming > 0:
		return "a desk has leases"
	}
	return ""
}

// reckon checks that the fate of every lease is known.
func (c *counter) reckon() {
	st := c.desk.Stats()
	if st.Leases != st.Claimed+st.Late+st.Returned+st.Expired+st.Abandoned {
		c.g.w.fail("the desk of gateway %d does not know what became of its leases: %+v", c.g.id, st)
	}
}

// teller carries a desk's commands to the campaigns, and holds them against what
// was lent.
type teller struct {
	im.Mailbox
	c *counter
}

// Submit implements im.Mailbox.
func (t *teller) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	t.spoil(to, cmd, done, t.carry)
}

func (t *teller) carry(to im.Addr, cmd im.Command, done im.Completion) {
	c, w := t.c, t.c.g.w
	sent := w.now
	switch cmd := cmd.(type) {
	case *im.Claim:
		t.claims(cmd)
	case *im.ReturnLeases:
		t.returns(cmd)
	}
	c.g.Submit(to, cmd, im.CompletionFunc(func(_ im.Command, res im.Result, err error) {
		switch res := res.(type) {
		case *im.Leases:
			for _, l := range res.Leases {
				c.leases[l.ID] = &lent{deadline: sent + time.Duration(l.Expires-res.Now)*time.Millisecond}
			}
		case *im.Claimed:
			if res.Outcome == im.ClaimLimit {
				c.leases[cmd.(*im.Claim).Lease].user = 0
			}
		}
		done.Complete(cmd, res, err)
	}))
}

// claims: a lease is claimed for one user, and not after it has expired.
func (t *teller) claims(cmd *im.Claim) {
	w := t.c.g.w
	switch l := t.c.leases[cmd.Lease]; {
	case l == nil:
		w.fail("gateway %d claims lease %d, which it has not", t.c.g.id, cmd.Lease)
	case l.user == cmd.User:
		// It is repeated, for as long as its fate is unknown.
	case l.user != 0:
		w.fail("gateway %d claims lease %d for user %d, after user %d", t.c.g.id, cmd.Lease, cmd.User, l.user)
	case w.now >= l.deadline:
		w.fail("gateway %d claims lease %d, which expired %v ago", t.c.g.id, cmd.Lease, w.now-l.deadline)
	default:
		l.user = cmd.User
	}
}

// returns: what goes back is not being claimed.
func (t *teller) returns(cmd *im.ReturnLeases) {
	for _, id := range cmd.Leases {
		if l := t.c.leases[id]; l == nil || l.user != 0 {
			t.c.g.w.fail("gateway %d returns lease %d, of which it has %+v", t.c.g.id, id, l)
		}
		delete(t.c.leases, id)
	}
}

// spoil makes of a desk what one with a defect would be: it stands between the
// desk and those who watch it.
func (t *teller) spoil(to im.Addr, cmd im.Command, done im.Completion, carry func(im.Addr, im.Command, im.Completion)) {
	w := t.c.g.w
	claim, isClaim := cmd.(*im.Claim)
	switch {
	case w.defect == WonEarly && isClaim:
		carry(to, cmd, im.CompletionFunc(func(im.Command, im.Result, error) {}))
		done.Complete(cmd, &im.Claimed{Outcome: im.ClaimWon, Cents: im.Cents(w.bank.book(to).dealt[uint64(claim.Lease)].Cents)}, nil)
	case w.defect == LeaseKept, w.defect == ClaimedTwice:
		carry(to, cmd, im.CompletionFunc(func(_ im.Command, res im.Result, err error) {
			l, isLeases := res.(*im.Leases)
			switch {
			case w.defect == LeaseKept && isLeases:
				for i := range l.Leases {
					l.Leases[i].Expires += 10_000
				}
			case w.defect == ClaimedTwice && isClaim && err != nil:
				res, err = &im.Claimed{Outcome: im.ClaimLimit}, nil
			}
			done.Complete(cmd, res, err)
		}))
	default:
		carry(to, cmd, done)
	}
}
