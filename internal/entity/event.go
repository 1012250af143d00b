package entity

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// event is one step of a user: what its log keeps. Its encoding is that of
// skein.store.v1.Event, by hand because every message passes through it
// twice.
type event struct {
	seq im.Seq
	// entry is what devices see, unless entry.Kind is filler.
	entry wire.Entry
	// prev is the entry before this one in the same conversation.
	prev im.Seq
	// recvID is the user's recv_id after this event.
	recvID uint64
	// from and linkIn name the link message that caused the event.
	from   im.Addr
	linkIn im.LinkSeq
	// to and linkOut name the link message that the event sends. Its body
	// is the entry's, unless body says otherwise. Without one, body is what
	// was received, where the entry does not tell it.
	to      im.Addr
	linkOut im.LinkSeq
	body    Body
	// refused remembers a send that got a final no.
	refused refusedSend
	// sendHash is of receiver and content of a device's send.
	sendHash uint64
}

type refusedSend struct {
	device    im.DeviceID
	clientSeq im.ClientSeq
	kind      im.ErrorKind
}

// Field numbers of skein.store.v1.Event.
const (
	fieldEntry    = 1
	fieldPrev     = 2
	fieldRecvID   = 3
	fieldFrom     = 4
	fieldLinkIn   = 5
	fieldTo       = 6
	fieldLinkOut  = 7
	fieldBody     = 8
	fieldRefused  = 9
	fieldSendHash = 10
)

// encode returns the event's bytes and, within them, those of the entry.
func (ev *event) encode() (value, visible []byte) {
	if ev.entry.Kind == wire.EntryFiller {
		b := ev.encodeRest(make([]byte, 0, 64+len(ev.body.Content.Body)))
		return b, wire.AppendEntry(nil, &wire.Entry{Seq: ev.seq})
	}
	size := wire.SizeEntry(&ev.entry)
	b := make([]byte, 0, size+64+len(ev.body.Content.Body))
	b = protowire.AppendTag(b, fieldEntry, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	start := len(b)
	b = wire.AppendEntry(b, &ev.entry)
	b = ev.encodeRest(b)
	return b, b[start : start+size : start+size]
}

func (ev *event) encodeRest(b []byte) []byte {
	b = appendUint(b, fieldPrev, uint64(ev.prev))
	b = appendUint(b, fieldRecvID, ev.recvID)
	if ev.linkIn != 0 {
		b = appendAddr(b, fieldFrom, ev.from)
		b = appendUint(b, fieldLinkIn, uint64(ev.linkIn))
	}
	if ev.linkOut != 0 {
		b = appendAddr(b, fieldTo, ev.to)
		b = appendUint(b, fieldLinkOut, uint64(ev.linkOut))
	}
	if ev.body.Kind != 0 {
		b = appendBody(b, fieldBody, &ev.body)
	}
	if ev.refused.kind != 0 {
		b = appendRefused(b, fieldRefused, ev.refused)
	}
	if ev.sendHash != 0 {
		b = protowire.AppendTag(b, fieldSendHash, protowire.Fixed64Type)
		b = protowire.AppendFixed64(b, ev.sendHash)
	}
	return b
}

func appendUint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}

func sizeUint(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

func appendAddr(b []byte, num protowire.Number, a im.Addr) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(sizeUint(uint64(a.Kind))+sizeUint(a.ID)))
	b = appendUint(b, 1, uint64(a.Kind))
	return appendUint(b, 2, a.ID)
}

func appendBody(b []byte, num protowire.Number, m *Body) []byte {
	var content []byte
	if m.Content.Type != 0 || len(m.Content.Body) > 0 {
		content = appendUint(nil, 1, uint64(m.Content.Type))
		if len(m.Content.Body) > 0 {
			content = protowire.AppendTag(content, 2, protowire.BytesType)
			content = protowire.AppendBytes(content, m.Content.Body)
		}
	}
	p := appendUint(nil, 1, uint64(m.Kind))
	p = appendUint(p, 2, uint64(m.Time))
	p = appendUint(p, 3, m.PairID)
	if content != nil {
		p = protowire.AppendTag(p, 4, protowire.BytesType)
		p = protowire.AppendBytes(p, content)
	}
	p = appendUint(p, 5, uint64(m.Error))
	if m.Trace != 0 {
		p = protowire.AppendTag(p, 6, protowire.Fixed64Type)
		p = protowire.AppendFixed64(p, uint64(m.Trace))
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendBytes(b, p)
}

func appendRefused(b []byte, num protowire.Number, r refusedSend) []byte {
	p := appendUint(nil, 1, uint64(r.device))
	p = appendUint(p, 2, uint64(r.clientSeq))
	p = appendUint(p, 3, uint64(r.kind))
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendBytes(b, p)
}

// decode reads the event of a log entry. It keeps references to e.Value.
func (ev *event) decode(e im.LogEntry) error {
	*ev = event{seq: e.Seq}
	err := rangeFields(e.Value, func(num protowire.Number, v uint64, b []byte) error {
		switch num {
		case fieldEntry:
			return ev.entry.Unmarshal(b)
		case fieldPrev:
			ev.prev = im.Seq(v)
		case fieldRecvID:
			ev.recvID = v
		case fieldFrom:
			return decodeAddr(b, &ev.from)
		case fieldLinkIn:
			ev.linkIn = im.LinkSeq(v)
		case fieldTo:
			return decodeAddr(b, &ev.to)
		case fieldLinkOut:
			ev.linkOut = im.LinkSeq(v)
		case fieldBody:
			return decodeBody(b, &ev.body)
		case fieldRefused:
			return decodeRefused(b, &ev.refused)
		case fieldSendHash:
			ev.sendHash = v
		}
		return nil
	})
	if err == nil && ev.entry.Kind == wire.EntryMoney && ev.entry.Money == nil {
		return errDamaged
	}
	return err
}

// rangeFields calls fn for every field of a protobuf message: v holds varint
// and fixed values, b length-delimited ones.
func rangeFields(p []byte, fn func(num protowire.Number, v uint64, b []byte) error) error {
	for len(p) > 0 {
		num, typ, n := protowire.ConsumeTag(p)
		if n < 0 || num > protowire.MaxValidNumber {
			return errDamaged
		}
		p = p[n:]
		var v uint64
		var b []byte
		switch typ {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(p)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(p)
		case protowire.BytesType:
			b, n = protowire.ConsumeBytes(p)
		default:
			n = protowire.ConsumeFieldValue(num, typ, p)
		}
		if n < 0 {
			return errDamaged
		}
		p = p[n:]
		if err := fn(num, v, b); err != nil {
			return err
		}
	}
	return nil
}

var errDamaged = im.Errorf(im.Internal, "a stored value cannot be read")

func decodeAddr(p []byte, a *im.Addr) error {
	return rangeFields(p, func(num protowire.Number, v uint64, _ []byte) error {
		switch num {
		case 1:
			a.Kind = im.Kind(v)
		case 2:
			a.ID = v
		}
		return nil
	})
}

func decodeBody(p []byte, m *Body) error {
	return rangeFields(p, func(num protowire.Number, v uint64, b []byte) error {
		switch num {
		case 1:
			m.Kind = BodyKind(v)
		case 2:
			m.Time = im.Millis(v)
		case 3:
			m.PairID = v
		case 4:
			return decodeContent(b, &m.Content)
		case 5:
			m.Error = im.ErrorKind(v)
		case 6:
			m.Trace = im.TraceID(v)
		}
		return nil
	})
}

func decodeContent(p []byte, c *im.Content) error {
	return rangeFields(p, func(num protowire.Number, v uint64, b []byte) error {
		switch num {
		case 1:
			c.Type = im.ContentType(v)
		case 2:
			c.Body = b
		}
		return nil
	})
}

func decodeRefused(p []byte, r *refusedSend) error {
	return rangeFields(p, func(num protowire.Number, v uint64, _ []byte) error {
		switch num {
		case 1:
			r.device = im.DeviceID(v)
		case 2:
			r.clientSeq = im.ClientSeq(v)
		case 3:
			r.kind = im.ErrorKind(v)
		}
		return nil
	})
}

// linkBody is the body of the link message the event sends.
func (ev *event) linkBody() Body {
	if ev.body.Kind != 0 {
		return ev.body
	}
	return Body{Kind: BodyMessage, Time: ev.entry.Time, PairID: ev.entry.PairID, Content: ev.entry.Content, Trace: ev.entry.Trace}
}

// Visible is what devices see of a log entry, as an encoded skein.v1.Entry.
func Visible(e im.LogEntry) ([]byte, error) {
	visible, _, err := VisibleInConversation(e)
	return visible, err
}

// VisibleInConversation is Visible, and the sequence of the entry before it
// in the same conversation.
func VisibleInConversation(e im.LogEntry) (visible []byte, prev im.Seq, err error) {
	err = rangeFields(e.Value, func(num protowire.Number, v uint64, b []byte) error {
		switch num {
		case fieldEntry:
			visible = b
		case fieldPrev:
			prev = im.Seq(v)
		}
		return nil
	})
	if visible == nil {
		visible = wire.AppendEntry(nil, &wire.Entry{Seq: e.Seq})
	}
	return visible, prev, err
}
