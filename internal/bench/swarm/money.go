package swarm

import "github.com/skein-im/skein/internal/im"

// Friends is how many friends a sender of envelopes has; the sender and they
// are four users whose numbers follow each other.
const Friends = 3

const group = Friends + 1

// Sender is the number of the i-th sender's connection. Its place among the
// four changes, so that senders do not all fall to the same member.
func Sender(i int) int { return i*group + i%group }

// FriendsOf are the numbers of those to whom a sender sends.
func FriendsOf(number int) []int {
	first := number / group * group
	list := make([]int, 0, Friends)
	for n := first; n < first+group; n++ {
		if n != number {
			list = append(list, n)
		}
	}
	return list
}

// FriendsAmong are the friends of a connection's user when there are so many
// senders: those of a sender, or the sender.
func FriendsAmong(senders, number int) []int {
	i := number / group
	switch {
	case i >= senders:
		return nil
	case number == Sender(i):
		return FriendsOf(number)
	}
	return []int{Sender(i)}
}

// MoneyStatus is what came of shakes and envelopes, by what the devices were
// told and by what their timelines say. What is in cents has Cents in its name.
type MoneyStatus struct {
	// Nothing, Won, Limited, Closed and Busy are outcomes of shakes.
	Nothing  uint64   `json:"nothing"`
	Won      uint64   `json:"won"`
	WonCents im.Cents `json:"won_cents"`
	Limited  uint64   `json:"limited"`
	Closed   uint64   `json:"closed"`
	Busy     uint64   `json:"busy"`
	// Paid wins have arrived in the wallets.
	Paid      uint64   `json:"paid"`
	PaidCents im.Cents `json:"paid_cents"`

	// Sent envelopes were accepted, Received ones have come to somebody who
	// may open them, Opened is how many have heard what was in their share,
	// Opening how many have not yet.
	Sent        uint64   `json:"sent"`
	SentCents   im.Cents `json:"sent_cents"`
	Received    uint64   `json:"received"`
	Opened      uint64   `json:"opened"`
	OpenedCents im.Cents `json:"opened_cents"`
	Opening     int      `json:"opening"`
	// Taken shares have arrived in the wallets.
	Taken      uint64   `json:"taken"`
	TakenCents im.Cents `json:"taken_cents"`
	// Repeated calls the server was too busy for, or they lost their
	// connection.
	Repeated uint64 `json:"repeated"`
}

func (s *MoneyStatus) add(o *MoneyStatus) {
	s.Nothing += o.Nothing
	s.Won += o.Won
	s.WonCents += o.WonCents
	s.Limited += o.Limited
	s.Closed += o.Closed
	s.Busy += o.Busy
	s.Paid += o.Paid
	s.PaidCents += o.PaidCents
	s.Sent += o.Sent
	s.SentCents += o.SentCents
	s.Received += o.Received
	s.Opened += o.Opened
	s.OpenedCents += o.OpenedCents
	s.Opening += o.Opening
	s.Taken += o.Taken
	s.TakenCents += o.TakenCents
	s.Repeated += o.Repeated
}

// Second is what happened in one second since the start of a load.
type Second struct {
	Sent     uint32 `json:"s,omitempty"`
	Answered uint32 `json:"a,omitempty"`
	Won      uint32 `json:"w,omitempty"`
	Opened   uint32 `json:"o,omitempty"`
}

func (s *Second) add(o *Second) {
	s.Sent += o.Sent
	s.Answered += o.Answered
	s.Won += o.Won
	s.Opened += o.Opened
}

// Wallet is what a user believes to have.
type Wallet struct {
	// Number is that of the user's connection.
	Number  int      `json:"n"`
	Balance im.Cents `json:"b"`
}

// Envelope is one that was sent.
type Envelope struct {
	// Number is that of the sender's connection.
	Number int           `json:"n"`
	ID     im.EnvelopeID `json:"id"`
	Cents  im.Cents      `json:"c"`
}
