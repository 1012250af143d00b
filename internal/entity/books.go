package entity

import (
	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// Movement is what one log entry does with money.
type Movement struct {
	// From and In name the link message that the entry takes, if it is one
	// between a wallet and a purse, and Taken what it brings.
	From  im.Addr
	In    im.LinkSeq
	Taken im.Cents
	// Sent are such messages that the entry sends.
	Sent []Sending
	// CameIn and WentOut crossed the border of the system.
	CameIn, WentOut im.Cents
	// Wallet is what a user's entry says of the balance; nil: nothing.
	Wallet *wire.Money
}

// Sending is a link message with money.
type Sending struct {
	To    im.Addr
	Seq   im.LinkSeq
	Cents im.Cents
}

// Net is what the entity has more after the entry.
func (m *Movement) Net() im.Cents {
	net := m.Taken + m.CameIn - m.WentOut
	for _, s := range m.Sent {
		net -= s.Cents
	}
	return net
}

// MovementIn reads what a log entry of an entity does with money.
func MovementIn(a im.Addr, e im.LogEntry) (Movement, error) {
	switch {
	case a.Kind == im.KindUser:
		return walletMovement(e)
	case isPurse(a.Kind):
		return purseMovement(e)
	}
	return Movement{}, nil
}

func walletMovement(e im.LogEntry) (m Movement, err error) {
	var ev event
	if err := ev.decode(e); err != nil {
		return m, err
	}
	if ev.linkIn != 0 && isPurse(ev.from.Kind) {
		m.From, m.In = ev.from, ev.linkIn
		if ev.entry.Money != nil {
			m.Taken = ev.entry.Money.Cents
		}
	}
	if ev.linkOut != 0 && isPurse(ev.to.Kind) {
		t := transferIn(&ev.body)
		if t == nil {
			return m, errDamaged
		}
		m.Sent = []Sending{{ev.to, ev.linkOut, im.Cents(t.Cents)}}
	}
	if w := ev.entry.Money; w != nil && w.Cents != 0 {
		m.Wallet = w
	}
	return m, nil
}

func purseMovement(e im.LogEntry) (m Movement, err error) {
	var ev storev1.PurseEvent
	if err := proto.Unmarshal(e.Value, &ev); err != nil {
		return m, err
	}
	back := im.Cents(0)
	for _, out := range ev.Outs {
		m.Sent = append(m.Sent, Sending{addrOf(out.To), im.LinkSeq(out.Link), im.Cents(out.Transfer.GetCents())})
		back += im.Cents(out.Transfer.GetCents())
	}
	if ev.LinkIn != 0 {
		m.From, m.In = addrOf(ev.From), im.LinkSeq(ev.LinkIn)
		switch {
		case ev.EnvelopeFunded != nil:
			m.Taken = im.Cents(ev.EnvelopeFunded.Terms.GetTotal())
		case ev.CampaignFunded != nil:
			m.Taken = im.Cents(ev.CampaignFunded.Total)
		case ev.PaymentMade != nil:
			m.Taken = im.Cents(ev.PaymentMade.Terms.GetCents())
		default:
			m.Taken = back
		}
	}
	if p := ev.PaymentMade; p.GetTopUp() {
		m.CameIn = im.Cents(p.Terms.GetCents())
	}
	m.WentOut = im.Cents(ev.Finished.GetPaid())
	return m, nil
}

// MoneyLink is how far an entity's link is with another, between which money
// goes.
type MoneyLink struct {
	Peer           im.Addr
	Out, Acked, In im.LinkSeq
	// Stopped: the ends remember different things, since a store has lost its
	// end.
	Stopped bool
}

// MoneyLinks are those that an entity knows of.
func MoneyLinks(ent Entity) (links []MoneyLink) {
	add := func(l *line) { links = append(links, MoneyLink{l.peer, l.out, l.acked, l.in, l.stopped()}) }
	var p *purse
	switch e := ent.(type) {
	case *user:
		if e.wallet != nil {
			for _, d := range e.wallet.dealings {
				add(&d.line)
			}
		}
		return links
	case *envelope:
		p = &e.purse
	case *campaign:
		p = &e.purse
	case *payment:
		p = &e.purse
	default:
		return nil
	}
	for _, one := range p.order {
		add(&one.line)
	}
	return links
}

// Holding is the money that an entity has, as it believes itself.
func Holding(ent Entity) im.Cents {
	switch e := ent.(type) {
	case *user:
		balance, _ := e.balance()
		return balance
	case *envelope:
		return e.left
	case *campaign:
		if e.terms != nil && e.finished == nil {
			return im.Cents(e.terms.Total) - e.wonCents
		}
	case *payment:
		if e.terms != nil && !e.topUp && e.finished == nil {
			return im.Cents(e.terms.Cents)
		}
	}
	return 0
}
