package shake

import (
	"time"

	"github.com/skein-im/skein/internal/im"
)

// campaign is one that is being shaken, or was asked about lately. It is
// guarded by the desk's lock. All the time it has either a timer or a renewal
// under way.
type campaign struct {
	desk   *Desk
	id     im.CampaignID
	queues []queue
	// known: it has answered. closed: there is nothing more to be had. gone: it
	// is forgotten.
	known, closed, gone bool
	// waiting are shakes that came before it was known, one per user.
	waiting  []waiter
	waitsFor map[im.UserID]bool
	// demand is how many shakes each SET gets from one renewal to the next.
	demand []demand
	// shakenAt is when a shake was seen last, sentAt when leases were asked
	// for, pace the time to the next renewal.
	shakenAt, sentAt, pace time.Duration
	// stop takes the next renewal, or the end of the memory, back.
	stop func() bool
}

// waiter is a shake that waits for a campaign's first word.
type waiter struct {
	user im.UserID
	done func(im.Shaken)
}

// Times that are no matter of configuration.
const (
	// slowest is the longest time from one renewal to the next: well below
	// im.SetSilence.
	slowest = time.Second
	// unknownFor and overFor are how long it is remembered that a campaign
	// does not exist, and that it is over.
	unknownFor = 5 * time.Second
	overFor    = 60 * time.Second
	// maxMargin is how long before a lease expires no claim begins any more,
	// unless the lease is short.
	maxMargin = 200 * time.Millisecond
	// maxAsking is how many campaigns are asked for the first time at once.
	maxAsking = 16
)

// meet is for shakes at a campaign that SETs do not know.
func (d *Desk) meet(user im.UserID, id im.CampaignID, done func(im.Shaken)) {
	d.mu.Lock()
	c := d.campaigns[id]
	switch {
	case c != nil && c.known:
		d.mu.Unlock()
		d.Shake(user, id, done)
		return
	case d.closed, d.waiting >= d.cfg.MaxWaiting, c != nil && c.waitsFor[user], c == nil && (d.now() < d.awayUntil || !d.room()):
		d.stats.Outcomes[im.ShakeBusy]++
		d.mu.Unlock()
		done(busy(awayRetryMS))
		return
	}
	first := c == nil
	if first {
		c = d.newCampaign(id)
	}
	c.wait(waiter{user, done})
	d.mu.Unlock()
	if first {
		c.renew()
	}
}

// wait makes a shake wait. The caller has the lock.
func (c *campaign) wait(w waiter) {
	c.waiting, c.waitsFor[w.user] = append(c.waiting, w), true
	c.desk.waiting++
}

// newCampaign is one that is going to be asked. The caller has the lock.
func (d *Desk) newCampaign(id im.CampaignID) *campaign {
	c := &campaign{
		desk: d, id: id, pace: d.cfg.Pace, shakenAt: d.now(), waitsFor: map[im.UserID]bool{},
		demand: make([]demand, len(d.sets)), queues: make([]queue, len(d.sets)),
	}
	d.campaigns[id] = c
	d.asking++
	return c
}

// room reports whether there is any for another campaign, and makes some if
// there is only knowledge in the way. The caller has the lock.
func (d *Desk) room() bool {
	if d.asking >= maxAsking {
		return false
	}
	if len(d.campaigns) < d.cfg.MaxCampaigns {
		return true
	}
	var oldest *campaign
	for _, c := range d.campaigns {
		if c.closed && (oldest == nil || c.sentAt < oldest.sentAt || c.sentAt == oldest.sentAt && c.id < oldest.id) {
			oldest = c
		}
	}
	if oldest != nil {
		oldest.forget()
	}
	return oldest != nil
}

// renew asks for leases for all SETs, unless nobody shakes any more.
func (c *campaign) renew() {
	d := c.desk
	d.mu.Lock()
	if c.gone || c.closed {
		d.mu.Unlock()
		c.answerWaiting()
		return
	}
	c.stop = nil
	now := d.now()
	cmd := c.take(now)
	if now-c.shakenAt >= d.cfg.IdleFor {
		c.forget()
		d.mu.Unlock()
		return
	}
	c.sentAt = now
	d.stats.Renewals++
	d.open.Add(1)
	d.mu.Unlock()
	d.cfg.Mailbox.Submit(im.Campaign(c.id), cmd, c)
}

// take looks at what SETs have and says what they want. The caller has the
// lock.
func (c *campaign) take(now time.Duration) *im.RenewSets {
	d := c.desk
	cmd := &im.RenewSets{Sets: make([]im.SetWant, len(d.sets))}
	for i := range d.sets {
		s, q := &d.sets[i], &c.queues[i]
		s.mu.Lock()
		s.stats.Expired += q.expire(now)
		shakes, has := q.shakes, q.len()
		q.shakes = 0
		s.mu.Unlock()
		if !c.known {
			// Those who wait are the first.
			shakes = len(c.waiting)
		}
		if shakes > 0 {
			c.shakenAt = now
		}
		c.demand[i].observe(shakes, now)
		want := max(min(c.demand[i].target(now), d.cfg.MaxQueue)-has, 0)
		cmd.Sets[i] = im.SetWant{Set: s.id, Want: uint32(want)}
	}
	return cmd
}

// Complete implements im.Completion: it is the answer to a renewal.
func (c *campaign) Complete(_ im.Command, res im.Result, err error) {
	d := c.desk
	leases, ok := res.(*im.Leases)
	if err == nil && !ok {
		err = im.Errorf(im.Internal, "RenewSets was answered with %T", res)
	}
	d.mu.Lock()
	if !c.known {
		d.asking--
	}
	switch {
	case err == nil:
		c.renewed(leases)
	case c.gone || c.closed:
	case im.KindOf(err) == im.NotFound:
		c.close(unknownFor)
	default:
		c.failed(im.AsError(err))
	}
	d.mu.Unlock()
	c.answerWaiting()
	d.open.Done()
}

// answerWaiting answers the shakes that have waited, by what is known now.
func (c *campaign) answerWaiting() {
	d := c.desk
	d.mu.Lock()
	waiting, known := c.waiting, c.known
	d.waiting -= len(waiting)
	c.waiting, c.waitsFor = nil, nil
	d.mu.Unlock()
	for _, w := range waiting {
		if known {
			d.Shake(w.user, c.id, w.done)
		} else {
			d.refuse(w)
		}
	}
}

// refuse answers a shake that has waited in vain.
func (d *Desk) refuse(w waiter) {
	d.mu.Lock()
	d.stats.Outcomes[im.ShakeBusy]++
	d.mu.Unlock()
	w.done(busy(awayRetryMS))
}

// renewed takes what a renewal brought. The caller has the lock.
func (c *campaign) renewed(l *im.Leases) {
	d := c.desk
	d.stats.Leases += uint64(len(l.Leases))
	if c.gone || c.closed {
		d.returnLeases(c.id, idsOf(l.Leases))
		return
	}
	if l.Over {
		c.close(overFor)
		return
	}
	now := d.now()
	without, next := im.ShakeNothing, c.nextPace(len(l.Leases))
	if begins := c.sentAt + time.Duration(l.Start-l.Now)*time.Millisecond; l.Now < l.Start {
		without, next = im.ShakeClosed, min(slowest, max(begins-now, minPace))
	}
	c.know(without)
	c.stock(l)
	c.stop = d.cfg.After(next, c.renew)
}

// know makes SETs serve the campaign. The caller has the lock.
func (c *campaign) know(without im.ShakeOutcome) {
	for i := range c.desk.sets {
		s, q := &c.desk.sets[i], &c.queues[i]
		s.mu.Lock()
		q.without = without
		s.queues[c.id] = q
		s.mu.Unlock()
	}
	c.known = true
}

// stock hands leases to their SETs; what there is no room for goes back. Their
// time is counted from when they were asked for, so they end here before they do
// there. The caller has the lock.
func (c *campaign) stock(l *im.Leases) {
	d := c.desk
	var surplus []im.LeaseID
	for _, one := range l.Leases {
		i := one.Set - d.sets[0].id
		valid := time.Duration(one.Expires-l.Now) * time.Millisecond
		if i >= im.SetID(len(d.sets)) || !d.sets[i].stock(&c.queues[i], lease{one.ID, c.sentAt + valid - min(valid/8, maxMargin)}) {
			surplus = append(surplus, one.ID)
		}
	}
	d.returnLeases(c.id, surplus)
}

// failed tries again later, unless it was the first time: then the campaign may
// not even exist. The caller has the lock.
func (c *campaign) failed(e *im.Error) {
	d := c.desk
	d.stats.Failed++
	d.cfg.Logger.Debug("leases cannot be renewed", "campaign", uint64(c.id), "err", e)
	c.pace = min(2*c.pace, slowest)
	wait := d.jittered(max(c.pace, min(time.Duration(e.RetryAfterMS)*time.Millisecond, slowest)))
	if !c.known {
		c.forget()
		d.awayUntil = d.now() + wait
		return
	}
	c.stop = d.cfg.After(wait, c.renew)
}

// over hears from a claim that a campaign has ended.
func (d *Desk) over(id im.CampaignID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.campaigns[id]; c != nil && !c.closed {
		c.close(overFor)
	}
}

// close answers shakes with Closed for a while. The leases are worth nothing
// any more. The caller has the lock.
func (c *campaign) close(remember time.Duration) {
	d := c.desk
	c.know(im.ShakeClosed)
	c.closed = true
	for i := range d.sets {
		s := &d.sets[i]
		s.mu.Lock()
		s.stats.Expired += uint64(len(c.queues[i].drain()))
		s.mu.Unlock()
	}
	if c.stop != nil {
		c.stop()
	}
	c.stop = d.cfg.After(remember, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		c.forget()
	})
}

// forget makes nobody know the campaign any more, and returns its leases. The
// caller has the lock.
func (c *campaign) forget() {
	d := c.desk
	if c.gone {
		return
	}
	c.gone = true
	delete(d.campaigns, c.id)
	if c.stop != nil {
		c.stop()
	}
	var left []im.LeaseID
	for i := range d.sets {
		s := &d.sets[i]
		s.mu.Lock()
		left = append(left, c.queues[i].drain()...)
		delete(s.queues, c.id)
		s.mu.Unlock()
	}
	d.returnLeases(c.id, left)
}
