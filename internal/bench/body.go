package bench

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// stamp is what a message of a run says of itself.
type stamp struct {
	// Run tells messages of this run from those of others.
	Run uint64
	// From and To are users of the data set.
	From, To uint32
	// Ordinal numbers the messages from one to the other, from 1.
	Ordinal uint32
	// Due is when the message was to be sent, in nanoseconds since the run
	// began.
	Due int64
}

// newRunID makes a number that no other run has.
func newRunID() (uint64, error) {
	var id [8]byte
	_, err := rand.Read(id[:])
	return binary.LittleEndian.Uint64(id[:]), err
}

// MinBody is the least number of bytes a message of a run has: what it says of
// itself and a checksum over all of it.
const MinBody = stampSize + 4

const stampSize = 4 + 8 + 4 + 4 + 4 + 8

var (
	bodyMagic  = [4]byte{'S', 'k', 'B', '1'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// encode fills a body of at least MinBody bytes. What is left after the stamp
// is noise, so that nothing gains from compressing it.
func (s *stamp) encode(body []byte) {
	copy(body, bodyMagic[:])
	binary.LittleEndian.PutUint64(body[4:], s.Run)
	binary.LittleEndian.PutUint32(body[12:], s.From)
	binary.LittleEndian.PutUint32(body[16:], s.To)
	binary.LittleEndian.PutUint32(body[20:], s.Ordinal)
	binary.LittleEndian.PutUint64(body[24:], uint64(s.Due))
	noise(body[stampSize:len(body)-4], s.Run^uint64(s.From)<<40^uint64(s.To)<<20^uint64(s.Ordinal))
	binary.LittleEndian.PutUint32(body[len(body)-4:], crc32.Checksum(body[:len(body)-4], castagnoli))
}

// noise fills b with SplitMix64.
func noise(b []byte, x uint64) {
	for len(b) > 0 {
		x += 0x9e3779b97f4a7c15
		z := x
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		if len(b) < 8 {
			var w [8]byte
			binary.LittleEndian.PutUint64(w[:], z)
			copy(b, w[:])
			return
		}
		binary.LittleEndian.PutUint64(b, z)
		b = b[8:]
	}
}

// decode reads a body. An error means that it is not what encode wrote.
func (s *stamp) decode(body []byte) error {
	if len(body) < MinBody || [4]byte(body) != bodyMagic {
		return fmt.Errorf("a body of %d bytes without a stamp", len(body))
	}
	sum := binary.LittleEndian.Uint32(body[len(body)-4:])
	if sum != crc32.Checksum(body[:len(body)-4], castagnoli) {
		return fmt.Errorf("a body of %d bytes with a wrong checksum", len(body))
	}
	s.Run = binary.LittleEndian.Uint64(body[4:])
	s.From = binary.LittleEndian.Uint32(body[12:])
	s.To = binary.LittleEndian.Uint32(body[16:])
	s.Ordinal = binary.LittleEndian.Uint32(body[20:])
	s.Due = int64(binary.LittleEndian.Uint64(body[24:]))
	return nil
}
