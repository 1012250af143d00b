package im

import (
	"crypto/sha256"
	"encoding/binary"
	"unicode/utf8"
)

// Cents is an amount of money. Balances and amounts are never negative;
// changes of a balance may be.
type Cents int64

// MaxMoney is the most that a wallet may hold and one command may move. Sums
// of two such amounts fit Cents with room to spare, and every JSON reader can
// hold them.
const MaxMoney Cents = 1<<53 - 1

// CheckMoney reports why an amount may not be moved.
func CheckMoney(c Cents) error {
	if c <= 0 {
		return Errorf(Invalid, "an amount has at least 1 cent")
	}
	if c > MaxMoney {
		return Errorf(Invalid, "an amount has at most %d cents", MaxMoney)
	}
	return nil
}

// EnvelopeID, CampaignID and PaymentID name entities that hold money outside
// of wallets. Each follows from the key that its creator chose, so that a
// repeated command finds what the first one made.
type (
	EnvelopeID uint64
	CampaignID uint64
	PaymentID  uint64
)

// Key names what a command creates, so that repeating the command is safe. A
// client draws a new one for everything that it wants once.
type Key struct {
	// Name has 1 to MaxKey bytes.
	Name string
	// Asked is when the client first wanted it, by its own clock, and stays
	// the same when it asks again: wallets forget what ended long ago, and
	// refuse as Stale what is too old to be known.
	Asked Millis
}

// EnvelopeOf is the envelope that a user creates with a key.
func EnvelopeOf(user UserID, k Key) EnvelopeID { return EnvelopeID(k.hash("envelope", uint64(user))) }

// CampaignOf is the campaign that a user sponsors with a key.
func CampaignOf(sponsor UserID, k Key) CampaignID {
	return CampaignID(k.hash("campaign", uint64(sponsor)))
}

// WithdrawalOf is the payment that a user withdraws with a key.
func WithdrawalOf(user UserID, k Key) PaymentID { return PaymentID(k.hash("payment", uint64(user))) }

// TopUpOf is the payment that an operator, or a payment service, makes under a
// reference of its own. Payments are never forgotten, so it needs no time.
func TopUpOf(reference string) PaymentID { return PaymentID(Key{Name: reference}.hash("payment", 0)) }

// hash is part of the stored format. Two keys with the same hash are told
// apart where the money arrives, and the later one gets it back.
func (k Key) hash(what string, owner uint64) uint64 {
	b := binary.BigEndian.AppendUint64([]byte(what), owner)
	b = binary.BigEndian.AppendUint64(b, uint64(k.Asked))
	sum := sha256.Sum256(append(b, k.Name...))
	return max(binary.BigEndian.Uint64(sum[:8]), 1)
}

// Envelope, Campaign and Payment are the addresses of these entities.
func Envelope(id EnvelopeID) Addr { return Addr{Kind: KindEnvelope, ID: uint64(id)} }

// Campaign is the address of a campaign.
func Campaign(id CampaignID) Addr { return Addr{Kind: KindCampaign, ID: uint64(id)} }

// Payment is the address of a payment.
func Payment(id PaymentID) Addr { return Addr{Kind: KindPayment, ID: uint64(id)} }

// Limits of money commands.
const (
	// MaxKey is the most bytes a key's name may have.
	MaxKey = 64
	// KeyAge is how long after Asked a key may be used for the first time,
	// KeyAhead how far the client's clock may be ahead.
	KeyAge   Millis = 24 * 3600 * 1000
	KeyAhead Millis = 10 * 60 * 1000
	// MaxShares is the most shares an envelope may have, MaxReceivers to how
	// many friends one may go.
	MaxShares    = 500
	MaxReceivers = 500
	// MaxEnvelopeText is the most bytes a greeting or a payment's reference
	// may have.
	MaxEnvelopeText = 256
	// DefaultLifetime is how long an envelope can be opened unless its
	// sender says otherwise; MinLifetime and MaxLifetime bound it.
	DefaultLifetime Millis = 24 * 3600 * 1000
	MinLifetime     Millis = 1000
	MaxLifetime     Millis = 30 * 24 * 3600 * 1000
	// MaxCampaign is the most envelopes of a campaign, MaxRate how many may
	// become available per second.
	MaxCampaign = 10_000_000
	MaxRate     = 1_000_000
	// MaxWins is the most that a campaign's limit per user may be.
	MaxWins = 1000
	// MaxCampaignTime is how long a campaign may last, and how far ahead of
	// its start it may be created.
	MaxCampaignTime Millis = 30 * 24 * 3600 * 1000
	// MinLease and MaxLease bound how long a campaign lends an envelope to a
	// SET.
	MinLease Millis = 100
	MaxLease Millis = 600_000
	// MaxSets is how many SETs a campaign deals to at a time; MaxWant how
	// many envelopes one may ask for at once.
	MaxSets = 4096
	MaxWant = 4096
	// SetSilence is how long after its last request a SET still gets its
	// turn.
	SetSilence Millis = 3000
	// WalletMemory is how long after the end of an envelope, campaign or
	// payment a wallet remembers having dealt with it.
	WalletMemory Millis = 30 * 24 * 3600 * 1000
	// MaxStatementEntries bounds one page of a statement.
	MaxStatementEntries = 200
)

// Check reports why a key is not acceptable.
func (k Key) Check() error {
	if k.Name == "" || len(k.Name) > MaxKey || !utf8.ValidString(k.Name) {
		return Errorf(Invalid, "a key's name is UTF-8 text of 1 to %d bytes", MaxKey)
	}
	if k.Asked <= 0 {
		return Errorf(Invalid, "a key says when it was first asked for")
	}
	return nil
}

// CheckAge reports why a key may not be used for the first time.
func (k Key) CheckAge(now Millis) error {
	if k.Asked > now+KeyAhead {
		return Errorf(Invalid, "the key was asked for in the future; is the clock right?")
	}
	if k.Asked <= now-KeyAge {
		return Errorf(Stale, "this was first asked for so long ago that it is not known whether it happened; it did not happen now")
	}
	return nil
}

// CheckText reports why a greeting or a reference is not acceptable.
func CheckText(text string) error {
	if len(text) > MaxEnvelopeText {
		return Errorf(TooLarge, "the text has at most %d bytes", MaxEnvelopeText)
	}
	if !utf8.ValidString(text) {
		return Errorf(Invalid, "the text must be valid UTF-8")
	}
	return nil
}
