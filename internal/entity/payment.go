package entity

import (
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
)

// payment is one sum that came in from outside, or goes out. That there is one
// entity for each is what makes them happen once, however late the command is
// repeated: the entity is the memory of its reference.
type payment struct {
	purse
	// terms is nil before there is anything.
	terms *storev1.PaymentTerms
	topUp bool
}

func newPayment() *payment {
	p := &payment{}
	p.purse = newPurse(p)
	return p
}

// Handle implements Entity.
func (p *payment) Handle(tx *Tx, cmd im.Command) (im.Result, error) {
	switch c := cmd.(type) {
	case *im.TopUp:
		return p.handleTopUp(tx, c)
	case *im.Settle:
		return p.settle(tx, c)
	case *im.GetPayment:
		if p.terms == nil {
			return nil, im.Errorf(im.NotFound, "there is no such payment")
		}
		return p.info(tx), nil
	}
	return nil, im.Errorf(im.Unimplemented, "a payment does not understand %T", cmd)
}

func (p *payment) handleTopUp(tx *Tx, c *im.TopUp) (im.Result, error) {
	if c.Reference == "" || len(c.Reference) > im.MaxKey || !utf8.ValidString(c.Reference) {
		return nil, im.Errorf(im.Invalid, "a reference is UTF-8 text of 1 to %d bytes", im.MaxKey)
	}
	if c.User == 0 || c.User > im.MaxUser {
		return nil, im.Errorf(im.Invalid, "there is no user %d", c.User)
	}
	if err := im.CheckMoney(c.Cents); err != nil {
		return nil, err
	}
	if err := im.CheckText(c.Text); err != nil {
		return nil, err
	}
	if t := p.terms; t != nil {
		if !p.topUp || t.Reference != c.Reference || t.User != uint64(c.User) || t.Cents != int64(c.Cents) {
			return nil, im.Errorf(im.Conflict, "this reference was used for another payment")
		}
		return p.info(tx), nil
	}
	terms := &storev1.PaymentTerms{Reference: c.Reference, User: uint64(c.User), Cents: int64(c.Cents), Text: c.Text, CreatedMs: int64(tx.Now)}
	p.record(tx, &storev1.PurseEvent{
		PaymentMade: &storev1.PaymentMade{Terms: terms, TopUp: true},
		Finished:    &storev1.PurseFinished{},
		Outs: []*storev1.LinkOut{credit(c.User, &storev1.Transfer{Event: moneyEvent(im.ToppedUp), Cents: int64(c.Cents), Text: c.Text,
			UntilMs: int64(tx.Now)})},
	})
	return p.info(tx), nil
}

// settle ends a withdrawal, and tells the user.
func (p *payment) settle(tx *Tx, c *im.Settle) (im.Result, error) {
	switch {
	case p.terms == nil:
		return nil, im.Errorf(im.NotFound, "there is no such payment")
	case p.topUp:
		return nil, im.Errorf(im.Invalid, "money that came in is not settled")
	case p.held(im.UserID(p.terms.User)) != nil:
		return nil, errStopped()
	case p.finished != nil:
		if (p.finished.Paid > 0) != c.Paid {
			return nil, im.Errorf(im.Conflict, "the payment was settled the other way")
		}
		return p.info(tx), nil
	}
	t := &storev1.Transfer{Event: moneyEvent(im.PaidOut), UntilMs: p.terms.CreatedMs, Text: p.terms.Text}
	fin := &storev1.PurseFinished{Paid: p.terms.Cents}
	if !c.Paid {
		t.Event, t.Cents = moneyEvent(im.MoneyReturned), p.terms.Cents
		fin = &storev1.PurseFinished{Returned: p.terms.Cents}
	}
	p.record(tx, &storev1.PurseEvent{Finished: fin, Outs: []*storev1.LinkOut{credit(im.UserID(p.terms.User), t)}})
	return p.info(tx), nil
}

func (p *payment) info(tx *Tx) *im.PaymentInfo {
	info := &im.PaymentInfo{Payment: im.PaymentID(tx.Self.ID), Reference: p.terms.Reference, User: im.UserID(p.terms.User),
		Cents: im.Cents(p.terms.Cents), Text: p.terms.Text, State: im.PaymentHeld, Time: im.Millis(p.terms.CreatedMs)}
	switch {
	case p.topUp:
		info.State = im.PaymentToppedUp
	case p.finished.GetPaid() > 0:
		info.State = im.PaymentPaid
	case p.finished != nil:
		info.State = im.PaymentReturned
	}
	return info
}

// fund implements content: the beginning of a withdrawal.
func (p *payment) fund(_ *Tx, from im.UserID, t *storev1.Transfer) *storev1.PurseEvent {
	if p.terms != nil || t.Payment == nil || t.Payment.User != uint64(from) || t.Payment.Cents != t.Cents {
		return nil
	}
	return &storev1.PurseEvent{PaymentMade: &storev1.PaymentMade{Terms: t.Payment}}
}

// notice implements content: payments send none.
func (p *payment) notice() *storev1.Transfer { return &storev1.Transfer{} }

// end implements content: a withdrawal waits as long as it takes.
func (p *payment) end(*Tx) *storev1.PurseEvent { return &storev1.PurseEvent{} }

// evolve implements content.
func (p *payment) evolve(ev *storev1.PurseEvent) error {
	if m := ev.PaymentMade; m != nil {
		if p.terms != nil || m.Terms == nil {
			return errDamaged
		}
		p.terms, p.topUp = m.Terms, m.TopUp
	}
	if f := ev.Finished; f != nil && !p.topUp && (p.terms == nil || f.Paid+f.Returned != p.terms.Cents) {
		return errDamaged
	}
	return nil
}

// encodeHead implements content.
func (p *payment) encodeHead() proto.Message {
	return &storev1.PaymentHead{Seq: uint64(p.head), Pending: p.marked, Terms: p.terms, TopUp: p.topUp, Finished: p.finished, Forks: p.forks.stored()}
}

// restoreHead implements content.
func (p *payment) restoreHead(value []byte) error {
	var m storev1.PaymentHead
	if err := proto.Unmarshal(value, &m); err != nil {
		return err
	}
	p.head, p.marked, p.forks = im.Seq(m.Seq), m.Pending, forksOf(m.Forks)
	p.terms, p.topUp, p.finished = m.Terms, m.TopUp, m.Finished
	return nil
}

// restored implements content.
func (p *payment) restored() {}
