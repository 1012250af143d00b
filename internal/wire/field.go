package wire

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/skein-im/skein/internal/im"
)

// Wire types, the low three bits of a field's key.
const (
	varint  = uint64(protowire.VarintType)
	bytes   = uint64(protowire.BytesType)
	fixed64 = uint64(protowire.Fixed64Type)
)

// reader walks the fields of one message. Keys hold number and wire type
// together, so a field that comes with another wire type than the schema's
// falls through the caller's switch and is skipped, as the generated code
// does.
type reader struct {
	rest []byte
	// key, and u or data, are those of the current field.
	key  uint64
	u    uint64
	data []byte
	bad  bool
}

// next moves to the next field; it returns false at the end and when the
// input is malformed.
func (r *reader) next() bool {
	if len(r.rest) == 0 || r.bad {
		return false
	}
	num, typ, n := protowire.ConsumeTag(r.rest)
	if n < 0 || num > protowire.MaxValidNumber {
		return r.fail()
	}
	r.rest = r.rest[n:]
	r.key = uint64(num)<<3 | uint64(typ)
	switch typ {
	case protowire.VarintType:
		r.u, n = protowire.ConsumeVarint(r.rest)
	case protowire.BytesType:
		r.data, n = protowire.ConsumeBytes(r.rest)
	case protowire.Fixed64Type:
		r.u, n = protowire.ConsumeFixed64(r.rest)
	default:
		n = protowire.ConsumeFieldValue(num, typ, r.rest)
	}
	if n < 0 {
		return r.fail()
	}
	r.rest = r.rest[n:]
	return true
}

// fail marks the input as malformed and ends the walk.
func (r *reader) fail() bool {
	r.bad = true
	return false
}

// u8 and u32 are the current number, which must fit.
func (r *reader) u8() uint8 {
	if r.u > 0xff {
		r.bad = true
	}
	return uint8(r.u)
}

func (r *reader) u32() uint32 {
	if r.u > 0xffffffff {
		r.bad = true
	}
	return uint32(r.u)
}

// nest reports a failure inside the current field as one of the whole.
func (r *reader) nest(ok bool) {
	if !ok {
		r.bad = true
	}
}

// end is the outcome of the walk.
func (r *reader) end(what string) error {
	if r.bad {
		return malformed(what)
	}
	return nil
}

func malformed(what string) error {
	return &im.Error{Kind: im.Invalid, Detail: "malformed " + what}
}

// appendUint appends a number unless it is zero. Keys of fields up to 15 are
// one byte.
func appendUint(dst []byte, num int, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return protowire.AppendVarint(append(dst, byte(num<<3)), v)
}

func sizeUint(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

func appendBool(dst []byte, num int, v bool) []byte {
	if !v {
		return dst
	}
	return append(dst, byte(num<<3), 1)
}

func sizeBool(v bool) int {
	if !v {
		return 0
	}
	return 2
}

// appendOpen appends the key and length of a field of n bytes.
func appendOpen(dst []byte, num, n int) []byte {
	return protowire.AppendVarint(append(dst, byte(num<<3|2)), uint64(n))
}

// sizeField is the size of a field of n bytes, written even when empty.
func sizeField(n int) int { return 1 + protowire.SizeBytes(n) }
