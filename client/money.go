package client

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	rpc "github.com/skein-im/skein/gen/skein/v1/skeinv1connect"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// Words of money.
type (
	// Cents is an amount of money, or a change of a balance.
	Cents = im.Cents
	// Key makes repeating a request safe. Make one with NewKey for
	// everything that is wanted once, keep it until the answer has come, and
	// use it again after an error that is Temporary.
	Key = im.Key
	// SplitRule says how a sum is divided among shares.
	SplitRule = im.SplitRule
	// MoneyEvent says what an entry tells of money.
	MoneyEvent = im.MoneyEvent
)

// Split rules.
const (
	// SplitEqual gives every share the same.
	SplitEqual = im.SplitEqual
	// SplitRandom draws one of all splits, each as likely as any other.
	SplitRandom = im.SplitRandom
)

// The events of entries of kind MoneyStep.
const (
	EnvelopeSent     = im.EnvelopeSent
	EnvelopeReceived = im.EnvelopeReceived
	EnvelopeOpened   = im.EnvelopeOpened
	EnvelopeFinished = im.EnvelopeFinished
	CampaignFunded   = im.CampaignFunded
	CampaignWon      = im.CampaignWon
	CampaignFinished = im.CampaignFinished
	ToppedUp         = im.ToppedUp
	Withdrawn        = im.Withdrawn
	MoneyReturned    = im.MoneyReturned
	PaidOut          = im.PaidOut
)

// NewKey draws a key.
func NewKey() Key {
	var b [18]byte
	// It never fails.
	_, _ = rand.Read(b[:])
	return Key{Name: base64.RawURLEncoding.EncodeToString(b[:]), Asked: im.Millis(time.Now().UnixMilli())}
}

// Money is what an entry of kind MoneyStep says.
type Money struct {
	Event MoneyEvent
	// Cents is what the balance changed by; 0: the entry is not part of the
	// statement. Balance is what it was then.
	Cents, Balance Cents
	// Ref is the envelope, campaign or payment.
	Ref uint64
	// Total and Shares are of the whole envelope or campaign.
	Total  Cents
	Shares uint32
	Rule   SplitRule
	// Expires is until when it can be opened or won.
	Expires time.Time
}

func moneyOf(m *wire.Money) *Money {
	if m == nil {
		return nil
	}
	return &Money{
		Event: m.Event, Cents: m.Cents, Balance: m.Balance, Ref: m.Ref, Total: m.Total, Shares: m.Shares, Rule: m.Rule,
		Expires: timeOf(m.Expires),
	}
}

func moneyOfProto(m *skeinv1.Money) *Money {
	if m == nil {
		return nil
	}
	return &Money{
		Event: MoneyEvent(m.GetEvent()), Cents: Cents(m.GetCents()), Balance: Cents(m.GetBalance()), Ref: m.GetRef(),
		Total: Cents(m.GetTotal()), Shares: m.GetShares(), Rule: SplitRule(m.GetRule()),
		Expires: timeOf(im.Millis(m.GetExpiresMs())),
	}
}

func protoKey(k Key) *skeinv1.Key { return &skeinv1.Key{Name: k.Name, AskedMs: int64(k.Asked)} }

// Balance is what the wallet holds.
func (m Methods) Balance(ctx context.Context) (Cents, error) {
	res := new(skeinv1.GetWalletResponse)
	err := m.caller.Call(ctx, rpc.WalletServiceGetProcedure, &skeinv1.GetWalletRequest{}, res)
	return Cents(res.GetBalance()), err
}

// Statement pages backwards through what changed the balance, newest first.
// before is where the last page ended, 0 for the newest; next is what to pass
// for the page before, 0 when there is none. limit is at most 200; 0: 50.
func (m Methods) Statement(ctx context.Context, before Seq, limit int) (entries []Entry, next Seq, err error) {
	res := new(skeinv1.StatementResponse)
	err = m.caller.Call(ctx, rpc.WalletServiceStatementProcedure,
		&skeinv1.StatementRequest{Before: uint64(before), Limit: uint32(max(0, limit))}, res)
	return entriesOf(res.GetEntries()), Seq(res.GetBefore()), err
}

// Withdraw takes money out of the wallet, to be paid out by the operator.
func (m Methods) Withdraw(ctx context.Context, key Key, cents Cents, text string) (payment uint64, err error) {
	res := new(skeinv1.WithdrawResponse)
	err = m.caller.Call(ctx, rpc.WalletServiceWithdrawProcedure,
		&skeinv1.WithdrawRequest{Key: protoKey(key), Cents: int64(cents), Text: text}, res)
	return res.GetPayment(), err
}

// Envelope is what SendEnvelope sends.
type Envelope struct {
	// To are friends; each may open one share.
	To     []UserID
	Total  Cents
	Shares int
	Rule   SplitRule
	// Greeting has at most 256 bytes.
	Greeting string
	// Lifetime is how long it can be opened; 0: a day.
	Lifetime time.Duration
}

// SendEnvelope moves money from the wallet into an envelope for friends.
func (m Methods) SendEnvelope(ctx context.Context, key Key, e Envelope) (*skeinv1.SendEnvelopeResponse, error) {
	to := make([]uint64, len(e.To))
	for i, u := range e.To {
		to[i] = uint64(u)
	}
	res := new(skeinv1.SendEnvelopeResponse)
	return res, m.caller.Call(ctx, rpc.EnvelopeServiceSendProcedure, &skeinv1.SendEnvelopeRequest{
		Key: protoKey(key), To: to, Total: int64(e.Total), Shares: uint32(max(0, e.Shares)), Rule: skeinv1.SplitRule(e.Rule),
		Greeting: e.Greeting, LifetimeMs: e.Lifetime.Milliseconds(),
	}, res)
}

// OpenEnvelope opens one share. The money arrives in the wallet right after,
// with an entry in the timeline. Repeating it gives the first answer.
func (m Methods) OpenEnvelope(ctx context.Context, envelope uint64) (Cents, error) {
	res := new(skeinv1.OpenEnvelopeResponse)
	err := m.caller.Call(ctx, rpc.EnvelopeServiceOpenProcedure, &skeinv1.OpenEnvelopeRequest{Envelope: envelope}, res)
	return Cents(res.GetCents()), err
}

// EnvelopeInfo tells sender and receivers what became of an envelope.
func (m Methods) EnvelopeInfo(ctx context.Context, envelope uint64) (*skeinv1.GetEnvelopeResponse, error) {
	res := new(skeinv1.GetEnvelopeResponse)
	return res, m.caller.Call(ctx, rpc.EnvelopeServiceGetProcedure, &skeinv1.GetEnvelopeRequest{Envelope: envelope}, res)
}
