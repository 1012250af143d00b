package shard

import (
	"slices"
	"testing"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

func TestAlarms(t *testing.T) {
	var l alarms
	a, b, c := im.Envelope(1), im.Envelope(2), im.Envelope(3)
	l.set(a, 30)
	l.set(b, 10)
	l.set(c, 20)
	l.set(b, 40)
	l.set(c, 0)
	l.set(a, 30)
	if l.next() != 10 {
		t.Fatalf("next is %d", l.next())
	}
	var woken []im.Addr
	for now := im.Millis(1); now <= 50; now++ {
		for x, ok := l.due(now); ok; x, ok = l.due(now) {
			woken = append(woken, x)
		}
	}
	if !slices.Equal(woken, []im.Addr{a, b}) || l.next() != 0 || len(l.at) != 0 {
		t.Fatalf("woke %v, left %v", woken, l)
	}
	l.set(a, 60)
	l.set(b, 70)
	var gone [im.Slots]bool
	gone[a.Slot()] = true
	l.drop(&gone)
	if x, ok := l.due(100); !ok || x != b {
		t.Fatalf("woke %v, %v", x, ok)
	}
	if _, ok := l.due(100); ok {
		t.Fatal("one of a dropped slot woke")
	}
}

// carrier is a harness that carries link messages.
type carrier struct {
	*harness
	mail []*entity.Message
}

func (c *carrier) Forward(m *entity.Message) { c.mail = append(c.mail, m) }

// settle lets everything that was asked for happen, and carries what follows.
func (c *carrier) settle() {
	c.t.Helper()
	for c.finish(); len(c.mail) > 0; c.finish() {
		mail := c.mail
		c.mail = nil
		for _, m := range mail {
			c.core.Handle(c.now, Input{To: m.To, Msg: m})
		}
	}
}

// An envelope that was put out of memory comes back when it expires, and gives
// back what is in it.
func TestEvictedEnvelopeEnds(t *testing.T) {
	h := &carrier{harness: newHarness(t)}
	cfg := testConfig()
	cfg.MaxHot = 0
	h.core = NewCore(cfg, h)
	h.own()
	h.befriend(1, 2)
	h.do("top up", im.Payment(im.TopUpOf("x")), &im.TopUp{Reference: "x", User: 1, Cents: 100})
	h.settle()
	key := im.Key{Name: "k", Asked: h.now}
	expires := h.now + im.DefaultLifetime
	h.do("create", im.User(1), &im.CreateEnvelope{Key: key, To: []im.UserID{2}, Total: 100, Shares: 1})
	h.settle()
	for range 5 {
		h.core.Evict(h.now)
		h.settle()
	}
	envelope := im.Envelope(im.EnvelopeOf(1, key))
	if h.core.cells[envelope] != nil || !h.disk[envelope].pending {
		t.Fatal("the envelope is in memory, or not marked")
	}
	h.core.Drop([]im.Slot{envelope.Slot()}, errNotOwner())
	if len(h.core.alarms.at) != 0 {
		t.Fatal("it still means to wake what is not its own")
	}
	h.own()
	h.core.Wake(h.now, envelope)
	for range 5 {
		h.settle()
		h.now += evictRest
		h.core.Evict(h.now)
	}
	h.now = expires - 1
	h.core.Tick(h.now)
	if h.settle(); h.core.cells[envelope] != nil || h.core.NextTick() != h.now+1 {
		t.Fatalf("wakes at %d, not at %d", h.core.NextTick(), h.now+1)
	}
	h.now++
	h.core.Tick(h.now)
	h.settle()
	h.core.Tick(h.now)
	h.settle()
	var got im.Cents
	h.core.Handle(h.now, Input{To: im.User(1), Cmd: &im.GetWallet{}, Done: im.CompletionFunc(func(_ im.Command, res im.Result, _ error) {
		got = res.(*im.WalletInfo).Balance
	})})
	if h.settle(); got != 100 {
		t.Fatalf("%d cents have come back", got)
	}
}
