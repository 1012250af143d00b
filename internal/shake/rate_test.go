package shake

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// crowd is many desks before one campaign.
type crowd struct {
	*host
	id    im.CampaignID
	desks []*Desk
	won   int
	cents im.Cents
	worst time.Duration
	open  int
}

func newCrowd(t testing.TB, desks int, id func(*host) im.CampaignID) *crowd {
	c := &crowd{host: newHost(t)}
	c.id = id(c.host)
	for range desks {
		d, err := New(Config{Mailbox: c, Logger: slog.New(slog.DiscardHandler), Sets: 2, Now: c.Now, After: c.After, Rand: c.rng.Int64N})
		if err != nil {
			t.Fatal(err)
		}
		c.desks = append(c.desks, d)
	}
	return c
}

func (c *crowd) shake(user im.UserID) {
	began := c.now
	c.open++
	c.desks[int(user)%len(c.desks)].Shake(user, c.id, func(out im.Shaken) {
		c.open--
		c.worst = max(c.worst, c.now.Sub(began))
		if out.Outcome == im.ShakeWon {
			c.won++
			c.cents += out.Cents
		}
	})
}

// run shakes so often per millisecond, by anyone of so many users.
func (c *crowd) run(d time.Duration, perMilli, users int) {
	for end := c.now.Add(d); c.now.Before(end); c.advance(time.Millisecond) {
		for range perMilli {
			c.shake(im.UserID(1 + c.rng.IntN(users)))
		}
	}
}

// finish ends everything and checks the books.
func (c *crowd) finish() *im.CampaignInfo {
	c.t.Helper()
	c.advance(2 * overFor)
	var sum Stats
	for _, d := range c.desks {
		st := d.Stats()
		if n := st.Claimed + st.Late + st.Returned + st.Expired + st.Abandoned; n != st.Leases || st.Queued+st.Claiming+st.Campaigns > 0 {
			c.t.Errorf("%+v", st)
		}
		sum.add(&st)
		if err := d.Close(context.Background()); err != nil {
			c.t.Error(err)
		}
	}
	info := must[*im.CampaignInfo](c.host, im.Campaign(c.id), &im.GetCampaign{})
	if c.open > 0 || int(info.Won) != c.won || info.WonCents != c.cents {
		c.t.Errorf("%d shakes without an answer; %d won with %d cents, the campaign says %+v", c.open, c.won, c.cents, info)
	}
	c.t.Logf("%d desks: slowest answer %v; %+v", len(c.desks), c.worst, sum)
	return info
}

// Wins follow the rate at which envelopes are issued, however the shakes are
// spread.
func TestWinsFollowTheRate(t *testing.T) {
	for what, test := range map[string]struct{ desks, perMilli int }{
		"54 processes, 30,000 a second": {54, 30},
		"54 processes, 2,000 a second":  {54, 2},
		"one process, 30,000 a second":  {1, 30},
	} {
		t.Run(what, func(t *testing.T) {
			const lasts = 14 * time.Second
			c := newCrowd(t, test.desks, func(h *host) im.CampaignID { return h.campaign(10_000, 200, lasts, 2*time.Second) })
			// They shake before it begins, as people do.
			c.advance(6 * time.Second)
			c.run(time.Second, test.perMilli, 1_000_000)
			per := make([]int, 12)
			for i := range per {
				before := c.won
				c.run(time.Second, test.perMilli, 1_000_000)
				per[i] = c.won - before
			}
			for i := 1; i+10 <= len(per); i++ {
				n := 0
				for _, one := range per[i : i+10] {
					n += one
				}
				if n < 1900 || n > 2100 {
					t.Errorf("%d wins in ten seconds from second %d on, want 2000: %v", n, i, per)
				}
			}
			t.Logf("wins per second: %v", per)
			c.run(2*time.Second, test.perMilli, 1_000_000)
			c.finish()
		})
	}
}

// Few users who shake seldom get everything, too.
func TestFewShakes(t *testing.T) {
	c := newCrowd(t, 3, func(h *host) im.CampaignID { return h.campaign(6, 1, 60*time.Second, 2*time.Second) })
	c.advance(8 * time.Second)
	for range 60 {
		for user := im.UserID(1); user <= 4; user++ {
			c.shake(user)
			c.advance(250 * time.Millisecond)
		}
	}
	if info := c.finish(); info.Won != 6 {
		t.Errorf("%+v", info)
	}
}

// Gateways die with leases: others get what they had.
func TestDeadDesks(t *testing.T) {
	c := newCrowd(t, 4, func(h *host) im.CampaignID { return h.campaign(300, 30, 60*time.Second, 2*time.Second) })
	c.run(12*time.Second, 1, 1000)
	all := c.desks
	for _, d := range all[:3] {
		// Nothing of it runs any more.
		d.cfg.After = func(time.Duration, func()) func() bool { return func() bool { return true } }
	}
	c.desks = all[3:]
	c.run(14*time.Second, 1, 1000)
	c.desks = all
	info := must[*im.CampaignInfo](c.host, im.Campaign(c.id), &im.GetCampaign{})
	if info.Won != 300 || c.won < 290 {
		t.Errorf("%d told, %+v", c.won, info)
	}
}
