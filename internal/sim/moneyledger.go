package sim

import (
	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
)

// moneyBook is what the durable log of an entity says of money.
type moneyBook struct {
	held im.Cents
	// statement is the last entry of a wallet's; balances are those after
	// each.
	statement im.Seq
	balances  map[im.Seq]im.Cents

	// Of an envelope.
	terms    *storev1.EnvelopeTerms
	split    []int64
	openings []*storev1.EnvelopeShare
	// Of a campaign.
	camp    *storev1.CampaignTerms
	dealt   map[uint64]*storev1.Deal
	current map[uint32]uint64
	back    map[uint64]bool
	wonBy   map[uint64]uint64
	wonNo   map[uint32]bool
	perUser map[uint64]uint32
	fresh   uint32
	// Of a payment.
	made *storev1.PaymentMade

	finished *storev1.PurseFinished
}

// flight is one message between a wallet and a purse.
type flight struct {
	from, to im.Addr
	seq      im.LinkSeq
}

func (b *bank) book(a im.Addr) *moneyBook {
	bk := b.books[a]
	if bk == nil {
		bk = &moneyBook{balances: map[im.Seq]im.Cents{}, dealt: map[uint64]*storev1.Deal{}, current: map[uint32]uint64{},
			back: map[uint64]bool{}, wonBy: map[uint64]uint64{}, wonNo: map[uint32]bool{}, perUser: map[uint64]uint32{}}
		b.books[a] = bk
	}
	return bk
}

func isPurse(a im.Addr) bool {
	return a.Kind == im.KindEnvelope || a.Kind == im.KindCampaign || a.Kind == im.KindPayment
}

// take ends the flight of a message and returns what it brings.
func (b *bank) take(l *ledger, seq im.Seq, from im.Addr, n uint64) im.Cents {
	f := flight{from, l.addr, im.LinkSeq(n)}
	cents, ok := b.flights[f]
	if !ok {
		l.fail(seq, "takes message %d of %v, which is not under way", n, from)
	}
	delete(b.flights, f)
	return cents
}

// put changes what an entity holds, which is never less than nothing.
func (b *bank) put(l *ledger, seq im.Seq, change im.Cents) {
	bk := b.book(l.addr)
	if bk.held += change; bk.held < 0 {
		l.fail(seq, "leaves %d cents", bk.held)
	}
}

// conserved: what came in is held, under way, or went out.
func (b *bank) conserved(l *ledger, seq im.Seq) {
	sum := b.wentOut
	for _, bk := range b.books {
		sum += bk.held
	}
	for _, cents := range b.flights {
		sum += cents
	}
	if sum != b.cameIn {
		l.fail(seq, "%d cents came in, and there are %d", b.cameIn, sum)
	}
}

// wallet takes an event of a user.
func (b *bank) wallet(l *ledger, seq im.Seq, ev *storev1.Event) {
	m := ev.GetEntry().GetMoney()
	var taken, sent im.Cents
	from, to := addrOf(ev.GetFrom()), addrOf(ev.GetTo())
	if ev.GetLinkIn() != 0 && isPurse(from) {
		taken = b.take(l, seq, from, ev.GetLinkIn())
	}
	if ev.GetLinkOut() != 0 && isPurse(to) {
		var t storev1.Transfer
		if err := proto.Unmarshal(ev.GetBody().GetContent().GetBody(), &t); err != nil || ev.GetBody().GetKind() != storev1.LinkKind_LINK_KIND_FUND {
			l.fail(seq, "sends %v to %v: %v", ev.GetBody(), to, err)
		}
		sent = im.Cents(t.Cents)
		b.flights[flight{l.addr, to, im.LinkSeq(ev.GetLinkOut())}] = sent
	}
	bk := b.book(l.addr)
	switch change := taken - sent; {
	case m == nil && change != 0, m != nil && m.Cents != int64(change):
		l.fail(seq, "shows %v, but the balance changes by %d", m, change)
	case m == nil || m.Cents == 0:
		return
	case m.Balance != int64(bk.held+change) || m.Prev != uint64(bk.statement):
		l.fail(seq, "shows %v, but there were %d cents after entry %d", m, bk.held, bk.statement)
	}
	b.put(l, seq, im.Cents(m.Cents))
	bk.statement = seq
	bk.balances[seq] = bk.held
	b.w.stats.Money++
	b.conserved(l, seq)
}

// purse takes an event of an envelope, a campaign or a payment.
func (b *bank) purse(l *ledger, seq im.Seq, value []byte) {
	var ev storev1.PurseEvent
	if err := proto.Unmarshal(value, &ev); err != nil {
		l.fail(seq, "cannot be decoded: %v", err)
	}
	b.w.logf("%v: durable: %d %v", l.addr, seq, &ev)
	change := im.Cents(0)
	if ev.LinkIn != 0 {
		l.linkIn(seq, addrOf(ev.From), ev.LinkIn)
		change += b.take(l, seq, addrOf(ev.From), ev.LinkIn)
	}
	for _, out := range ev.Outs {
		l.linkOut(seq, addrOf(out.To), out.Link)
		cents := im.Cents(out.GetTransfer().GetCents())
		b.flights[flight{l.addr, addrOf(out.To), im.LinkSeq(out.Link)}] = cents
		change -= cents
	}
	if p := ev.PaymentMade; p.GetTopUp() {
		change += im.Cents(p.Terms.Cents)
		b.cameIn += im.Cents(p.Terms.Cents)
	}
	if paid := im.Cents(ev.Finished.GetPaid()); paid > 0 {
		change -= paid
		b.wentOut += paid
	}
	bk := b.book(l.addr)
	b.follow(l, seq, bk, &ev)
	b.put(l, seq, change)
	if ev.Finished != nil {
		if bk.finished != nil || bk.held != 0 {
			l.fail(seq, "ends with %d cents, after %v", bk.held, bk.finished)
		}
		bk.finished = ev.Finished
	}
	b.conserved(l, seq)
}

// follow checks what the event says against what was before.
func (b *bank) follow(l *ledger, seq im.Seq, bk *moneyBook, ev *storev1.PurseEvent) {
	if bk.finished != nil && (ev.EnvelopeOpened != nil || ev.CampaignWon != nil || ev.CampaignDealt != nil) {
		l.fail(seq, "follows the end: %v", ev)
	}
	if f := ev.EnvelopeFunded; f != nil {
		bk.funded(l, seq, f)
	}
	if s := ev.EnvelopeOpened; s != nil {
		bk.opened(l, seq, s, ev)
		b.w.stats.Opened++
	}
	if c := ev.CampaignFunded; c != nil {
		if bk.camp != nil {
			l.fail(seq, "is funded twice")
		}
		bk.camp = c
	}
	for _, d := range ev.CampaignDealt.GetDeals() {
		bk.deal(l, seq, d, ev.TimeMs)
	}
	for _, id := range ev.LeasesReturned.GetLeases() {
		bk.back[id] = true
	}
	if w := ev.CampaignWon; w != nil {
		bk.win(l, seq, w, ev)
		b.w.stats.Won++
	}
	if m := ev.PaymentMade; m != nil {
		if bk.made != nil {
			l.fail(seq, "is made twice")
		}
		bk.made = m
	}
}

func (bk *moneyBook) funded(l *ledger, seq im.Seq, f *storev1.EnvelopeFunded) {
	sum := int64(0)
	for _, c := range f.Split {
		if sum += c; c < 1 {
			l.fail(seq, "has a share of %d cents", c)
		}
	}
	if bk.terms != nil || sum != f.Terms.Total || len(f.Split) != int(f.Terms.Shares) {
		l.fail(seq, "splits %d cents into %v", f.Terms.Total, f.Split)
	}
	bk.terms, bk.split = f.Terms, f.Split
}

func (bk *moneyBook) opened(l *ledger, seq im.Seq, s *storev1.EnvelopeShare, ev *storev1.PurseEvent) {
	n := len(bk.openings)
	invited := false
	for _, id := range bk.terms.GetReceivers() {
		invited = invited || id == s.User
	}
	for _, o := range bk.openings {
		invited = invited && o.User != s.User
	}
	if n >= len(bk.split) || s.Cents != bk.split[n] || !invited || ev.TimeMs >= bk.terms.ExpiresMs ||
		ev.Outs[0].GetTransfer().GetCents() != s.Cents || ev.Outs[0].GetTo().GetId() != s.User {
		l.fail(seq, "opens %v as number %d of %v for %v, until %d: %v", s, n+1, bk.split, bk.terms.GetReceivers(), bk.terms.GetExpiresMs(), ev)
	}
	bk.openings = append(bk.openings, s)
}

// deal: an envelope is dealt again only when its lease has expired, or was
// returned, and new ones at the rate.
func (bk *moneyBook) deal(l *ledger, seq im.Seq, d *storev1.Deal, now int64) {
	before := bk.current[d.Number]
	if bk.dealt[d.Lease] != nil || bk.wonNo[d.Number] || before != d.Before {
		l.fail(seq, "deals %v after lease %d", d, before)
	}
	if old := bk.dealt[before]; old != nil && old.ExpiresMs > now && !bk.back[before] {
		l.fail(seq, "deals %v while %v is lent", d, old)
	}
	if before == 0 {
		bk.fresh++
		if most := 1 + (now-bk.camp.StartMs)*int64(bk.camp.Rate)/1000; int64(bk.fresh) > most || bk.fresh > bk.camp.Count {
			l.fail(seq, "deals number %d, of %d that may be there", bk.fresh, most)
		}
	}
	bk.dealt[d.Lease], bk.current[d.Number] = d, d.Lease
}

// win: a lease wins once, while it is lent, and no user too often.
func (bk *moneyBook) win(l *ledger, seq im.Seq, w *storev1.CampaignWin, ev *storev1.PurseEvent) {
	d := bk.dealt[w.Lease]
	if d == nil || bk.current[d.Number] != w.Lease || bk.back[w.Lease] || bk.wonNo[d.Number] || d.ExpiresMs <= ev.TimeMs {
		l.fail(seq, "wins %v with %v", w, d)
	}
	bk.perUser[w.User]++
	if bk.perUser[w.User] > bk.camp.Limit || d.Cents != w.Cents || ev.Outs[0].GetTransfer().GetCents() != w.Cents || ev.Outs[0].GetTo().GetId() != w.User {
		l.fail(seq, "is win number %d of a user, with %v: %v", bk.perUser[w.User], d, ev)
	}
	bk.wonBy[w.Lease], bk.wonNo[d.Number] = w.User, true
}

// checkAnswer holds an answer about money against what is durable.
func (b *bank) checkAnswer(to im.Addr, cmd im.Command, res im.Result, err error) {
	bk := b.book(to)
	bad := false
	switch c := cmd.(type) {
	case *im.GetWallet:
		if err == nil {
			w := res.(*im.WalletInfo)
			bad = w.LastSeq != 0 && bk.balances[w.LastSeq] != w.Balance || w.LastSeq == 0 && w.Balance != 0
		}
	case *im.CreateEnvelope:
		if err == nil {
			r := res.(*im.EnvelopeCreated)
			_, durable := bk.balances[r.Seq]
			bad = !durable || im.Envelope(r.Envelope) != im.Envelope(im.EnvelopeOf(im.UserID(to.ID), c.Key))
		}
	case *im.Open:
		bad = !bk.rightlyAnswered(c, res, err)
	case *im.Claim:
		if err == nil {
			r := res.(*im.Claimed)
			bad = r.Outcome == im.ClaimWon && bk.wonBy[uint64(c.Lease)] != uint64(c.User)
		}
	case *im.TopUp:
		if err == nil {
			bad = !bk.made.GetTopUp() || bk.made.Terms.Cents != int64(c.Cents)
		}
	case *im.Settle:
		if err == nil {
			bad = bk.finished == nil || (bk.finished.Paid > 0) != c.Paid
		}
	}
	if bad {
		b.w.fail("%v: %T %+v is answered %+v, %v, but %+v holds", to, cmd, cmd, res, err, bk)
	}
}

// rightlyAnswered: a refusal may be older than what is durable by now, so only
// those are checked that stay true.
func (bk *moneyBook) rightlyAnswered(c *im.Open, res im.Result, err error) bool {
	var share *storev1.EnvelopeShare
	for _, s := range bk.openings {
		if s.User == uint64(c.User) {
			share = s
		}
	}
	switch im.KindOf(err) {
	case im.KindUnspecified:
		return share != nil && share.Cents == int64(res.(*im.Opened).Cents)
	case im.AllGone:
		return share == nil && len(bk.openings) == len(bk.split)
	case im.PermissionDenied:
		return share == nil
	}
	return true
}
