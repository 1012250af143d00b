package entity

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
)

// blockSize is how many envelopes of a campaign are split at a time. It is
// part of the stored format.
const blockSize = 500

// campaign is what a sponsor gives away. Its envelopes are numbered; as time
// passes, more of them are there to be dealt. Each is lent to a SET under a
// lease, claimed for a user, or dealt again under a new lease once its own has
// expired. What a user has won is kept with the link to the user.
type campaign struct {
	purse
	// terms is nil before the money has come.
	terms *storev1.CampaignTerms
	// issued is how many envelopes were dealt at least once, block what is
	// in the next ones.
	issued uint32
	block  []int64
	leases map[im.LeaseID]*storev1.Deal
	// lent lists leases as they were dealt, which is nearly as they expire;
	// those that are not in leases any more are passed over.
	lent      []im.LeaseID
	lastLease im.LeaseID
	// free are envelopes that were returned before their leases expired.
	free []*storev1.Deal
	won  uint32
	// wonCents is what was won.
	wonCents im.Cents
	// holders says who won with a lease.
	holders map[im.LeaseID]im.UserID

	// sets are those that ask for envelopes. They are not stored: they ask
	// again.
	sets map[im.SetID]setState
	turn int
}

// setState is what a campaign knows of a SET.
type setState struct {
	want uint32
	seen im.Millis
}

func newCampaign() *campaign {
	c := &campaign{leases: map[im.LeaseID]*storev1.Deal{}, holders: map[im.LeaseID]im.UserID{}, sets: map[im.SetID]setState{}}
	c.purse = newPurse(c)
	return c
}

// Handle implements Entity.
func (c *campaign) Handle(tx *Tx, cmd im.Command) (im.Result, error) {
	if c.terms == nil {
		return nil, im.Errorf(im.NotFound, "there is no such campaign")
	}
	switch cmd := cmd.(type) {
	case *im.RenewSets:
		return c.renew(tx, cmd)
	case *im.ReturnLeases:
		return nil, c.giveBack(tx, cmd)
	case *im.Claim:
		return c.claim(tx, cmd)
	case *im.GetCampaign:
		return c.info(tx), nil
	}
	return nil, im.Errorf(im.Unimplemented, "a campaign does not understand %T", cmd)
}

// claim makes a lease a user's. Only what is won changes anything, so that a
// refusal costs no commit of its own; it stays refused all the same, because a
// lease that is gone never comes back.
func (c *campaign) claim(tx *Tx, cmd *im.Claim) (im.Result, error) {
	if cmd.User == 0 || cmd.User > im.MaxUser {
		return nil, im.Errorf(im.Invalid, "there is no user %d", cmd.User)
	}
	one := c.peers[im.User(cmd.User)]
	if c.holders[cmd.Lease] == cmd.User {
		return c.claimed(one, cmd.Lease), nil
	}
	if err := c.held(cmd.User, im.UserID(c.terms.Sponsor)); err != nil {
		return nil, err
	}
	deal := c.leases[cmd.Lease]
	switch {
	case c.finished != nil || c.terms.EndMs <= int64(tx.Now):
		return &im.Claimed{Outcome: im.ClaimOver, Time: tx.Now}, nil
	case deal == nil || deal.Set != uint64(cmd.Set) || deal.ExpiresMs <= int64(tx.Now):
		return &im.Claimed{Outcome: im.ClaimLate, Time: tx.Now}, nil
	case one != nil && c.atLimit(one):
		return &im.Claimed{Outcome: im.ClaimLimit, Time: tx.Now}, nil
	}
	win := &storev1.CampaignWin{Lease: deal.Lease, User: uint64(cmd.User), Cents: deal.Cents, TimeMs: int64(tx.Now)}
	ev := &storev1.PurseEvent{CampaignWon: win, Outs: []*storev1.LinkOut{credit(cmd.User, &storev1.Transfer{
		Event: moneyEvent(im.CampaignWon), Cents: deal.Cents, Text: c.terms.Title, UntilMs: c.terms.EndMs})}}
	if c.won+1 == c.terms.Count && cmd.User != im.UserID(c.terms.Sponsor) {
		c.finish(ev, 0)
	}
	c.record(tx, ev)
	return c.claimed(c.peers[im.User(cmd.User)], cmd.Lease), nil
}

// claimed is the answer to a claim that won.
func (c *campaign) claimed(by *patron, lease im.LeaseID) *im.Claimed {
	for _, w := range by.wins {
		if w.Lease == uint64(lease) {
			return &im.Claimed{Outcome: im.ClaimWon, Cents: im.Cents(w.Cents), Time: im.Millis(w.TimeMs), Last: c.atLimit(by)}
		}
	}
	return &im.Claimed{Outcome: im.ClaimLate}
}

// atLimit reports whether a user may not win any more.
func (c *campaign) atLimit(one *patron) bool { return len(one.wins) >= int(c.terms.Limit) }

func (c *campaign) info(tx *Tx) *im.CampaignInfo {
	t := c.terms
	info := &im.CampaignInfo{
		Sponsor: im.UserID(t.Sponsor),
		Terms: im.CreateCampaign{Key: im.Key{Name: t.Name}, Total: im.Cents(t.Total), Count: t.Count, Rule: im.SplitRule(t.Rule), Rate: t.Rate,
			Start: im.Millis(t.StartMs), End: im.Millis(t.EndMs), Limit: t.Limit, Lease: im.Millis(t.LeaseMs), Title: t.Title},
		Issued: c.issued, Won: c.won, WonCents: c.wonCents, Finished: c.finished != nil, Returned: im.Cents(c.finished.GetReturned()),
	}
	for _, d := range c.leases {
		if d.ExpiresMs > int64(tx.Now) {
			info.Leased++
		}
	}
	for _, one := range c.order {
		if len(one.wins) > 0 {
			info.Winners++
		}
	}
	for _, s := range c.sets {
		if s.seen+im.SetSilence > tx.Now {
			info.ActiveSets++
		}
	}
	return info
}

// fund implements content.
func (c *campaign) fund(_ *Tx, from im.UserID, t *storev1.Transfer) *storev1.PurseEvent {
	terms := t.Campaign
	if c.terms != nil || terms == nil || terms.Sponsor != uint64(from) || terms.Total != t.Cents ||
		terms.Count == 0 || terms.Total < int64(terms.Count) || terms.EndMs <= 0 {
		return nil
	}
	return &storev1.PurseEvent{CampaignFunded: terms}
}

// notice implements content: campaigns send none.
func (c *campaign) notice() *storev1.Transfer { return &storev1.Transfer{} }

// end implements content: what nobody has won goes back.
func (c *campaign) end(*Tx) *storev1.PurseEvent {
	ev := &storev1.PurseEvent{}
	c.finish(ev, im.Cents(c.terms.Total)-c.wonCents)
	return ev
}

// finish adds to an event that nothing is left, and tells the sponsor.
func (c *campaign) finish(ev *storev1.PurseEvent, returned im.Cents) {
	ev.Finished = &storev1.PurseFinished{Returned: int64(returned)}
	ev.Outs = append(ev.Outs, credit(im.UserID(c.terms.Sponsor), &storev1.Transfer{
		Event: moneyEvent(im.CampaignFinished), Cents: int64(returned), Text: c.terms.Title, UntilMs: c.terms.EndMs}))
}

// evolve implements content.
func (c *campaign) evolve(ev *storev1.PurseEvent) error {
	if t := ev.CampaignFunded; t != nil {
		if c.terms != nil || t.Total < int64(t.Count) || t.Total > int64(im.MaxMoney) {
			return errDamaged
		}
		c.terms, c.ends = t, im.Millis(t.EndMs)
	}
	for _, d := range ev.CampaignDealt.GetDeals() {
		if err := c.evolveDeal(d, ev.CampaignDealt.Block); err != nil {
			return err
		}
	}
	for _, id := range ev.LeasesReturned.GetLeases() {
		d := c.leases[im.LeaseID(id)]
		if d == nil {
			return errDamaged
		}
		delete(c.leases, im.LeaseID(id))
		c.free = append(c.free, d)
	}
	if w := ev.CampaignWon; w != nil {
		if d := c.leases[im.LeaseID(w.Lease)]; d == nil || d.Cents != w.Cents {
			return errDamaged
		}
		delete(c.leases, im.LeaseID(w.Lease))
		one := c.patron(im.User(im.UserID(w.User)))
		one.wins, one.dirty = append(one.wins, w), true
		c.count(w)
	}
	if f := ev.Finished; f != nil {
		if c.terms == nil || f.Returned != c.terms.Total-int64(c.wonCents) {
			return errDamaged
		}
		c.forgetLeases()
	}
	return nil
}

// count accounts for what was won.
func (c *campaign) count(w *storev1.CampaignWin) {
	c.won++
	c.wonCents += im.Cents(w.Cents)
	c.holders[im.LeaseID(w.Lease)] = im.UserID(w.User)
}

// forgetLeases leaves only what was won.
func (c *campaign) forgetLeases() {
	clear(c.leases)
	clear(c.sets)
	c.lent, c.free, c.block = nil, nil, nil
}

// encodeHead implements content. What it holds is bounded by what is lent,
// not by what was won.
func (c *campaign) encodeHead() proto.Message {
	m := &storev1.CampaignHead{Seq: uint64(c.head), Pending: c.marked, Terms: c.terms, Issued: c.issued, LastLease: uint64(c.lastLease),
		Block: slices.Clone(c.block), Free: slices.Clone(c.free), Finished: c.finished, Forks: c.forks.stored()}
	for _, id := range slices.Sorted(maps.Keys(c.leases)) {
		m.Leases = append(m.Leases, c.leases[id])
	}
	return m
}

// restoreHead implements content.
func (c *campaign) restoreHead(value []byte) error {
	var m storev1.CampaignHead
	if err := proto.Unmarshal(value, &m); err != nil {
		return err
	}
	c.head, c.marked, c.terms, c.forks = im.Seq(m.Seq), m.Pending, m.Terms, forksOf(m.Forks)
	c.issued, c.block, c.lastLease, c.free = m.Issued, m.Block, im.LeaseID(m.LastLease), m.Free
	for _, d := range m.Leases {
		c.leases[im.LeaseID(d.Lease)] = d
		c.lent = append(c.lent, im.LeaseID(d.Lease))
	}
	if c.finished = m.Finished; c.finished == nil && m.Terms != nil {
		c.ends = im.Millis(m.Terms.EndMs)
	}
	return nil
}

// restored implements content: what was won stands in the links.
func (c *campaign) restored() {
	for _, one := range c.order {
		for _, w := range one.wins {
			c.count(w)
		}
	}
}
