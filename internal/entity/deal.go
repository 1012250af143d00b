package entity

import (
	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
)

// renew deals envelopes to the SETs that ask, each in its turn: of what is
// there, as large a part as they are of all SETs that want some.
func (c *campaign) renew(tx *Tx, cmd *im.RenewSets) (im.Result, error) {
	if len(cmd.Sets) > im.MaxSets {
		return nil, im.Errorf(im.TooLarge, "at most %d SETs at a time", im.MaxSets)
	}
	res := &im.Leases{Now: tx.Now, Start: im.Millis(c.terms.StartMs), End: im.Millis(c.terms.EndMs)}
	if c.finished != nil || res.End <= tx.Now {
		res.Over = true
		return res, nil
	}
	if err := c.held(im.UserID(c.terms.Sponsor)); err != nil {
		return nil, err
	}
	all := c.meet(tx.Now, cmd.Sets)
	if all < 0 {
		return nil, &im.Error{Kind: im.Busy, RetryAfterMS: uint32(im.SetSilence), Detail: "too many SETs take part in the campaign"}
	}
	asking := make([]im.SetWant, 0, len(cmd.Sets))
	for _, s := range cmd.Sets {
		if s.Want > 0 {
			asking = append(asking, im.SetWant{Set: s.Set, Want: min(s.Want, im.MaxWant)})
		}
	}
	if len(asking) == 0 {
		return res, nil
	}
	stock := c.stock(tx.Now)
	grant := (stock*len(asking) + all - 1) / all
	ev := c.dealTo(tx, asking, grant)
	if len(ev.Deals) == 0 {
		return res, nil
	}
	c.record(tx, &storev1.PurseEvent{CampaignDealt: ev})
	for _, d := range ev.Deals {
		res.Leases = append(res.Leases, im.Lease{ID: im.LeaseID(d.Lease), Set: im.SetID(d.Set), Cents: im.Cents(d.Cents), Expires: im.Millis(d.ExpiresMs)})
	}
	return res, nil
}

// meet notes what SETs want and forgets those that are silent. It returns how
// many want something; -1: there are too many.
func (c *campaign) meet(now im.Millis, sets []im.SetWant) int {
	for _, s := range sets {
		if _, known := c.sets[s.Set]; !known && len(c.sets) >= im.MaxSets {
			for id, old := range c.sets {
				if old.seen+im.SetSilence <= now {
					delete(c.sets, id)
				}
			}
			if len(c.sets) >= im.MaxSets {
				return -1
			}
		}
		c.sets[s.Set] = setState{s.Want, now}
	}
	wanting := 0
	for _, s := range c.sets {
		if s.want > 0 && s.seen+im.SetSilence > now {
			wanting++
		}
	}
	return wanting
}

// available is how many envelopes there should be by now: the first at the
// start, then one at a time at the rate.
func (c *campaign) available(now im.Millis) uint32 {
	since := min(int64(now)-c.terms.StartMs, int64(2*im.MaxCampaignTime))
	if since < 0 {
		return 0
	}
	rate := int64(min(c.terms.Rate, im.MaxRate))
	return uint32(min(1+since*rate/1000, int64(c.terms.Count)))
}

// stock is how many envelopes can be dealt now.
func (c *campaign) stock(now im.Millis) int {
	return max(int(c.available(now))-int(c.issued), 0) + len(c.free) + c.expired(now)
}

// expired is how many leases at the front of lent have expired.
func (c *campaign) expired(now im.Millis) int {
	n := 0
	c.skipGone()
	for _, id := range c.lent {
		switch d := c.leases[id]; {
		case d == nil:
		case d.ExpiresMs > int64(now):
			return n
		default:
			n++
		}
	}
	return n
}

// skipGone drops leases from the front of lent that are not lent any more.
func (c *campaign) skipGone() {
	n := 0
	for n < len(c.lent) && c.leases[c.lent[n]] == nil {
		n++
	}
	c.lent = c.lent[n:]
}

// dealTo draws up to grant envelopes for SETs, one for each in turn.
func (c *campaign) dealTo(tx *Tx, asking []im.SetWant, grant int) *storev1.CampaignDealt {
	hand := dealer{c: c, now: tx.Now, draw: tx.Jitter, lease: c.lastLease, issued: c.issued, block: c.block}
	for i, full := c.turn, 0; grant > 0 && full < len(asking); i++ {
		s := &asking[i%len(asking)]
		if s.Want == 0 {
			full++
			continue
		}
		full = 0
		d := hand.next()
		if d == nil {
			break
		}
		d.Set = uint64(s.Set)
		hand.ev.Deals = append(hand.ev.Deals, d)
		s.Want--
		grant--
		c.turn = (i + 1) % len(asking)
	}
	return &hand.ev
}

// dealer draws envelopes without changing the campaign: the event does that.
type dealer struct {
	c      *campaign
	now    im.Millis
	draw   func(int64) int64
	lease  im.LeaseID
	issued uint32
	block  []int64
	// free and lent are how many returned and lent ones were looked at.
	free, lent int
	ev         storev1.CampaignDealt
}

// next draws an envelope: one that has expired or was returned, or else a new
// one; nil: there is none.
func (h *dealer) next() *storev1.Deal {
	d := h.again()
	if d == nil {
		d = h.fresh()
	}
	if d == nil {
		return nil
	}
	h.lease++
	d.Lease = uint64(h.lease)
	d.ExpiresMs = min(int64(h.now)+h.c.terms.LeaseMs, h.c.terms.EndMs)
	return d
}

func (h *dealer) again() *storev1.Deal {
	if h.free < len(h.c.free) {
		d := h.c.free[h.free]
		h.free++
		return &storev1.Deal{Number: d.Number, Cents: d.Cents, Before: d.Lease}
	}
	for ; h.lent < len(h.c.lent); h.lent++ {
		d := h.c.leases[h.c.lent[h.lent]]
		switch {
		case d == nil:
		case d.ExpiresMs > int64(h.now):
			return nil
		default:
			h.lent++
			return &storev1.Deal{Number: d.Number, Cents: d.Cents, Before: d.Lease}
		}
	}
	return nil
}

func (h *dealer) fresh() *storev1.Deal {
	t := h.c.terms
	if h.issued >= h.c.available(h.now) {
		return nil
	}
	if len(h.block) == 0 {
		if len(h.ev.Block) > 0 {
			// One event begins one block at most.
			return nil
		}
		first := h.issued
		n := min(blockSize, t.Count-first)
		sum := portion(im.Cents(t.Total), first+n, t.Count) - portion(im.Cents(t.Total), first, t.Count)
		h.block = cents(split(sum, int(n), im.SplitRule(t.Rule), h.draw))
		h.ev.Block = h.block
	}
	h.issued++
	d := &storev1.Deal{Number: h.issued, Cents: h.block[0]}
	h.block = h.block[1:]
	return d
}

// evolveDeal is the part of evolve for one envelope that was dealt. block is
// what the event says of a new block.
func (c *campaign) evolveDeal(d *storev1.Deal, block []int64) error {
	before := c.leases[im.LeaseID(d.Before)]
	switch {
	case d.Before == 0:
		if len(c.block) == 0 {
			c.block = block
		}
		if len(c.block) == 0 || d.Number != c.issued+1 || d.Cents != c.block[0] {
			return errDamaged
		}
		c.block = c.block[1:]
		c.issued++
	case before != nil:
		delete(c.leases, im.LeaseID(d.Before))
	case len(c.free) > 0:
		// Returned ones are dealt in the order in which they came.
		before, c.free = c.free[0], c.free[1:]
	}
	if d.Before != 0 && (before == nil || before.Lease != d.Before || before.Number != d.Number || before.Cents != d.Cents) ||
		d.Lease != uint64(c.lastLease)+1 {
		return errDamaged
	}
	c.lastLease++
	c.leases[c.lastLease] = d
	c.lent = append(c.lent, c.lastLease)
	return nil
}

// giveBack takes leases back that will not be claimed.
func (c *campaign) giveBack(tx *Tx, cmd *im.ReturnLeases) error {
	if len(cmd.Leases) > im.MaxWant {
		return im.Errorf(im.TooLarge, "at most %d leases at a time", im.MaxWant)
	}
	ev := &storev1.LeasesReturned{}
	seen := make(map[im.LeaseID]bool, len(cmd.Leases))
	for _, id := range cmd.Leases {
		if c.leases[id] != nil && !seen[id] {
			seen[id] = true
			ev.Leases = append(ev.Leases, uint64(id))
		}
	}
	if len(ev.Leases) > 0 {
		c.record(tx, &storev1.PurseEvent{LeasesReturned: ev})
	}
	return nil
}
