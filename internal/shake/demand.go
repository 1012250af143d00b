package shake

import (
	"math"
	"time"
)

// demand is how much a SET is shaken.
type demand struct {
	// perRenewal is how many shakes there are from one renewal to the next,
	// on average over the last ones.
	perRenewal float64
	// shakenAt is when shakes were seen last; 0: never.
	shakenAt time.Duration
}

// activeFor is how long after its last shake a SET keeps a lease, for those who
// shake seldom.
const activeFor = 3 * time.Second

// observe takes the shakes since the last renewal.
func (d *demand) observe(shakes int, now time.Duration) {
	if shakes > 0 {
		d.shakenAt = max(now, 1)
	}
	d.perRenewal += (float64(shakes) - d.perRenewal) / 4
}

// target is how many leases the SET should have: what is expected until the next
// renewal, a quarter more, and one. A SET that is not shaken has none.
func (d *demand) target(now time.Duration) int {
	if d.shakenAt == 0 || now-d.shakenAt >= activeFor {
		return 0
	}
	return int(math.Ceil(min(d.perRenewal, math.MaxInt32)*5/4)) + 1
}

// minPace is the shortest time from one renewal to the next.
const minPace = 10 * time.Millisecond

// nextPace is the time to the next renewal, after one that brought some leases:
// shorter while many come at a time, so that wins follow each other as evenly as
// the envelopes, and longer while nobody shakes. The caller has the lock.
func (c *campaign) nextPace(got int) time.Duration {
	d := c.desk
	switch {
	case c.shakenAt < c.sentAt:
		c.pace = min(2*c.pace, slowest)
	case got > 2*len(d.sets):
		c.pace = max(c.pace/2, d.cfg.Pace/4, minPace)
	default:
		c.pace = min(2*c.pace, d.cfg.Pace)
	}
	return d.jittered(c.pace)
}
