package entity

import "github.com/skein-im/skein/internal/im"

// Message travels from one entity to another. It may be lost, repeated,
// delayed and reordered on the way.
type Message struct {
	From, To im.Addr
	// Seq is the message's number on the link From -> To; 0: none, the
	// message is an ack.
	Seq im.LinkSeq
	// Ack, when Seq is 0 or there is a Lineage, says that From has durably
	// taken every message of the link To -> From up to it.
	Ack  im.LinkSeq
	Body Body
	// Lineage is nil as long as both ends are in the first generation.
	Lineage *Lineage
	// At is when a traced message left, in nanoseconds since 1970; entities
	// neither set nor read it.
	At int64
}

// BodyKind says what a link message is about; values equal
// skein.store.v1.LinkKind.
type BodyKind uint8

// Kinds of link messages. Values are stored; never reuse one.
const (
	BodyMessage        BodyKind = 1
	BodyRefused        BodyKind = 2
	BodyContactRequest BodyKind = 3
	BodyContactAccept  BodyKind = 4
	BodyContactRefuse  BodyKind = 5
	BodyContactRemove  BodyKind = 6
	// The content of those about money is an encoded Transfer, without type.
	BodyFund   BodyKind = 7
	BodyNotice BodyKind = 8
	BodyCredit BodyKind = 9
	// BodyMoved says that From lives elsewhere, BodyLeaving that it is to be
	// carried on to its new home. They have no number, are neither stored nor
	// for entities, but for who carries messages between regions.
	BodyMoved   BodyKind = 10
	BodyLeaving BodyKind = 11
	// BodyNudge asks To to send again at once what it has for From: there is a
	// way again. It has no number either.
	BodyNudge BodyKind = 12
)

// Body is what a link message says.
type Body struct {
	Kind BodyKind
	// Error says why a message was refused.
	Error im.ErrorKind
	// Time is when the sender's mailbox accepted it.
	Time im.Millis
	// PairID numbers chat messages from one user to another. In contact
	// messages it is the last number of the other direction's link that
	// their sender had taken.
	PairID  uint64
	Content im.Content
	// Trace is 0 unless the message is traced. Its ack and its refusal carry
	// it too.
	Trace im.TraceID
}
