package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// bank is everything about money in a run: what people want to do with it, and
// what the durable logs say of it.
type bank struct {
	w *world
	// topUps, envelopes, withdrawals and campaigns are what may be created:
	// all keys are chosen beforehand, and with them where the entities live.
	topUps      []*im.TopUp
	envelopes   []*gift
	withdrawals []*errand
	campaigns   []*fest
	purses      []im.Addr
	actions     int

	books map[im.Addr]*moneyBook
	// flights are the money messages that are durable at their sender and not
	// taken.
	flights map[flight]im.Cents
	// cameIn and wentOut are durable.
	cameIn, wentOut im.Cents
	// told are answers that must hold for ever.
	told []promise
}

// gift is an envelope that somebody may send.
type gift struct {
	from *user
	cmd  im.CreateEnvelope
	addr im.Addr
	// opened are the answers that openers got.
	opened map[im.UserID]im.Opened
	known  bool
}

// errand is a withdrawal that somebody may make.
type errand struct {
	from *user
	cmd  im.Withdraw
	addr im.Addr
}

// fest is a campaign that somebody may sponsor.
type fest struct {
	from *user
	cmd  im.CreateCampaign
	addr im.Addr
	// booths are the SETs that take part.
	booths []*booth
	// heard are the wins of which users were told at desks.
	heard map[im.LeaseID]bool
}

// promise is a win or an opening that was answered.
type promise struct {
	what  string
	purse im.Addr
	user  im.UserID
	lease im.LeaseID
	cents im.Cents
}

// newBank draws what there is to do with money: nothing in some runs.
func newBank(w *world) *bank {
	b := &bank{w: w, books: map[im.Addr]*moneyBook{}, flights: map[flight]im.Cents{}}
	// Its own generator leaves the rest of the plan as it is without money.
	rng := rand.New(rand.NewPCG(w.seed, 0x6d6f6e6579))
	if rng.IntN(10) < 4 {
		return b
	}
	pick := func(lo, hi int) int { return lo + rng.IntN(hi-lo+1) }
	key := func(name string, n int) im.Key { return im.Key{Name: fmt.Sprint(name, n), Asked: epochStart} }
	anyone := func() *user { return w.users[rng.IntN(len(w.users))] }
	b.actions = pick(20, 120)
	if rng.IntN(2) == 0 {
		// Envelopes are out of memory when they end.
		w.plan.core.MaxHot = pick(1, 2)
	}
	for i := range pick(1, 3*len(w.users)) {
		cmd := &im.TopUp{Reference: fmt.Sprint("top up ", i), User: anyone().id, Cents: im.Cents(pick(1, 500))}
		b.topUps = append(b.topUps, cmd)
		b.purses = append(b.purses, im.Payment(im.TopUpOf(cmd.Reference)))
	}
	for i := range pick(0, 8) {
		g := &gift{from: anyone(), opened: map[im.UserID]im.Opened{}}
		g.cmd = im.CreateEnvelope{Key: key("envelope", i), Shares: uint32(pick(1, 4)), Rule: im.SplitRule(rng.IntN(2)), Text: "a gift",
			Lifetime: im.Millis(pick(1000, 9000))}
		g.cmd.Total = im.Cents(int(g.cmd.Shares) + rng.IntN(150))
		for _, u := range w.users {
			if u != g.from && (rng.IntN(2) == 0 || len(w.users) == 2) {
				g.cmd.To = append(g.cmd.To, u.id)
			}
		}
		g.addr = im.Envelope(im.EnvelopeOf(g.from.id, g.cmd.Key))
		b.envelopes = append(b.envelopes, g)
		b.purses = append(b.purses, g.addr)
	}
	for i := range pick(0, 2) {
		e := &errand{from: anyone(), cmd: im.Withdraw{Key: key("withdrawal", i), Cents: im.Cents(pick(1, 100))}}
		e.addr = im.Payment(im.WithdrawalOf(e.from.id, e.cmd.Key))
		b.withdrawals = append(b.withdrawals, e)
		b.purses = append(b.purses, e.addr)
	}
	for i := range pick(0, 1) {
		f := &fest{from: anyone(), heard: map[im.LeaseID]bool{}}
		start := epochStart + im.Millis(pick(9000, 15000))
		f.cmd = im.CreateCampaign{Key: key("campaign", i), Count: uint32(pick(1, 40)), Rule: im.SplitRule(rng.IntN(2)), Rate: uint32(pick(1, 20)),
			Start: start, End: start + im.Millis(pick(1000, 12000)), Limit: uint32(pick(1, 4)), Lease: im.Millis(pick(100, 3000)), Title: "shake"}
		f.cmd.Total = im.Cents(int(f.cmd.Count) + rng.IntN(100))
		f.addr = im.Campaign(im.CampaignOf(f.from.id, f.cmd.Key))
		b.topUps = append(b.topUps, &im.TopUp{Reference: fmt.Sprint("sponsor ", i), User: f.from.id, Cents: f.cmd.Total})
		b.purses = append(b.purses, f.addr, im.Payment(im.TopUpOf(fmt.Sprint("sponsor ", i))))
		b.campaigns = append(b.campaigns, f)
	}
	return b
}

// settleIn gives the entities their slots.
func (b *bank) settleIn() {
	for _, a := range b.purses {
		b.w.addSlot(a.Slot())
	}
}

func (w *world) addSlot(slot im.Slot) {
	if !slices.Contains(w.slots, slot) {
		w.slotPos[slot] = len(w.slots)
		w.slots = append(w.slots, slot)
	}
}

// open begins the business. Campaigns are created early, or nobody would shake.
func (b *bank) open(begin, end time.Duration) {
	w := b.w
	for range b.actions {
		w.at(w.between(begin, end), b.act)
	}
	for range 3 * len(w.users) {
		w.at(w.between(begin, end), func() { b.look(w.users[w.rng.IntN(len(w.users))]) })
	}
	for _, cmd := range b.topUps {
		if w.chance(0.7) {
			w.at(w.between(begin-5*time.Second, begin+time.Second), func() { b.topUp(cmd) })
		}
	}
	for _, f := range b.campaigns {
		w.at(w.between(begin-time.Second, begin+2*time.Second), func() { b.found(f) })
		for _, g := range w.gateways {
			for range 1 + w.rng.IntN(2) {
				newBooth(f, g)
			}
		}
		for range 10 + w.rng.IntN(80) {
			w.at(w.between(begin, end+3*time.Second), func() { f.shake(w.users[w.rng.IntN(len(w.users))]) })
		}
		for range w.rng.IntN(200) {
			w.at(w.between(begin, end+3*time.Second), func() { f.shakeAtDesk(w.users[w.rng.IntN(len(w.users))]) })
		}
	}
}

// act does one thing of those people do with money.
func (b *bank) act() {
	w := b.w
	u := w.users[w.rng.IntN(len(w.users))]
	switch n := w.rng.IntN(100); {
	case n < 10:
		b.topUp(b.topUps[w.rng.IntN(len(b.topUps))])
	case n < 40 && len(b.envelopes) > 0:
		// Several at once, so that they compete for the same money.
		from := w.rng.IntN(len(b.envelopes))
		for _, g := range b.envelopes[from:min(from+1+w.rng.IntN(3), len(b.envelopes))] {
			b.send(g)
		}
	case n < 60 && len(b.envelopes) > 0:
		b.openGift(b.envelopes[w.rng.IntN(len(b.envelopes))], u)
	case n < 84:
		b.look(u)
	case n < 91 && len(b.withdrawals) > 0:
		b.withdraw(b.withdrawals[w.rng.IntN(len(b.withdrawals))])
	case n < 95 && len(b.withdrawals) > 0:
		e := b.withdrawals[w.rng.IntN(len(b.withdrawals))]
		w.persistAt(e.addr, 3, &im.Settle{Paid: w.chance(0.5)}, func(im.Result, error) {})
	case len(b.campaigns) > 0:
		b.found(b.campaigns[w.rng.IntN(len(b.campaigns))])
	}
}

func (b *bank) topUp(cmd *im.TopUp) {
	b.w.persistAt(im.Payment(im.TopUpOf(cmd.Reference)), 5, cmd, func(res im.Result, err error) {
		if err != nil && !im.KindOf(err).Temporary() {
			b.w.fail("%+v: %v", cmd, err)
		}
	})
}

// send creates an envelope, or creates it again.
func (b *bank) send(g *gift) {
	cmd := g.cmd
	if b.w.chance(0.05) {
		cmd.Total++
	}
	b.w.logf("%v: sends %v with %d cents", g.from, g.addr, cmd.Total)
	g.from.persist(4, &cmd, func(res im.Result, err error) {
		b.w.logf("%v: sends %v: %+v, %v", g.from, g.addr, res, err)
		if err != nil || g.known {
			return
		}
		g.known = true
		expires := time.Duration(res.(*im.EnvelopeCreated).Expires-epochStart) * time.Millisecond
		for _, id := range cmd.To {
			at := b.w.between(b.w.now, expires)
			if b.w.chance(0.4) {
				// At the last moment.
				at = expires + b.w.between(-60*time.Millisecond, 20*time.Millisecond)
			}
			b.w.at(at, func() { b.openGift(g, b.w.byID[id]) })
		}
	})
}

func (b *bank) openGift(g *gift, u *user) {
	w := b.w
	_, opened := g.opened[u.id]
	w.persistAt(g.addr, 3, &im.Open{User: u.id}, func(res im.Result, err error) {
		w.logf("%v: opens %v: %+v, %v", u, g.addr, res, err)
		switch {
		case err == nil:
		case opened && !im.KindOf(err).Temporary():
			w.fail("%v has opened %v, and is refused now: %v", u, g.addr, err)
		default:
			return
		}
		got := *res.(*im.Opened)
		if before, again := g.opened[u.id]; again && before != got {
			w.fail("%v opens %v and gets %+v, after %+v", u, g.addr, got, before)
		}
		g.opened[u.id] = got
		b.told = append(b.told, promise{"an opening", g.addr, u.id, 0, got.Cents})
	})
}

// look asks some node for the balance, whoever owns the wallet: gateways with
// an old view do. What is durable before the question is part of the answer.
func (b *bank) look(u *user) {
	b.lookAt(u, b.w.nodes[b.w.rng.IntN(len(b.w.nodes))])
}

// doubt asks a node about the users of a slot that it is to lose, while it may
// not know.
func (b *bank) doubt(pos int, n *node) {
	w := b.w
	if w.calm {
		return
	}
	for _, u := range w.users {
		if w.slotPos[u.addr.Slot()] != pos {
			continue
		}
		for range 4 {
			w.after(w.between(0, w.plan.staleness), func() { b.lookAt(u, n) })
		}
	}
}

func (b *bank) lookAt(u *user, n *node) {
	w := b.w
	known, head := b.book(u.addr).statement, w.ledger(u.addr).head
	if !n.up {
		return
	}
	c := n.coreOf(u.addr.Slot())
	w.submit(c, u.addr, &im.GetWallet{}, func(res im.Result, err error) {
		if err == nil && res.(*im.WalletInfo).LastSeq < known {
			w.fail("%v: the statement ends at %d, but had %d before", u, res.(*im.WalletInfo).LastSeq, known)
		}
	})
	w.submit(c, u.addr, &im.Counters{}, func(res im.Result, err error) {
		if err == nil && res.(*im.CountersInfo).Head < head {
			w.fail("%v: the timeline ends at %d, but had %d before", u, res.(*im.CountersInfo).Head, head)
		}
	})
}

func (b *bank) withdraw(e *errand) {
	e.from.persist(3, &e.cmd, func(res im.Result, err error) {
		b.w.logf("%v: withdraws %d cents: %+v, %v", e.from, e.cmd.Cents, res, err)
	})
}

func (b *bank) found(f *fest) {
	f.from.persist(6, &f.cmd, func(res im.Result, err error) {
		b.w.logf("%v: founds %v: %+v, %v", f.from, f.addr, res, err)
	})
}

// persistAt is persist for any entity.
func (w *world) persistAt(a im.Addr, tries int, cmd im.Command, done func(im.Result, error)) {
	(&user{w: w, addr: a}).persist(tries, cmd, done)
}
