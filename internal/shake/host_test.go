package shake

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// host has the real entities on virtual time, without a store: what they do is
// durable at once, and answers take a while.
type host struct {
	t testing.TB
	*clock
	rng      *rand.Rand
	entities map[im.Addr]entity.Entity
	// lag is how long a command and its answer are under way, at most.
	lag time.Duration
	// skew is how far the entities' clock is ahead.
	skew time.Duration
}

func newHost(t testing.TB) *host {
	return &host{t: t, clock: newClock(), rng: rand.New(rand.NewPCG(1, 2)), entities: map[im.Addr]entity.Entity{}, lag: 10 * time.Millisecond, skew: time.Hour}
}

func (h *host) millis() im.Millis { return im.Millis(h.now.Add(h.skew).UnixMilli()) }

// call runs f on an entity, and carries its messages.
func (h *host) call(to im.Addr, f func(entity.Entity, *entity.Tx)) {
	ent := h.entities[to]
	if ent == nil {
		var err error
		if ent, err = entity.New(to); err == nil {
			_, err = ent.Restore(nil)
		}
		if err != nil {
			h.t.Fatal(err)
		}
		h.entities[to] = ent
		ent.Start(&entity.Tx{Now: h.millis(), Jitter: h.rng.Int64N, Self: to})
	}
	tx := &entity.Tx{Now: h.millis(), Jitter: h.rng.Int64N, Self: to}
	f(ent, tx)
	for _, m := range tx.Messages {
		h.After(0, func() {
			h.call(m.To, func(e entity.Entity, tx *entity.Tx) { e.Receive(tx, m) })
		})
	}
}

// Submit implements im.Mailbox.
func (h *host) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	lag := func() time.Duration { return time.Duration(h.rng.Int64N(int64(h.lag))) }
	h.After(lag(), func() {
		h.call(to, func(e entity.Entity, tx *entity.Tx) {
			res, err := e.Handle(tx, cmd)
			h.After(lag(), func() { done.Complete(cmd, res, err) })
		})
	})
}

// ReadTimeline and ReadConversation implement im.Mailbox.
func (*host) ReadTimeline(context.Context, im.UserID, im.Seq, int) ([][]byte, error) { return nil, nil }

func (*host) ReadConversation(context.Context, im.UserID, im.Seq, int) ([][]byte, im.Seq, error) {
	return nil, 0, nil
}

// must asks and waits.
func must[T any](h *host, to im.Addr, cmd im.Command) T {
	h.t.Helper()
	var got im.Result
	var fail error
	h.Submit(to, cmd, im.CompletionFunc(func(_ im.Command, res im.Result, err error) { got, fail = res, err }))
	h.advance(time.Second)
	if fail != nil {
		h.t.Fatalf("%T: %v", cmd, fail)
	}
	return got.(T)
}

// campaign makes one that starts in eight seconds. A cent is in each envelope.
func (h *host) campaign(count, rate uint32, lasts, lease time.Duration) im.CampaignID {
	h.t.Helper()
	h.call(im.User(1), func(e entity.Entity, tx *entity.Tx) {
		if _, err := e.Handle(tx, &im.Provision{TokenHashes: [][32]byte{{1}}}); err != nil {
			h.t.Fatal(err)
		}
	})
	must[*im.PaymentInfo](h, im.Payment(im.TopUpOf("gift")), &im.TopUp{Reference: "gift", User: 1, Cents: im.Cents(count)})
	h.advance(time.Second)
	start := h.millis() + 8_000
	return must[*im.CampaignCreated](h, im.User(1), &im.CreateCampaign{Key: im.Key{Name: "party", Asked: h.millis()}, Total: im.Cents(count), Count: count,
		Rate: rate, Start: start, End: start + im.Millis(lasts.Milliseconds()), Limit: 3, Lease: im.Millis(lease.Milliseconds())}).Campaign
}
