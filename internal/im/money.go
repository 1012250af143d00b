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
		return Errorf(TooLarge, "an amount has at most %d cents", MaxMoney)
	}
	return nil
}

// EnvelopeID, CampaignID and PaymentID name entities that hold money outside
// of wallets. Each follows from the key that its creator chose, so that a
// repeated command finds what the first one made, however long ago.
type (
	EnvelopeID uint64
	CampaignID uint64
	PaymentID  uint64
)

// EnvelopeOf is the envelope that a user creates with a key.
func EnvelopeOf(user UserID, key string) EnvelopeID {
	return EnvelopeID(hashKey("envelope", user, key))
}

// CampaignOf is the campaign that a user sponsors with a key.
func CampaignOf(sponsor UserID, key string) CampaignID {
	return CampaignID(hashKey("campaign", sponsor, key))
}

// PaymentOf is the payment that a payment service, or an operator, knows by a
// key.
func PaymentOf(key string) PaymentID { return PaymentID(hashKey("payment", 0, key)) }

// hashKey is part of the stored format. Two keys with the same hash are told
// apart where the money arrives, and the later one gets it back.
func hashKey(what string, user UserID, key string) uint64 {
	b := binary.BigEndian.AppendUint64([]byte(what), uint64(user))
	sum := sha256.Sum256(append(b, key...))
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
	// MaxKey is the most bytes an idempotency key may have.
	MaxKey = 64
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
	// MaxCampaign is the most envelopes of a campaign.
	MaxCampaign = 10_000_000
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

// CheckKey reports why an idempotency key is not acceptable.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKey || !utf8.ValidString(key) {
		return Errorf(Invalid, "a key is UTF-8 text of 1 to %d bytes", MaxKey)
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
