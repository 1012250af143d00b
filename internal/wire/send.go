package wire

import (
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/skein-im/skein/internal/im"
)

// Send is skein.v1.Send.
type Send struct {
	To        im.UserID
	ClientSeq im.ClientSeq
	Content   im.Content
	// Trace is 0 unless the client forces a trace.
	Trace im.TraceID
}

// SizeSend is how many bytes AppendSend appends.
func SizeSend(m *Send) int {
	n := sizeUint(uint64(m.To)) + sizeUint(uint64(m.ClientSeq)) + sizeContent(&m.Content)
	if m.Trace != 0 {
		n += 1 + 8
	}
	return n
}

// AppendSend appends the encoded message.
func AppendSend(dst []byte, m *Send) []byte {
	dst = appendUint(dst, 1, uint64(m.To))
	dst = appendUint(dst, 2, uint64(m.ClientSeq))
	dst = appendContent(dst, 3, &m.Content)
	if m.Trace != 0 {
		dst = protowire.AppendFixed64(append(dst, byte(4<<3|fixed64)), uint64(m.Trace))
	}
	return dst
}

// AppendSendFrame appends the message in a frame.
func AppendSendFrame(dst []byte, m *Send) []byte {
	return AppendSend(AppendHeader(dst, TypeSend, SizeSend(m)), m)
}

// Unmarshal reads an encoded message; Content.Body aliases b.
func (m *Send) Unmarshal(b []byte) error {
	*m = Send{}
	r := reader{rest: b}
	for r.next() {
		switch r.key {
		case 1<<3 | varint:
			m.To = im.UserID(r.u)
		case 2<<3 | varint:
			m.ClientSeq = im.ClientSeq(r.u)
		case 3<<3 | bytes:
			r.nest(readContent(r.data, &m.Content))
		case 4<<3 | fixed64:
			m.Trace = im.TraceID(r.u)
		}
	}
	return r.end("Send")
}

// SendAck is skein.v1.SendAck. A nil Error is absent: the message was
// accepted.
type SendAck struct {
	ClientSeq  im.ClientSeq
	Seq        im.Seq
	Time       im.Millis
	InTimeline bool
	PairID     uint64
	Error      *im.Error
}

// SizeSendAck is how many bytes AppendSendAck appends.
func SizeSendAck(m *SendAck) int {
	n := sizeUint(uint64(m.ClientSeq)) +
		sizeUint(uint64(m.Seq)) +
		sizeUint(uint64(m.Time)) +
		sizeBool(m.InTimeline) +
		sizeUint(m.PairID)
	if m.Error != nil {
		n += sizeField(errorLen(m.Error))
	}
	return n
}

// AppendSendAck appends the encoded message.
func AppendSendAck(dst []byte, m *SendAck) []byte {
	dst = appendUint(dst, 1, uint64(m.ClientSeq))
	dst = appendUint(dst, 2, uint64(m.Seq))
	dst = appendUint(dst, 3, uint64(m.Time))
	dst = appendBool(dst, 4, m.InTimeline)
	dst = appendUint(dst, 5, m.PairID)
	if m.Error != nil {
		dst = appendOpen(dst, 6, errorLen(m.Error))
		dst = appendError(dst, m.Error)
	}
	return dst
}

// AppendSendAckFrame appends the message in a frame.
func AppendSendAckFrame(dst []byte, m *SendAck) []byte {
	return AppendSendAck(AppendHeader(dst, TypeSendAck, SizeSendAck(m)), m)
}

// Unmarshal reads an encoded message. It allocates only for an Error.
func (m *SendAck) Unmarshal(b []byte) error {
	*m = SendAck{}
	r := reader{rest: b}
	for r.next() {
		switch r.key {
		case 1<<3 | varint:
			m.ClientSeq = im.ClientSeq(r.u)
		case 2<<3 | varint:
			m.Seq = im.Seq(r.u)
		case 3<<3 | varint:
			m.Time = im.Millis(r.u)
		case 4<<3 | varint:
			m.InTimeline = r.u != 0
		case 5<<3 | varint:
			m.PairID = r.u
		case 6<<3 | bytes:
			if m.Error == nil {
				m.Error = new(im.Error)
			}
			r.nest(readError(r.data, m.Error))
		}
	}
	return r.end("SendAck")
}

// detail is the text as it goes out: protobuf strings are valid UTF-8.
func detail(e *im.Error) string { return strings.ToValidUTF8(e.Detail, "\uFFFD") }

func errorLen(e *im.Error) int {
	n := sizeUint(uint64(e.Kind)) + sizeUint(uint64(e.RetryAfterMS)) + sizeUint(uint64(e.Expected))
	if d := detail(e); d != "" {
		n += sizeField(len(d))
	}
	return n
}

func appendError(dst []byte, e *im.Error) []byte {
	dst = appendUint(dst, 1, uint64(e.Kind))
	if d := detail(e); d != "" {
		dst = append(appendOpen(dst, 2, len(d)), d...)
	}
	dst = appendUint(dst, 3, uint64(e.RetryAfterMS))
	return appendUint(dst, 4, uint64(e.Expected))
}

func readError(b []byte, e *im.Error) bool {
	r := reader{rest: b}
	for r.next() {
		switch r.key {
		case 1<<3 | varint:
			e.Kind = im.ErrorKind(r.u8())
		case 2<<3 | bytes:
			r.nest(utf8.Valid(r.data))
			e.Detail = string(r.data)
		case 3<<3 | varint:
			e.RetryAfterMS = r.u32()
		case 4<<3 | varint:
			e.Expected = im.ClientSeq(r.u)
		}
	}
	return !r.bad
}
