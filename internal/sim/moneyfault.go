package sim

import (
	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// handleMoney is Handle for commands about money.
func (f *faulty) handleMoney(tx *entity.Tx, cmd im.Command) (im.Result, error) {
	res, err := f.Entity.Handle(tx, cmd)
	switch c := cmd.(type) {
	case *im.Claim:
		if f.w.defect == ReturnedLeaseHonoured && err == nil && res.(*im.Claimed).Outcome == im.ClaimLate {
			return f.claimReturned(tx, c, res)
		}
		if f.w.defect == LimitEarly && err == nil {
			res.(*im.Claimed).Last = true
		}
	case *im.CreateEnvelope:
		if f.w.defect == Overdraft && im.KindOf(err) == im.Insufficient && f.Status().Head > tx.Durable {
			return f.overdraw(tx, c, err)
		}
	}
	return res, err
}

// claimReturned lets a late claim have the envelope under its next lease, but
// says that it was the old one.
func (f *faulty) claimReturned(tx *entity.Tx, c *im.Claim, late im.Result) (im.Result, error) {
	bk := f.w.bank.book(f.addr)
	old := bk.dealt[uint64(c.Lease)]
	if old == nil || bk.current[old.Number] == old.Lease {
		return late, nil
	}
	next := *c
	next.Lease = im.LeaseID(bk.current[old.Number])
	next.Set = im.SetID(bk.dealt[uint64(next.Lease)].Set)
	logged := len(tx.Append)
	res, err := f.Entity.Handle(tx, &next)
	if len(tx.Append) > logged {
		rewrite(&tx.Append[logged], func(ev *storev1.PurseEvent) { ev.CampaignWon.Lease = uint64(c.Lease) })
	}
	return res, err
}

// rewrite changes a log entry of a purse.
func rewrite(l *entity.Logged, change func(ev *storev1.PurseEvent)) {
	var ev storev1.PurseEvent
	if err := proto.Unmarshal(l.Value, &ev); err != nil {
		panic(err)
	}
	change(&ev)
	l.Value = mustMarshal(&ev)
}

func mustMarshal(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

// refunded adds to a refund what was opened last.
func (f *faulty) refunded(tx *entity.Tx, logged int) {
	if f.w.defect != RefundRaces || f.addr.Kind != im.KindEnvelope || len(tx.Append) == logged {
		return
	}
	// What is opened and not durable yet stands before it in the same batch, or
	// in the one on its way.
	open := f.w.bank.book(f.addr).openings
	if len(open) == 0 || im.Millis(open[len(open)-1].TimeMs)+500 < tx.Now {
		return
	}
	extra := open[len(open)-1].Cents
	rewrite(&tx.Append[logged], func(ev *storev1.PurseEvent) {
		if ev.Finished != nil {
			ev.Finished.Returned += extra
			ev.Outs[0].Transfer.Cents += extra
		}
	})
}

// overdraw sends an envelope that the wallet cannot pay: the entity sends what
// it can pay, and the log says what was asked for.
func (f *faulty) overdraw(tx *entity.Tx, c *im.CreateEnvelope, refusal error) (im.Result, error) {
	w, err := f.Entity.Handle(tx, &im.GetWallet{})
	if err != nil || w.(*im.WalletInfo).Balance < im.Cents(c.Shares) {
		return nil, refusal
	}
	less := *c
	less.Total = w.(*im.WalletInfo).Balance
	logged := len(tx.Append)
	res, err := f.Entity.Handle(tx, &less)
	if err != nil {
		return nil, refusal
	}
	var ev storev1.Event
	if err := proto.Unmarshal(tx.Append[logged].Value, &ev); err != nil {
		panic(err)
	}
	m := ev.Entry.Money
	m.Balance -= int64(c.Total - less.Total)
	m.Cents, m.Total = -int64(c.Total), int64(c.Total)
	var t storev1.Transfer
	if err := proto.Unmarshal(ev.Body.Content.Body, &t); err != nil {
		panic(err)
	}
	t.Cents, t.Envelope.Total = int64(c.Total), int64(c.Total)
	ev.Body.Content.Body = mustMarshal(&t)
	tx.Append[logged] = entity.Logged{Value: mustMarshal(&ev), Visible: mustMarshal(ev.Entry)}
	for _, msg := range tx.Messages {
		if msg.To == addrOf(ev.To) && msg.Seq != 0 {
			msg.Body.Content.Body = ev.Body.Content.Body
		}
	}
	return res, nil
}

// spoilLoad changes what is read of an envelope, for a defect.
func (w *world) spoilLoad(a im.Addr, load func(func([]im.Record) im.Seq) (store.Entity, error)) func(func([]im.Record) im.Seq) (store.Entity, error) {
	if w.defect != SumOff || a.Kind != im.KindEnvelope {
		return load
	}
	return func(tail func([]im.Record) im.Seq) (store.Entity, error) {
		return load(func(recs []im.Record) im.Seq {
			for i := range recs {
				var head storev1.EnvelopeHead
				if recs[i].Key != "h" || proto.Unmarshal(recs[i].Value, &head) != nil || head.Terms == nil || len(head.Openings) == len(head.Split) {
					continue
				}
				head.Split[len(head.Split)-1]++
				head.Terms.Total++
				recs[i].Value = mustMarshal(&head)
			}
			return tail(recs)
		})
	}
}
