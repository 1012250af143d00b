package gateway

import (
	"sync"
	"testing"

	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// desk is a Shaker that a test plays: campaign 1 has nothing, others answer when
// the test says so.
type desk struct {
	mu      sync.Mutex
	waiting []func(im.Shaken)
	users   []im.UserID
}

// Shake implements im.Shaker.
func (d *desk) Shake(user im.UserID, campaign im.CampaignID, done func(im.Shaken)) {
	if campaign == 1 {
		done(im.Shaken{Outcome: im.ShakeNothing})
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting, d.users = append(d.waiting, done), append(d.users, user)
}

func (c *client) shake(id uint64, campaign im.CampaignID) {
	c.t.Helper()
	c.write(wire.AppendShakeFrame(nil, &wire.Shake{ID: id, Campaign: campaign}))
}

func (c *client) expectShaken(id uint64, want im.Shaken) {
	c.t.Helper()
	var m wire.Shaken
	if err := m.Unmarshal(c.read(wire.TypeShaken)); err != nil {
		c.t.Fatal(err)
	}
	if m.ID != id || m.Shaken != want {
		c.t.Fatalf("shake %d is answered %+v, want %d %+v", m.ID, m.Shaken, id, want)
	}
}

func TestShakes(t *testing.T) {
	d := &desk{}
	r := newRig(t, func(g *Config, _ *link.Config) { g.Shaker = d })
	c, sink := r.login(t)
	c.shake(7, 2)
	c.shake(8, 1<<63)
	c.shake(9, 1)
	c.expectShaken(9, im.Shaken{Outcome: im.ShakeNothing})
	if len(d.waiting) != 2 || d.users[0] != alice {
		t.Fatalf("shakes of %v", d.users)
	}
	d.waiting[1](im.Shaken{Outcome: im.ShakeWon, Cents: 500})
	c.expectShaken(8, im.Shaken{Outcome: im.ShakeWon, Cents: 500})
	// A user's mailbox has nothing to do with it.
	sink.Kick(im.CloseUnavailable, "moving")
	r.take(t)
	c.shake(10, 1)
	c.expectShaken(10, im.Shaken{Outcome: im.ShakeNothing})
	d.waiting[0](im.Shaken{Outcome: im.ShakeBusy, RetryAfterMS: 300})
	c.expectShaken(7, im.Shaken{Outcome: im.ShakeBusy, RetryAfterMS: 300})
	// Who has gone does not hear of it.
	c.shake(11, 2)
	c.roundTrip()
	c.Close()
	d.waiting[2](im.Shaken{Outcome: im.ShakeWon, Cents: 1})
	r.quiet(t)
}

func TestShakesNotServed(t *testing.T) {
	r := newRig(t, nil)
	c, _ := r.login(t)
	c.shake(5, 1)
	c.expectShaken(5, im.Shaken{Outcome: im.ShakeClosed})
	c.write(wire.AppendFrame(nil, wire.TypeShake, []byte{0x08}))
	c.expectClose(im.CloseProtocol)
}

func TestShakesAreLimited(t *testing.T) {
	r := newRig(t, func(g *Config, _ *link.Config) {
		g.Shaker = &desk{}
		g.Shakes = admit.NewBuckets(admit.BucketsConfig{Rate: 4, Burst: 2, Size: 16})
	})
	c, _ := r.login(t)
	for id := range uint64(2) {
		c.shake(id, 1)
		c.expectShaken(id, im.Shaken{Outcome: im.ShakeNothing})
	}
	c.shake(2, 1)
	c.expectShaken(2, im.Shaken{Outcome: im.ShakeBusy, RetryAfterMS: 250})
	if st := r.g.Stats(); st.Limited != 1 {
		t.Errorf("%d limited", st.Limited)
	}
}

func TestShakeBeforeLogin(t *testing.T) {
	r := newRig(t, func(g *Config, _ *link.Config) { g.Shaker = &desk{} })
	c := r.dial(t)
	c.shake(1, 1)
	c.expectClose(im.CloseProtocol)
}
