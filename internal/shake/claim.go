package shake

import (
	"time"

	"github.com/skein-im/skein/internal/im"
)

// claim is a lease on its way to becoming a user's. It holds on to both until
// the campaign has said what became of it.
type claim struct {
	set      *set
	campaign im.CampaignID
	lease    lease
	cmd      *im.Claim
	done     func(im.Shaken)
	began    time.Duration
	// late counts leases that were refused, tries attempts without an answer.
	late, tries int
	// stop takes the next attempt back; guarded by the SET's lock.
	stop func() bool
}

// maxLate is how many leases are tried for one shake that turn out to be late.
const maxLate = 3

// Waits between attempts at a claim.
const (
	firstRepeat = 50 * time.Millisecond
	lastRepeat  = 800 * time.Millisecond
)

func (c *claim) submit() { c.set.desk.cfg.Mailbox.Submit(im.Campaign(c.campaign), c.cmd, c) }

// Complete implements im.Completion.
func (c *claim) Complete(_ im.Command, res im.Result, err error) {
	claimed, ok := res.(*im.Claimed)
	switch {
	case err == nil && ok:
		c.decided(claimed)
	case im.KindOf(err).Temporary():
		c.again(im.AsError(err))
	default:
		c.set.desk.cfg.Logger.Error("a claim was refused", "campaign", uint64(c.campaign), "lease", uint64(c.lease.id), "result", res, "err", err)
		c.abandon()
	}
}

// decided is the campaign's word.
func (c *claim) decided(claimed *im.Claimed) {
	s := c.set
	switch claimed.Outcome {
	case im.ClaimWon:
		if claimed.Last {
			c.remember()
		}
		c.finish(im.Shaken{Outcome: im.ShakeWon, Cents: claimed.Cents}, &s.stats.Claimed)
	case im.ClaimLimit:
		c.limited()
	case im.ClaimOver:
		s.desk.over(c.campaign)
		c.finish(im.Shaken{Outcome: im.ShakeClosed}, &s.stats.Late)
	default:
		c.tooLate()
	}
}

// remember makes the SET know that the user may not win any more.
func (c *claim) remember() {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	if q := c.set.queues[c.campaign]; q != nil {
		q.limit(c.cmd.User)
	}
}

// limited puts the lease back for somebody else.
func (c *claim) limited() {
	s := c.set
	s.mu.Lock()
	q := s.queues[c.campaign]
	if q != nil {
		q.putBack(c.lease)
		q.limit(c.cmd.User)
	}
	s.mu.Unlock()
	if q == nil {
		s.desk.returnLeases(c.campaign, []im.LeaseID{c.lease.id})
	}
	c.finish(im.Shaken{Outcome: im.ShakeLimit}, nil)
}

// tooLate tries the next lease, if there is one.
func (c *claim) tooLate() {
	s := c.set
	s.mu.Lock()
	q := s.queues[c.campaign]
	c.late++
	if q != nil && c.late < maxLate {
		if l, ok := s.next(q, s.desk.now()); ok {
			s.stats.Late++
			c.lease, c.cmd = l, &im.Claim{Lease: l.id, Set: s.id, User: c.cmd.User}
			s.mu.Unlock()
			c.submit()
			return
		}
	}
	s.mu.Unlock()
	c.finish(im.Shaken{Outcome: im.ShakeNothing}, &s.stats.Late)
}

// again repeats the claim after a while. Its fate is unknown, so neither the
// lease nor the user may change.
func (c *claim) again(e *im.Error) {
	s, d := c.set, c.set.desk
	wait := max(time.Duration(e.RetryAfterMS)*time.Millisecond, min(firstRepeat<<min(c.tries, 10), lastRepeat))
	c.tries++
	s.mu.Lock()
	if s.closed || d.now()+wait >= c.began+d.cfg.ClaimFor {
		s.mu.Unlock()
		c.abandon()
		return
	}
	s.stats.Repeated++
	c.stop = d.cfg.After(d.jittered(wait), c.repeat)
	s.mu.Unlock()
}

func (c *claim) repeat() {
	c.set.mu.Lock()
	c.stop = nil
	c.set.mu.Unlock()
	c.submit()
}

// abandon gives up a claim whose fate is unknown, and with it the lease.
func (c *claim) abandon() { c.finish(busy(awayRetryMS), &c.set.stats.Abandoned) }

// finish answers the shake and counts what became of the lease.
func (c *claim) finish(out im.Shaken, fate *uint64) {
	s := c.set
	s.mu.Lock()
	delete(s.claims, c.cmd.User)
	s.stats.Outcomes[out.Outcome]++
	if fate != nil {
		*fate++
	}
	s.mu.Unlock()
	c.done(out)
	s.desk.open.Done()
}
