package sim

import (
	"context"

	"github.com/google/go-cmp/cmp"

	"github.com/skein-im/skein/internal/audit"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/store"
)

// unsettled says what is left to do with money; "": nothing.
func (b *bank) unsettled() string {
	w := b.w
	for _, a := range b.purses {
		ent, bk := w.live(a), b.books[a]
		switch {
		case bk == nil:
		case (bk.terms != nil || bk.camp != nil) && bk.finished == nil:
			return a.String() + " has not ended"
		case ent == nil && w.store.data(a).pending:
			return a.String() + " is not in memory, but has something to do"
		case ent != nil && (ent.Status().Outstanding > 0 || ent.Status().Dirty || ent.Status().Head != w.ledger(a).head):
			return a.String() + " is not all durable, or has undelivered messages"
		}
	}
	return ""
}

// reckon checks what must hold of money once nothing is left to do.
func (b *bank) reckon() {
	w := b.w
	for f, cents := range b.flights {
		w.fail("message %d of %v to %v with %d cents never arrives", f.seq, f.from, f.to, cents)
	}
	for _, p := range b.told {
		b.checkPromise(p)
	}
	for _, g := range w.gateways {
		if g.counter != nil {
			g.counter.reckon()
		}
	}
	for _, a := range b.purses {
		if w.store.data(a).pending {
			w.fail("%v is marked pending, and owes nothing", a)
		}
		b.checkStored(a)
	}
	for _, u := range w.users {
		live := *w.ask(u.addr, &im.GetWallet{}).(*im.WalletInfo)
		stored := *u.askStored()(&im.GetWallet{}).(*im.WalletInfo)
		if bk := b.book(u.addr); live != stored || live.Balance != bk.held || live.LastSeq != bk.statement {
			w.fail("%v has %+v, stored %+v; the log says %d cents after entry %d", u, live, stored, bk.held, bk.statement)
		}
	}
	b.audit()
}

// checkPromise: what was answered has happened.
func (b *bank) checkPromise(p promise) {
	bk := b.book(p.purse)
	if p.lease != 0 {
		if d := bk.dealt[uint64(p.lease)]; bk.wonBy[uint64(p.lease)] == uint64(p.user) && d.Cents == int64(p.cents) {
			return
		}
	}
	for _, s := range bk.openings {
		if p.lease == 0 && s.User == uint64(p.user) && s.Cents == int64(p.cents) {
			return
		}
	}
	b.w.fail("user %d was told of %s of %d cents from %v (lease %d), which never was", p.user, p.what, p.cents, p.purse, p.lease)
}

// checkStored compares a purse in memory with what the store has of it.
func (b *bank) checkStored(a im.Addr) {
	w := b.w
	ent, err := shard.LoadEntity(w.store.loader(a), a)
	if err != nil {
		w.fail("%v cannot be loaded: %v", a, err)
	}
	bk := b.book(a)
	if got := entity.Holding(ent); got != bk.held {
		w.fail("%v holds %d cents as stored, and %d by its log", a, got, bk.held)
	}
	var question im.Command
	switch {
	case bk.terms != nil:
		question = &im.GetEnvelope{User: im.UserID(bk.terms.Sender)}
	case bk.camp != nil:
		question = &im.GetCampaign{}
	case bk.made != nil:
		question = &im.GetPayment{}
	default:
		return
	}
	stored, err := ent.Handle(&entity.Tx{Self: a}, question)
	if err != nil {
		w.fail("%v as stored: %v", a, err)
	}
	if diff := cmp.Diff(w.ask(a, question), stored); diff != "" {
		w.fail("%v: the state from the store differs (-live +stored):\n%s", a, diff)
	}
}

// audit has the operator's audit look at the store.
func (b *bank) audit() {
	r, err := audit.Run(context.Background(), auditSource{b.w.store})
	if err != nil || !r.OK() || r.In != b.cameIn || r.Out != b.wentOut || r.InFlight != 0 {
		b.w.fail("the audit finds %+v, %v; %d cents came in, %d went out", r, err, b.cameIn, b.wentOut)
	}
}

// auditSource is the store as an audit sees it.
type auditSource struct{ s *storage }

// List implements audit.Source.
func (a auditSource) List(_ context.Context, slots []im.Slot, visit func(im.Slot, []im.Addr) error) error {
	for _, slot := range slots {
		var addrs []im.Addr
		if sl := a.s.slots[slot]; sl != nil {
			for _, e := range sl.order {
				addrs = append(addrs, e.addr)
			}
		}
		if err := visit(slot, addrs); err != nil {
			return err
		}
	}
	return nil
}

// Load implements audit.Source.
func (a auditSource) Load(_ context.Context, addr im.Addr, tail func([]store.Record) im.Seq) (store.Entity, error) {
	return a.s.load(addr, tail), nil
}

// ReadLog implements audit.Source.
func (a auditSource) ReadLog(_ context.Context, addr im.Addr, from im.Seq, limit, maxBytes int) ([]store.Entry, error) {
	return a.s.readLog(addr, from, limit, maxBytes), nil
}
