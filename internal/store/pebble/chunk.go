package pebble

import (
	"encoding/binary"
	"math/bits"
)

// A chunk holds consecutive log entries:
//
//	n, the sizes of the first n-1 entries (varints), the n entries
//
// The last entry ends with the value, so a chunk of one entry, the usual
// one, has one byte of overhead.

// maxChunk is how many bytes of entries make a chunk full. Reading one entry
// loads its chunk.
const maxChunk = 32 << 10

// cutChunk splits off as many entries as fit one chunk: at least one.
func cutChunk(entries [][]byte) (chunk, rest [][]byte) {
	size := len(entries[0])
	for i := 1; i < len(entries); i++ {
		if size += len(entries[i]); size > maxChunk {
			return entries[:i], entries[i:]
		}
	}
	return entries, nil
}

// chunkSize is the encoded size of a chunk of entries.
func chunkSize(entries [][]byte) int {
	last := len(entries) - 1
	size := uvarintSize(uint64(len(entries))) + len(entries[last])
	for _, e := range entries[:last] {
		size += uvarintSize(uint64(len(e))) + len(e)
	}
	return size
}

func uvarintSize(x uint64) int { return (bits.Len64(x|1) + 6) / 7 }

// putChunk writes a chunk into dst, which has chunkSize bytes.
func putChunk(dst []byte, entries [][]byte) {
	n := binary.PutUvarint(dst, uint64(len(entries)))
	for _, e := range entries[:len(entries)-1] {
		n += binary.PutUvarint(dst[n:], uint64(len(e)))
	}
	for _, e := range entries {
		n += copy(dst[n:], e)
	}
}

// chunk reads an encoded chunk entry by entry.
type chunk struct {
	n     uint64 // entries left
	sizes []byte // of all entries left but the last
	data  []byte
}

// parseChunk checks a chunk as a whole, so that next cannot fail.
func parseChunk(v []byte) (chunk, error) {
	n, k := binary.Uvarint(v)
	if k <= 0 || n == 0 || n > uint64(len(v)) {
		return chunk{}, corruptf("chunk of %d bytes with %d entries", len(v), n)
	}
	rest, total := v[k:], uint64(0)
	for range n - 1 {
		size, k := binary.Uvarint(rest)
		if k <= 0 || size > uint64(len(v)) {
			return chunk{}, corruptf("entry size in a chunk of %d bytes", len(v))
		}
		rest = rest[k:]
		total += size
	}
	if total > uint64(len(rest)) {
		return chunk{}, corruptf("chunk of %d bytes lacks %d", len(v), total-uint64(len(rest)))
	}
	return chunk{n: n, sizes: v[k : len(v)-len(rest)], data: rest}, nil
}

// next returns the next entry, part of the encoded chunk. Call it n times.
func (c *chunk) next() []byte {
	c.n--
	if c.n == 0 {
		return c.data
	}
	size, k := binary.Uvarint(c.sizes)
	e := c.data[:size]
	c.sizes, c.data = c.sizes[k:], c.data[size:]
	return e
}
