//go:build linux

package swarm

import (
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// purse is a device's state for money. A device gets one with the first cent or
// call that it has to do with.
type purse struct {
	timeline
	// won and opened are what answers have promised, paid and taken what
	// the timeline says to have arrived for it.
	won, opened, paid, taken im.Cents
	// unsure: a shake has lost its answer, so more may arrive than was
	// promised.
	unsure bool
	// balance is that of the last entry; counted is false before one.
	balance im.Cents
	counted bool
	// resume is when shaking may go on.
	resume int64
	// calls are without an answer, or to be repeated; last numbers them.
	calls []call
	last  uint64
}

func (m *member) purse(cl *client) *purse {
	if cl.purse == nil {
		cl.purse = &purse{timeline: timeline{received: im.Seq(cl.cursor)}}
	}
	return cl.purse
}

// openPurse begins a connection, and repeats what the last one has left without
// an answer. What was in the timeline before the first one is of earlier runs.
func (m *member) openPurse(cl *client, head im.Seq) {
	if !cl.greeted {
		cl.greeted, cl.cursor = true, uint32(head)
	}
	p := cl.purse
	if p == nil {
		return
	}
	p.again()
	for i := range p.calls {
		m.status.Money.Repeated++
		m.call(cl, &p.calls[i])
	}
}

// closePurse is told how many shakes a connection has left without an answer.
func (m *member) closePurse(cl *client, shakes int) {
	if shakes > 0 {
		m.purse(cl).unsure = true
	}
	if cl.purse == nil {
		return
	}
	for i := range cl.purse.calls {
		// The next Welcome repeats it.
		cl.purse.calls[i].at = never
	}
}

// money takes an entry of the timeline.
func (m *member) money(cl *client, e *wire.Entry, now int64) {
	if e.Kind != wire.EntryMoney || e.Money == nil {
		return
	}
	p, s := m.purse(cl), &m.status.Money
	if e.Money.Cents != 0 {
		if p.counted && p.balance+e.Money.Cents != e.Money.Balance {
			m.wrong("a balance that does not follow from the last one")
		}
		p.balance, p.counted = e.Money.Balance, true
	}
	switch e.Money.Event {
	case im.CampaignWon:
		p.paid += e.Money.Cents
		s.Paid++
		s.PaidCents += e.Money.Cents
	case im.EnvelopeReceived:
		s.Received++
		s.Opening++
		m.newCall(cl, call{envelope: im.EnvelopeID(e.Money.Ref), due: now})
	case im.EnvelopeOpened:
		p.taken += e.Money.Cents
		s.Taken++
		s.TakenCents += e.Money.Cents
	case im.EnvelopeFinished, im.MoneyReturned:
		if e.Money.Cents != 0 {
			m.wrong("money came back")
		}
	}
}

// moneyBooks adds what the devices know of money.
func (m *member) moneyBooks(c *Collected) {
	c.Envelopes, m.calls.sent = m.calls.sent, nil
	for i := range m.clients {
		p := m.clients[i].purse
		if p == nil {
			continue
		}
		if p.counted {
			c.Wallets = append(c.Wallets, Wallet{Number: m.job.number(i), Balance: p.balance})
		}
		unsure := p.unsure || m.clients[i].pings > 0
		if p.opened != p.taken || p.won > p.paid || p.won < p.paid && !unsure {
			c.Differing++
		}
	}
}

// maxSeconds bounds what is kept by the second.
const maxSeconds = 24 * 60 * 60

// second is the present one of the load.
func (m *member) second(now int64) *Second {
	i := min(max(now-m.load.order.Start, 0)/1e9, maxSeconds)
	for int64(len(m.seconds)) <= i {
		m.seconds = append(m.seconds, Second{})
	}
	return &m.seconds[i]
}
