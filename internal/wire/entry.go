package wire

import "github.com/skein-im/skein/internal/im"

// EntryKind says what a timeline entry is; values equal skein.v1.EntryKind.
type EntryKind = uint8

// The kinds of entries.
const (
	EntryFiller  EntryKind = 0
	EntryMessage EntryKind = 1
	EntryContact EntryKind = 2
	EntryRefused EntryKind = 3
	EntryMoney   EntryKind = 4
	EntryGone    EntryKind = 5
)

// ContactEvent says what happened between two users; values equal
// skein.v1.ContactEvent.
type ContactEvent = uint8

// The contact events.
const (
	ContactRequested ContactEvent = 1
	ContactAccepted  ContactEvent = 2
	ContactRefused   ContactEvent = 3
	ContactRemoved   ContactEvent = 4
	ContactBlocked   ContactEvent = 5
	ContactUnblocked ContactEvent = 6
)

// Entry is skein.v1.Entry, one step of a user's timeline.
type Entry struct {
	Seq       im.Seq
	Kind      EntryKind
	Peer      im.UserID
	Outgoing  bool
	Time      im.Millis
	PairID    uint64
	Device    im.DeviceID
	ClientSeq im.ClientSeq
	Content   im.Content
	Contact   ContactEvent
	Refusal   im.ErrorKind
	// Money is nil unless the entry is about it.
	Money *Money
	// Trace is 0 unless the message is traced.
	Trace im.TraceID
}

// SizeEntry is how many bytes AppendEntry appends.
func SizeEntry(m *Entry) int {
	return sizeUint(uint64(m.Seq)) +
		sizeUint(uint64(m.Kind)) +
		sizeUint(uint64(m.Peer)) +
		sizeBool(m.Outgoing) +
		sizeUint(uint64(m.Time)) +
		sizeUint(m.PairID) +
		sizeUint(uint64(m.Device)) +
		sizeUint(uint64(m.ClientSeq)) +
		sizeContent(&m.Content) +
		sizeUint(uint64(m.Contact)) +
		sizeUint(uint64(m.Refusal)) +
		sizeMoney(m.Money) +
		sizeTrace(m.Trace)
}

// AppendEntry appends the encoded entry.
func AppendEntry(dst []byte, m *Entry) []byte {
	dst = appendUint(dst, 1, uint64(m.Seq))
	dst = appendUint(dst, 2, uint64(m.Kind))
	dst = appendUint(dst, 3, uint64(m.Peer))
	dst = appendBool(dst, 4, m.Outgoing)
	dst = appendUint(dst, 5, uint64(m.Time))
	dst = appendUint(dst, 6, m.PairID)
	dst = appendUint(dst, 7, uint64(m.Device))
	dst = appendUint(dst, 8, uint64(m.ClientSeq))
	dst = appendContent(dst, 9, &m.Content)
	dst = appendUint(dst, 10, uint64(m.Contact))
	dst = appendUint(dst, 11, uint64(m.Refusal))
	dst = appendMoney(dst, 12, m.Money)
	return appendTrace(dst, m.Trace)
}

// Unmarshal reads an encoded entry; Content.Body aliases b.
func (m *Entry) Unmarshal(b []byte) error {
	*m = Entry{}
	r := reader{rest: b}
	for r.next() {
		switch r.key {
		case 1<<3 | varint:
			m.Seq = im.Seq(r.u)
		case 2<<3 | varint:
			m.Kind = r.u8()
		case 3<<3 | varint:
			m.Peer = im.UserID(r.u)
		case 4<<3 | varint:
			m.Outgoing = r.u != 0
		case 5<<3 | varint:
			m.Time = im.Millis(r.u)
		case 6<<3 | varint:
			m.PairID = r.u
		case 7<<3 | varint:
			m.Device = im.DeviceID(r.u32())
		case 8<<3 | varint:
			m.ClientSeq = im.ClientSeq(r.u)
		case 9<<3 | bytes:
			r.nest(readContent(r.data, &m.Content))
		case 10<<3 | varint:
			m.Contact = r.u8()
		case 11<<3 | varint:
			m.Refusal = im.ErrorKind(r.u8())
		case 12<<3 | bytes:
			if m.Money == nil {
				m.Money = new(Money)
			}
			r.nest(readMoney(r.data, m.Money))
		case keyTrace:
			m.Trace = im.TraceID(r.u)
		}
	}
	return r.end("Entry")
}

func contentAbsent(c *im.Content) bool { return c.Type == 0 && len(c.Body) == 0 }

// contentLen is the size of a Content without its own key and length.
func contentLen(c *im.Content) int {
	n := sizeUint(uint64(c.Type))
	if len(c.Body) > 0 {
		n += sizeField(len(c.Body))
	}
	return n
}

func sizeContent(c *im.Content) int {
	if contentAbsent(c) {
		return 0
	}
	return sizeField(contentLen(c))
}

func appendContent(dst []byte, num int, c *im.Content) []byte {
	if contentAbsent(c) {
		return dst
	}
	dst = appendOpen(dst, num, contentLen(c))
	dst = appendUint(dst, 1, uint64(c.Type))
	if len(c.Body) > 0 {
		dst = append(appendOpen(dst, 2, len(c.Body)), c.Body...)
	}
	return dst
}

// readContent reads into c, over what an earlier occurrence of the field left
// there: repeated occurrences of a message field are merged.
func readContent(b []byte, c *im.Content) bool {
	r := reader{rest: b}
	for r.next() {
		switch r.key {
		case 1<<3 | varint:
			c.Type = im.ContentType(r.u8())
		case 2<<3 | bytes:
			c.Body = r.data
		}
	}
	return !r.bad
}
