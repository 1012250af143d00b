package im

import "context"

// SplitRule says how a sum is divided among shares.
type SplitRule uint8

// Split rules; values equal skein.v1.SplitRule.
const (
	// SplitEqual gives every share the same, and the cents that are left
	// over to shares drawn at random.
	SplitEqual SplitRule = 0
	// SplitRandom draws one of all splits into shares of at least a cent,
	// each as likely as any other.
	SplitRandom SplitRule = 1
)

// MoneyEvent says what happened to a wallet, or what its user is shown of
// money; values equal skein.v1.MoneyEvent.
type MoneyEvent uint8

// Money events; skein.v1.MoneyEvent documents each.
const (
	EnvelopeSent     MoneyEvent = 1
	EnvelopeReceived MoneyEvent = 2
	EnvelopeOpened   MoneyEvent = 3
	EnvelopeFinished MoneyEvent = 4
	CampaignFunded   MoneyEvent = 5
	CampaignWon      MoneyEvent = 6
	CampaignFinished MoneyEvent = 7
	ToppedUp         MoneyEvent = 8
	Withdrawn        MoneyEvent = 9
	MoneyReturned    MoneyEvent = 10
	PaidOut          MoneyEvent = 11
)

// GetWallet asks a user for the balance. Result: *WalletInfo.
type GetWallet struct{}

// WalletInfo describes a wallet. Every value is durable.
type WalletInfo struct {
	Balance Cents
	// LastSeq is the newest entry of the statement; 0: there is none. Each
	// entry names the one before it.
	LastSeq Seq
}

// CreateEnvelope moves money from the user's wallet into a new envelope for
// friends. Repeating it with the same Key gives the first answer.
// Result: *EnvelopeCreated.
type CreateEnvelope struct {
	Key Key
	// Device is the one that asks; 0: none in particular.
	Device DeviceID
	// To are the friends who may open it; each gets a timeline entry.
	To     []UserID
	Total  Cents
	Shares uint32
	Rule   SplitRule
	// Text is a greeting.
	Text string
	// Lifetime is how long it can be opened; 0: DefaultLifetime.
	Lifetime Millis
}

// EnvelopeCreated answers CreateEnvelope.
type EnvelopeCreated struct {
	Envelope EnvelopeID
	// Seq is the timeline entry of the debit.
	Seq     Seq
	Expires Millis
}

// CreateCampaign moves money from the sponsor's wallet into a new campaign.
// The caller sees to it that an operator asks. Repeating it with the same Key
// gives the first answer. Result: *CampaignCreated.
type CreateCampaign struct {
	Key   Key
	Total Cents
	// Count is how many envelopes the total is divided into by Rule.
	Count uint32
	Rule  SplitRule
	// Rate is how many envelopes become available per second from Start on;
	// those that nobody has won at End return to the sponsor.
	Rate       uint32
	Start, End Millis
	// Limit is how many a user may win.
	Limit uint32
	// Lease is for how long an envelope is lent to a SET.
	Lease Millis
	// Title is shown to winners.
	Title string
}

// CampaignCreated answers CreateCampaign.
type CampaignCreated struct {
	Campaign CampaignID
	Seq      Seq
}

// TopUp brings money from outside into a wallet: sent to the payment TopUpOf(
// Reference), not to the user, by an operator or a payment service only. The
// caller has asked whether the user exists. Repeating it with the same
// Reference gives the first answer, for ever. Result: *PaymentInfo.
type TopUp struct {
	// Reference names the payment to whoever makes it: 1 to MaxKey bytes.
	Reference string
	User      UserID
	Cents     Cents
	// Text is shown in the statement.
	Text string
}

// Withdraw takes money out of the user's wallet into a payment, where it waits
// for Settle. Repeating it with the same Key gives the first answer.
// Result: *Withdrawal.
type Withdraw struct {
	Key   Key
	Cents Cents
	// Text is shown in the statement and told to whoever pays out.
	Text string
}

// Withdrawal answers Withdraw.
type Withdrawal struct {
	Payment PaymentID
	Seq     Seq
}

// Settle ends a withdrawal: the money has been paid out, or it returns to the
// wallet. Sent to a payment. Repeating it is harmless; the other decision is a
// Conflict. Result: *PaymentInfo.
type Settle struct{ Paid bool }

// GetPayment asks a payment for its state. Result: *PaymentInfo.
type GetPayment struct{}

// PaymentState says where a payment stands.
type PaymentState uint8

// Payment states; values are stored.
const (
	// PaymentToppedUp: money came in.
	PaymentToppedUp PaymentState = 1
	// PaymentHeld: money left a wallet and waits for Settle.
	PaymentHeld PaymentState = 2
	// PaymentPaid: it was paid out.
	PaymentPaid PaymentState = 3
	// PaymentReturned: it went back to the wallet.
	PaymentReturned PaymentState = 4
)

// PaymentInfo describes a payment.
type PaymentInfo struct {
	Payment PaymentID
	// Reference is that of TopUp, or the name of Withdraw's key.
	Reference string
	User      UserID
	Cents     Cents
	Text      string
	State     PaymentState
	Time      Millis
}

// StatementReader is what a mailbox offers besides Mailbox for statements.
type StatementReader interface {
	// ReadStatement returns durable entries of a user's statement with
	// sequences up to and including from, newest first, and the sequence to
	// continue from (0: none left).
	ReadStatement(ctx context.Context, user UserID, from Seq, limit int) ([][]byte, Seq, error)
}

func (*GetWallet) command()      {}
func (*CreateEnvelope) command() {}
func (*CreateCampaign) command() {}
func (*TopUp) command()          {}
func (*Withdraw) command()       {}
func (*Settle) command()         {}
func (*GetPayment) command()     {}
