package client

import (
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// Words of the domain, the same as inside the server.
type (
	// UserID names a user; 0 is nobody.
	UserID = im.UserID
	// DeviceID numbers the devices of one user, from 1.
	DeviceID = im.DeviceID
	// Seq is a place in a timeline, from 1; 0 is before the first entry.
	Seq = im.Seq
	// ClientSeq numbers the sends of one device, from 1.
	ClientSeq = im.ClientSeq
	// Content is what a user wrote: a Type and a Body of at most MaxBody
	// bytes.
	Content = im.Content
	// ContentType says how to read a body.
	ContentType = im.ContentType
)

// Content types.
const (
	// ContentText is UTF-8 text.
	ContentText = im.ContentText
	// ContentCustom is whatever the clients agree on.
	ContentCustom = im.ContentCustom
)

// MaxBody is the most bytes a message's body may have.
const MaxBody = im.MaxBody

// Text is a text message's content.
func Text(s string) Content { return Content{Type: ContentText, Body: []byte(s)} }

// EntryKind says what an entry of the timeline is.
type EntryKind uint8

// The kinds of entries. A client may meet kinds it does not know.
const (
	// Message: Content was written, by Peer or, when Outgoing, to Peer.
	Message = EntryKind(wire.EntryMessage)
	// ContactStep: Contact says what happened between the user and Peer.
	ContactStep = EntryKind(wire.EntryContact)
	// Refused: Peer's mailbox did not take message PairID of this user;
	// Refusal says why.
	Refused = EntryKind(wire.EntryRefused)
	// MoneyStep: Money says what happened. Content is a greeting, a title or
	// a reference.
	MoneyStep = EntryKind(wire.EntryMoney)
	// Gone: the server no longer keeps what this device lacks up to Seq.
	Gone = EntryKind(wire.EntryGone)
	// Rewound: the server has lost everything after Seq, which is no entry of the
	// timeline itself: its store is gone, and what took its place lacks the end.
	// What this device has got after Seq nobody else has any more, and the
	// numbers come again with other entries. Keep Cursor and Generation anew.
	Rewound EntryKind = 255
)

// ContactEvent is a step between two users.
type ContactEvent uint8

// The contact events. Outgoing says which of the two did it.
const (
	ContactRequested = ContactEvent(wire.ContactRequested)
	ContactAccepted  = ContactEvent(wire.ContactAccepted)
	ContactRefused   = ContactEvent(wire.ContactRefused)
	ContactRemoved   = ContactEvent(wire.ContactRemoved)
	ContactBlocked   = ContactEvent(wire.ContactBlocked)
	ContactUnblocked = ContactEvent(wire.ContactUnblocked)
)

// Entry is one step of a user's timeline, the same on all of their devices.
type Entry struct {
	Seq  Seq
	Kind EntryKind
	// Peer is the other user of the conversation.
	Peer UserID
	// Outgoing: this user did it, on whichever device.
	Outgoing bool
	// Time is by the server's clock, to the millisecond.
	Time time.Time
	// PairID numbers the messages from one user to another, from 1, the
	// same on both sides.
	PairID uint64
	// Device and ClientSeq name the send of an outgoing message.
	Device    DeviceID
	ClientSeq ClientSeq
	Content   Content
	Contact   ContactEvent
	Refusal   ErrorKind
	Money     *Money
	// Trace is 0 unless the message is traced.
	Trace TraceID
}

// entryOf copies an entry out of the frame it came in.
func entryOf(e *wire.Entry) Entry {
	content := e.Content
	if len(content.Body) > 0 {
		content.Body = append([]byte(nil), content.Body...)
	}
	return Entry{
		Seq: e.Seq, Kind: EntryKind(e.Kind), Peer: e.Peer, Outgoing: e.Outgoing,
		Time: timeOf(e.Time), PairID: e.PairID, Device: e.Device, ClientSeq: e.ClientSeq,
		Content: content, Contact: ContactEvent(e.Contact), Refusal: e.Refusal, Money: moneyOf(e.Money),
		Trace: e.Trace,
	}
}

func timeOf(ms im.Millis) time.Time { return time.UnixMilli(int64(ms)) }

// Receipt says that a message is durable at the server.
type Receipt struct {
	// Seq is the message's place in the sender's timeline.
	Seq       Seq
	ClientSeq ClientSeq
	// PairID numbers the messages from this user to the receiver.
	PairID uint64
	// Time is by the server's clock.
	Time time.Time
}
