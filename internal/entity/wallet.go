package entity

import (
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// wallet is the part of a user that has money. Its ledger are the user's log
// entries that change the balance: each says by how much, what the balance is
// then, and which entry was the one before.
type wallet struct {
	balance im.Cents
	// statement is the last entry that changed the balance.
	statement im.Seq
	// dealings are the pairs of purses.
	dealings []*pair
}

// ownWallet is the user's wallet, new if need be.
func (u *user) ownWallet() *wallet {
	if u.wallet == nil {
		u.wallet = &wallet{}
	}
	return u.wallet
}

// balance is what the wallet has, and since which entry.
func (u *user) balance() (balance im.Cents, statement im.Seq) {
	if u.wallet == nil {
		return 0, 0
	}
	return u.wallet.balance, u.wallet.statement
}

// handleMoney answers the commands of wallets.
func (u *user) handleMoney(tx *Tx, cmd im.Command) (im.Result, error) {
	switch c := cmd.(type) {
	case *im.GetWallet:
		balance, statement := u.balance()
		return &im.WalletInfo{Balance: balance, LastSeq: statement}, nil
	case *im.CreateEnvelope:
		return u.createEnvelope(tx, c)
	case *im.CreateCampaign:
		return u.createCampaign(tx, c)
	case *im.Withdraw:
		return u.withdraw(tx, c)
	}
	return nil, im.Errorf(im.Unimplemented, "a user does not understand %T", cmd)
}

func (u *user) createEnvelope(tx *Tx, c *im.CreateEnvelope) (im.Result, error) {
	if err := checkEnvelope(u.id, c); err != nil {
		return nil, err
	}
	lifetime := c.Lifetime
	if lifetime == 0 {
		lifetime = im.DefaultLifetime
	}
	to := im.Envelope(im.EnvelopeOf(u.id, c.Key))
	f := funding{to: to, key: c.Key, cents: c.Total,
		hash: commandHash(c.To, c.Total, c.Shares, c.Rule, c.Text, lifetime)}
	d, err := u.mayFund(tx, &f)
	if err == nil && d == nil {
		if err := u.mayWriteAll(c.To); err != nil {
			return nil, err
		}
		terms := &storev1.EnvelopeTerms{Sender: uint64(u.id), Total: int64(c.Total), Shares: c.Shares, Rule: splitRule(c.Rule), Text: c.Text,
			CreatedMs: int64(tx.Now), ExpiresMs: int64(tx.Now + lifetime), Receivers: userIDs(c.To)}
		f.transfer = &storev1.Transfer{Event: moneyEvent(im.EnvelopeSent), Envelope: terms}
		f.shown = wire.Money{Event: im.EnvelopeSent, Total: c.Total, Shares: c.Shares, Rule: c.Rule,
			Expires: tx.Now + lifetime, Receivers: uint32(len(c.To))}
		f.text, f.device = c.Text, c.Device
		if len(c.To) == 1 {
			f.peer = c.To[0]
		}
		d, err = u.fund(tx, &f)
	}
	if err != nil {
		return nil, err
	}
	return &im.EnvelopeCreated{Envelope: im.EnvelopeID(to.ID), Seq: d.seq, Expires: d.until}, nil
}

func checkEnvelope(sender im.UserID, c *im.CreateEnvelope) error {
	switch {
	case c.Shares == 0 || c.Shares > im.MaxShares:
		return im.Errorf(im.Invalid, "an envelope has 1 to %d shares", im.MaxShares)
	case len(c.To) == 0 || len(c.To) > im.MaxReceivers:
		return im.Errorf(im.Invalid, "an envelope goes to 1 to %d friends", im.MaxReceivers)
	case c.Rule > im.SplitRandom:
		return im.Errorf(im.Invalid, "unknown rule %d", c.Rule)
	case c.Lifetime != 0 && (c.Lifetime < im.MinLifetime || c.Lifetime > im.MaxLifetime):
		return im.Errorf(im.Invalid, "an envelope can be opened for %d to %d ms", im.MinLifetime, im.MaxLifetime)
	}
	if err := checkFunding(c.Key, c.Total, uint64(c.Shares), c.Text); err != nil {
		return err
	}
	seen := make(map[im.UserID]bool, len(c.To))
	for _, id := range c.To {
		if id == sender || seen[id] {
			return im.Errorf(im.Invalid, "an envelope goes to different friends, and not to its sender")
		}
		seen[id] = true
	}
	return nil
}

// checkFunding checks what all that costs money has in common.
func checkFunding(k im.Key, total im.Cents, shares uint64, text string) error {
	if err := k.Check(); err != nil {
		return err
	}
	if err := im.CheckMoney(total); err != nil {
		return err
	}
	if uint64(total) < shares {
		return im.Errorf(im.Invalid, "%d cents cannot be divided into %d shares of at least a cent", total, shares)
	}
	return im.CheckText(text)
}

func (u *user) mayWriteAll(to []im.UserID) error {
	for _, id := range to {
		if kind := mayWrite(u.pairs[im.User(id)]); kind != 0 {
			return refusalError(kind)
		}
	}
	return nil
}

func (u *user) createCampaign(tx *Tx, c *im.CreateCampaign) (im.Result, error) {
	if err := checkCampaign(c); err != nil {
		return nil, err
	}
	to := im.Campaign(im.CampaignOf(u.id, c.Key))
	f := funding{to: to, key: c.Key, cents: c.Total, text: c.Title,
		hash: commandHash(c.Total, c.Count, c.Rule, c.Rate, c.Start, c.End, c.Limit, c.Lease, c.Title)}
	d, err := u.mayFund(tx, &f)
	if err == nil && d == nil {
		if c.End <= tx.Now || c.End > tx.Now+2*im.MaxCampaignTime {
			return nil, im.Errorf(im.Invalid, "a campaign ends in the future, and not far ahead")
		}
		terms := &storev1.CampaignTerms{Sponsor: uint64(u.id), Name: c.Key.Name, Total: int64(c.Total), Count: c.Count, Rule: splitRule(c.Rule),
			Rate: c.Rate, StartMs: int64(c.Start), EndMs: int64(c.End), Limit: c.Limit, LeaseMs: int64(c.Lease), Title: c.Title}
		f.transfer = &storev1.Transfer{Event: moneyEvent(im.CampaignFunded), Campaign: terms}
		f.shown = wire.Money{Event: im.CampaignFunded, Total: c.Total, Shares: c.Count, Rule: c.Rule, Expires: c.End}
		d, err = u.fund(tx, &f)
	}
	if err != nil {
		return nil, err
	}
	return &im.CampaignCreated{Campaign: im.CampaignID(to.ID), Seq: d.seq}, nil
}

func checkCampaign(c *im.CreateCampaign) error {
	switch {
	case c.Count == 0 || c.Count > im.MaxCampaign:
		return im.Errorf(im.Invalid, "a campaign has 1 to %d envelopes", im.MaxCampaign)
	case c.Rate == 0 || c.Rate > im.MaxRate:
		return im.Errorf(im.Invalid, "a campaign deals 1 to %d envelopes per second", im.MaxRate)
	case c.Limit == 0 || c.Limit > im.MaxWins:
		return im.Errorf(im.Invalid, "a user may win 1 to %d envelopes", im.MaxWins)
	case c.Rule > im.SplitRandom:
		return im.Errorf(im.Invalid, "unknown rule %d", c.Rule)
	case c.Start <= 0 || c.Start >= c.End || c.End-c.Start > im.MaxCampaignTime:
		return im.Errorf(im.Invalid, "a campaign starts before it ends, and takes at most %d ms", im.MaxCampaignTime)
	case c.Lease < im.MinLease || c.Lease > im.MaxLease:
		return im.Errorf(im.Invalid, "envelopes are lent for %d to %d ms", im.MinLease, im.MaxLease)
	}
	return checkFunding(c.Key, c.Total, uint64(c.Count), c.Title)
}

func (u *user) withdraw(tx *Tx, c *im.Withdraw) (im.Result, error) {
	if err := checkFunding(c.Key, c.Cents, 1, c.Text); err != nil {
		return nil, err
	}
	id := im.WithdrawalOf(u.id, c.Key)
	f := funding{to: im.Payment(id), key: c.Key, cents: c.Cents, text: c.Text, hash: commandHash(c.Cents, c.Text)}
	d, err := u.mayFund(tx, &f)
	if err == nil && d == nil {
		terms := &storev1.PaymentTerms{Reference: c.Key.Name, User: uint64(u.id), Cents: int64(c.Cents), Text: c.Text, CreatedMs: int64(tx.Now)}
		f.transfer = &storev1.Transfer{Event: moneyEvent(im.Withdrawn), Payment: terms}
		f.shown = wire.Money{Event: im.Withdrawn, Expires: tx.Now}
		d, err = u.fund(tx, &f)
	}
	if err != nil {
		return nil, err
	}
	return &im.Withdrawal{Payment: id, Seq: d.seq}, nil
}

// funding is money on its way from the wallet to what it creates.
type funding struct {
	to     im.Addr
	key    im.Key
	cents  im.Cents
	hash   uint64
	peer   im.UserID
	device im.DeviceID
	text   string
	// shown is what devices see, transfer what the receiver gets.
	shown    wire.Money
	transfer *storev1.Transfer
}

// mayFund returns the dealing that an earlier command with the same key has
// made, or nil if this one may make it.
func (u *user) mayFund(tx *Tx, f *funding) (*dealing, error) {
	if p := u.pairs[f.to]; p != nil {
		if p.deal.hash != f.hash {
			return nil, im.Errorf(im.Conflict, "this key was used for something else")
		}
		if p.stopped() {
			return nil, errStopped()
		}
		return p.deal, nil
	}
	if err := f.key.CheckAge(tx.Now); err != nil {
		return nil, err
	}
	if balance, _ := u.balance(); f.cents > balance {
		return nil, im.Errorf(im.Insufficient, "the wallet has %d cents, and %d are needed", balance, f.cents)
	}
	return nil, nil
}

// fund takes money out of the wallet and sends it off, in one event.
func (u *user) fund(tx *Tx, f *funding) (*dealing, error) {
	m := f.shown
	m.Cents, m.Ref = -f.cents, f.to.ID
	m.Balance, m.Prev = u.wallet.balance-f.cents, u.wallet.statement
	f.transfer.Cents, f.transfer.UntilMs = int64(f.cents), int64(m.Expires)
	u.record(tx, &event{
		entry: wire.Entry{Kind: wire.EntryMoney, Peer: f.peer, Outgoing: true, Time: tx.Now, Device: f.device,
			Content: textContent(f.text), Money: &m},
		to: f.to, linkOut: nextLink, body: transferBody(BodyFund, tx.Now, f.transfer), sendHash: f.hash,
	})
	return u.pairs[f.to].deal, nil
}

func textContent(text string) im.Content {
	if text == "" {
		return im.Content{}
	}
	return im.Content{Type: im.ContentText, Body: []byte(text)}
}

// commandHash tells commands with the same key apart. It is never 0, and
// stored.
func commandHash(values ...any) uint64 {
	h := xxhash.New()
	for _, v := range values {
		fmt.Fprintf(h, "%v\x00", v)
	}
	return max(h.Sum64(), 1)
}

// takeMoney fills the event for money, or the notice of an envelope, that has
// come. It returns false when it cannot be taken yet: its sender keeps it.
func (u *user) takeMoney(tx *Tx, ev *event, m *Message) bool {
	t := transferIn(&m.Body)
	if t == nil || !isPurse(m.From.Kind) || m.Body.Kind == BodyFund {
		return false
	}
	until := im.Millis(t.UntilMs)
	if u.pairs[m.From] == nil && until+im.WalletMemory <= tx.Now {
		// It may be a repetition of what is forgotten.
		return false
	}
	change := im.Cents(t.Cents)
	balance, statement := u.balance()
	if change > im.MaxMoney-balance {
		return false
	}
	if m.Body.Kind == BodyNotice && u.mayReceive(u.pairs[im.User(im.UserID(t.User))]) != 0 {
		// Nothing to show; the dealing ends all the same.
		ev.body = Body{Kind: BodyNotice, Time: until}
		return true
	}
	shown := &wire.Money{Event: im.MoneyEvent(t.Event), Ref: m.From.ID, Expires: until}
	if change != 0 {
		shown.Cents, shown.Balance, shown.Prev = change, balance+change, statement
	}
	if e := t.Envelope; e != nil {
		shown.Total, shown.Shares, shown.Rule = im.Cents(e.Total), e.Shares, im.SplitRule(e.Rule)
	}
	ev.entry = wire.Entry{Kind: wire.EntryMoney, Time: m.Body.Time, Content: textContent(t.Text),
		Refusal: im.ErrorKind(t.ErrorKind), Money: shown}
	if u.pairs[im.User(im.UserID(t.User))] != nil {
		ev.entry.Peer = im.UserID(t.User)
	}
	return true
}

// lastWords are the events after which what the user created is history.
var lastWords = []im.MoneyEvent{im.EnvelopeFinished, im.CampaignFinished, im.MoneyReturned, im.PaidOut}

// evolveMoney is the part of evolve for money.
func (u *user) evolveMoney(ev *event) {
	m := ev.entry.Money
	if m.Cents != 0 {
		w := u.ownWallet()
		w.balance, w.statement = m.Balance, ev.seq
	}
	purse := ev.from
	if ev.linkOut != 0 {
		purse = ev.to
	}
	d := u.touch(purse).deal
	if d == nil {
		return
	}
	d.until = max(d.until, m.Expires)
	if ev.linkOut != 0 {
		d.seq, d.hash = ev.seq, ev.sendHash
	}
	d.finished = d.finished || slices.Contains(lastWords, m.Event)
}

// VisibleInStatement is what devices see of an entry of a user's statement, and
// the sequence of the entry before it.
func VisibleInStatement(e im.LogEntry) (visible []byte, prev im.Seq, err error) {
	if visible, err = Visible(e); err != nil {
		return nil, 0, err
	}
	var shown wire.Entry
	if err := shown.Unmarshal(visible); err != nil {
		return nil, 0, err
	}
	if shown.Money == nil || shown.Money.Cents == 0 {
		return nil, 0, im.Errorf(im.NotFound, "entry %d is not part of the statement", e.Seq)
	}
	return visible, shown.Money.Prev, nil
}
