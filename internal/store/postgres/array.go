package postgres

import "encoding/binary"

// The types of parameters, as the server numbers them.
const (
	oidBool  = 16
	oidBytea = 17
	oidInt8  = 20
	oidInt2  = 21
	oidInt4  = 23
)

// array is an array parameter in the server's binary format.
type array struct {
	oid   uint32
	count uint32
	bytes []byte
}

// arrayHeader is one dimension, no nulls, the type of the elements, how many
// they are, and the number of the first.
const arrayHeader = 20

func (a *array) grow(size uint32) {
	if a.bytes == nil {
		a.bytes = make([]byte, arrayHeader, 256)
	}
	a.count++
	a.bytes = binary.BigEndian.AppendUint32(a.bytes, size)
}

func (a *array) bool(v bool) {
	a.oid = oidBool
	a.grow(1)
	b := byte(0)
	if v {
		b = 1
	}
	a.bytes = append(a.bytes, b)
}

func (a *array) int2(v uint16) {
	a.oid = oidInt2
	a.grow(2)
	a.bytes = binary.BigEndian.AppendUint16(a.bytes, v)
}

func (a *array) int4(v uint32) {
	a.oid = oidInt4
	a.grow(4)
	a.bytes = binary.BigEndian.AppendUint32(a.bytes, v)
}

// int8 takes a number as the server does: identifiers above the middle of their
// range are negative there.
func (a *array) int8(v uint64) {
	a.oid = oidInt8
	a.grow(8)
	a.bytes = binary.BigEndian.AppendUint64(a.bytes, v)
}

func (a *array) bytea(v []byte) {
	a.oid = oidBytea
	a.grow(uint32(len(v)))
	a.bytes = append(a.bytes, v...)
}

func (a *array) text(v string) {
	a.oid = oidBytea
	a.grow(uint32(len(v)))
	a.bytes = append(a.bytes, v...)
}

// reserve makes room for elements of so many bytes in all.
func (a *array) reserve(elements, bytes int) {
	a.bytes = make([]byte, arrayHeader, arrayHeader+4*elements+bytes)
}

// param ends the array. An empty one has no dimension, and the server asks for
// the type of its elements nevertheless.
func (a *array) param(oid uint32) []byte {
	if a.count == 0 {
		b := make([]byte, 12)
		binary.BigEndian.PutUint32(b[8:], oid)
		return b
	}
	binary.BigEndian.PutUint32(a.bytes, 1)
	binary.BigEndian.PutUint32(a.bytes[8:], oid)
	binary.BigEndian.PutUint32(a.bytes[12:], a.count)
	binary.BigEndian.PutUint32(a.bytes[16:], 1)
	return a.bytes
}

func int8Param(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
func int2Param(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

func boolParam(v bool) []byte {
	if v {
		return []byte{1}
	}
	return []byte{0}
}
