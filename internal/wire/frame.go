package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/skein-im/skein/internal/im"
)

// Type is the first byte of a frame.
type Type uint8

// The types of frames. The list is append-only.
const (
	TypePing    Type = 1
	TypePong    Type = 2
	TypeHello   Type = 3
	TypeWelcome Type = 4
	TypeSend    Type = 5
	TypeSendAck Type = 6
	TypeDeliver Type = 7
	TypeAck     Type = 8
	TypePull    Type = 9
	TypeCall    Type = 10
	TypeAnswer  Type = 11
	TypeClose   Type = 12
	TypeNotice  Type = 13
	TypeShake   Type = 14
	TypeShaken  Type = 15
)

// Types is one more than the highest known type; it sizes tables by type.
const Types = 16

var typeNames = [Types]string{
	TypePing: "ping", TypePong: "pong", TypeHello: "hello", TypeWelcome: "welcome",
	TypeSend: "send", TypeSendAck: "send_ack", TypeDeliver: "deliver", TypeAck: "ack",
	TypePull: "pull", TypeCall: "call", TypeAnswer: "answer", TypeClose: "close", TypeNotice: "notice",
	TypeShake: "shake", TypeShaken: "shaken",
}

// Known reports whether t is one of the types above.
func (t Type) Known() bool { return t >= TypePing && t < Types }

func (t Type) String() string {
	if t.Known() {
		return typeNames[t]
	}
	return fmt.Sprintf("type%d", uint8(t))
}

// maxLengthBytes is the longest length a reader accepts. Writers use the
// fewest bytes; readers take longer forms too, so that a writer may leave
// room for a length it does not know yet.
const maxLengthBytes = 5

// MaxHeader is the most bytes before a frame's payload.
const MaxHeader = 1 + maxLengthBytes

// AppendHeader appends the header of a frame whose payload has n bytes.
func AppendHeader(dst []byte, t Type, n int) []byte {
	return binary.AppendUvarint(append(dst, byte(t)), uint64(n))
}

// AppendFrame appends a whole frame.
func AppendFrame(dst []byte, t Type, payload []byte) []byte {
	return append(AppendHeader(dst, t, len(payload)), payload...)
}

// AppendPing appends a heartbeat.
func AppendPing(dst []byte) []byte { return append(dst, byte(TypePing), 0) }

// AppendPong appends the answer to a heartbeat.
func AppendPong(dst []byte) []byte { return append(dst, byte(TypePong), 0) }

// MaxPing is the most bytes a heartbeat may carry; its answer brings them back.
const MaxPing = 125

// ParseHeader reads the header at the start of buf: header is its length, size
// that of the payload. header is 0 while bytes are missing. A payload of more
// than limit bytes is TooLarge, an endless length Invalid.
func ParseHeader(buf []byte, limit int) (t Type, header, size int, err error) {
	var v uint64
	for i := 1; i < len(buf); i++ {
		b := buf[i]
		v |= uint64(b&0x7f) << (7 * (i - 1))
		if v > uint64(limit) {
			return 0, 0, 0, im.Errorf(im.TooLarge, "a frame of over %d bytes, the limit here", limit)
		}
		if b < 0x80 {
			return Type(buf[0]), i + 1, int(v), nil
		}
		if i == maxLengthBytes {
			return 0, 0, 0, im.Errorf(im.Invalid, "a frame length of over %d bytes", maxLengthBytes)
		}
	}
	return 0, 0, 0, nil
}

// Parse reads the frame at the start of buf, n bytes in all; n is 0 while
// bytes are missing. The payload aliases buf. Types are not checked. Errors
// are those of ParseHeader.
func Parse(buf []byte, limit int) (t Type, payload []byte, n int, err error) {
	t, header, size, err := ParseHeader(buf, limit)
	if err != nil || header == 0 || len(buf)-header < size {
		return 0, nil, 0, err
	}
	n = header + size
	return t, buf[header:n:n], n, nil
}
