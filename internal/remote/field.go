package remote

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/skein-im/skein/internal/im"
)

// Fields have protobuf's encoding: a key of number and wire type, then a
// varint or a length and bytes. Zero values are left out, unknown fields are
// skipped, so either end may be a version ahead.

// fields walks the fields of one message.
type fields struct {
	rest []byte
	// num, and u or data, are those of the current field.
	num  protowire.Number
	typ  protowire.Type
	u    uint64
	data []byte
	bad  bool
}

// next moves to the next field; it returns false at the end and when the
// input is malformed.
func (f *fields) next() bool {
	if len(f.rest) == 0 || f.bad {
		return false
	}
	var n int
	f.num, f.typ, n = protowire.ConsumeTag(f.rest)
	if n < 0 {
		f.bad = true
		return false
	}
	f.rest = f.rest[n:]
	f.u, f.data = 0, nil
	switch f.typ {
	case protowire.VarintType:
		f.u, n = protowire.ConsumeVarint(f.rest)
	case protowire.BytesType:
		f.data, n = protowire.ConsumeBytes(f.rest)
	case protowire.Fixed32Type, protowire.Fixed64Type:
		n = protowire.ConsumeFieldValue(f.num, f.typ, f.rest)
	default:
		n = -1
	}
	if n < 0 {
		f.bad = true
		return false
	}
	f.rest = f.rest[n:]
	return true
}

// err is the outcome of the walk.
func (f *fields) err(what string) error {
	if f.bad {
		return im.Errorf(im.Invalid, "malformed %s", what)
	}
	return nil
}

// nest reports a failure inside the current field as one of the whole.
func (f *fields) nest(err error) {
	if err != nil {
		f.bad = true
	}
}

// uint is the current number.
func (f *fields) uint() uint64 {
	if f.typ != protowire.VarintType {
		f.bad = true
	}
	return f.u
}

// bytes are the current field's, which alias the input.
func (f *fields) bytes() []byte {
	if f.typ != protowire.BytesType {
		f.bad = true
	}
	return f.data
}

func (f *fields) string() string { return string(f.bytes()) }

func (f *fields) bool() bool { return f.uint() != 0 }

func (f *fields) millis() im.Millis { return im.Millis(f.uint()) }

// hash is the current field as a hash, which has 32 bytes.
func (f *fields) hash() (h [32]byte) {
	if copy(h[:], f.bytes()) != len(h) || len(f.data) != len(h) {
		f.bad = true
	}
	return h
}

// number is the current number, which must fit.
func number[T ~uint8 | ~uint16 | ~uint32 | ~uint64](f *fields) T {
	v := f.uint()
	if uint64(T(v)) != v {
		f.bad = true
	}
	return T(v)
}

// numbers appends the numbers packed into the current field.
func numbers[T ~uint64](f *fields, to []T) []T {
	for b := f.bytes(); len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			f.bad = true
			return to
		}
		to, b = append(to, T(v)), b[n:]
	}
	return to
}

// Field numbers in appended keys stay below 16, so that keys are one byte.

func keyOf(num int, typ protowire.Type) byte { return byte(num<<3 | int(typ)) }

func appendUint[T ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int64](dst []byte, num int, v T) []byte {
	if v == 0 {
		return dst
	}
	return appendPresent(dst, num, v)
}

// appendPresent appends a number even if it is zero.
func appendPresent[T ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int64](dst []byte, num int, v T) []byte {
	return protowire.AppendVarint(append(dst, keyOf(num, protowire.VarintType)), uint64(v))
}

func appendBool(dst []byte, num int, v bool) []byte {
	if !v {
		return dst
	}
	return append(dst, keyOf(num, protowire.VarintType), 1)
}

func appendBytes[T ~[]byte | ~string](dst []byte, num int, v T) []byte {
	if len(v) == 0 {
		return dst
	}
	return appendElement(dst, num, v)
}

// appendElement appends bytes even if there are none.
func appendElement[T ~[]byte | ~string](dst []byte, num int, v T) []byte {
	dst = protowire.AppendVarint(append(dst, keyOf(num, protowire.BytesType)), uint64(len(v)))
	return append(dst, v...)
}

func appendHash(dst []byte, num int, h *[32]byte) []byte {
	if *h == [32]byte{} {
		return dst
	}
	return appendElement(dst, num, h[:])
}

// appendNested appends a field whose content fill appends.
func appendNested(dst []byte, num int, fill func([]byte) []byte) []byte {
	dst, at := openLength(append(dst, keyOf(num, protowire.BytesType)))
	return closeLength(fill(dst), at)
}

func appendNumbers[T ~uint64](dst []byte, num int, list []T) []byte {
	if len(list) == 0 {
		return dst
	}
	dst, at := openLength(append(dst, keyOf(num, protowire.BytesType)))
	for _, v := range list {
		dst = protowire.AppendVarint(dst, uint64(v))
	}
	return closeLength(dst, at)
}

// lengthBytes is the room left for a length that is not known yet: a varint
// may be longer than it needs to be. Frames are far below the 256 MiB that fit.
const lengthBytes = 4

// openLength leaves room for a length; closeLength fills it in with what was
// appended since.
func openLength(dst []byte) ([]byte, int) {
	dst = append(dst, 0, 0, 0, 0)
	return dst, len(dst)
}

func closeLength(dst []byte, at int) []byte {
	n := len(dst) - at
	length := dst[at-lengthBytes : at]
	length[0] = byte(n) | 0x80
	length[1] = byte(n>>7) | 0x80
	length[2] = byte(n>>14) | 0x80
	length[3] = byte(n>>21) & 0x7f
	return dst
}
