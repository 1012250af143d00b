package pebble

import (
	"bytes"
	"encoding/binary"

	pebbledb "github.com/cockroachdb/pebble/v2"

	"github.com/skein-im/skein/internal/im"
)

// The first byte of a key says what it holds. Values are stored.
const (
	keyEpoch   = 'e'
	keyLog     = 'l'
	keyPending = 'p'
	keyRecord  = 'r'
)

const (
	epochKeyLen  = 1 + 2
	entityKeyLen = 1 + 2 + 1 + 8
	logKeyLen    = entityKeyLen + 8
)

// comparer orders keys as bytes and takes what names the entity for the
// prefix that Bloom filters know.
func comparer() *pebbledb.Comparer {
	c := *pebbledb.DefaultComparer
	c.Name = "skein.entity.1"
	c.Split = splitKey
	c.ImmediateSuccessor = successor
	return &c
}

// splitKey must accept any bytes: Pebble also splits the shortened keys of
// its indexes.
func splitKey(key []byte) int {
	if len(key) > entityKeyLen && (key[0] == keyLog || key[0] == keyRecord) {
		return entityKeyLen
	}
	return len(key)
}

// successor appends the least prefix that comes after a prefix. Of one that
// names an entity, the keys that begin with it come before that.
func successor(dst, prefix []byte) []byte {
	if len(prefix) != entityKeyLen || prefix[0] != keyLog && prefix[0] != keyRecord {
		return append(append(dst, prefix...), 0)
	}
	last := len(prefix) - 1
	for prefix[last] == 0xff {
		last-- // the first byte is not 0xff
	}
	dst = append(dst, prefix[:last+1]...)
	dst[len(dst)-1]++
	return dst
}

// putEntityKey writes the part of a key that names an entity.
func putEntityKey(dst []byte, prefix byte, a im.Addr) {
	_ = dst[entityKeyLen-1]
	dst[0] = prefix
	binary.BigEndian.PutUint16(dst[1:], uint16(a.Slot()))
	dst[3] = byte(a.Kind)
	binary.BigEndian.PutUint64(dst[4:], a.ID)
}

func putLogKey(dst []byte, a im.Addr, last im.Seq) {
	putEntityKey(dst, keyLog, a)
	binary.BigEndian.PutUint64(dst[entityKeyLen:], uint64(last))
}

func putRecordKey(dst []byte, a im.Addr, key string) {
	putEntityKey(dst, keyRecord, a)
	copy(dst[entityKeyLen:], key)
}

func putEpochKey(dst []byte, slot im.Slot) {
	dst[0] = keyEpoch
	binary.BigEndian.PutUint16(dst[1:], uint16(slot))
}

// logKeySeq is the sequence in the key of a chunk.
func logKeySeq(key []byte) (im.Seq, error) {
	if len(key) != logKeyLen || key[0] != keyLog {
		return 0, corruptf("log key %x", key)
	}
	return im.Seq(binary.BigEndian.Uint64(key[entityKeyLen:])), nil
}

// entityOf is the entity that a pending key names.
func entityOf(key []byte) (im.Addr, error) {
	if len(key) != entityKeyLen || key[0] != keyPending {
		return im.Addr{}, corruptf("pending key %x", key)
	}
	a := im.Addr{Kind: im.Kind(key[3]), ID: binary.BigEndian.Uint64(key[4:])}
	var want [entityKeyLen]byte
	putEntityKey(want[:], keyPending, a)
	if !bytes.Equal(key, want[:]) {
		return im.Addr{}, corruptf("pending key %x is in the wrong slot", key)
	}
	return a, nil
}

// epochOf decodes one epoch key and its value.
func epochOf(key, value []byte) (im.Slot, im.Epoch, error) {
	if len(key) != epochKeyLen || key[0] != keyEpoch || len(value) < 8 {
		return 0, 0, corruptf("epoch key %x", key)
	}
	slot := binary.BigEndian.Uint16(key[1:])
	epoch := binary.BigEndian.Uint64(value)
	if slot >= im.Slots || epoch == 0 {
		return 0, 0, corruptf("epoch %d of slot %d", epoch, slot)
	}
	return im.Slot(slot), im.Epoch(epoch), nil
}

// spanOf is the range of keys that begin with prefix, for prefixes that do
// not end in 0xff.
func spanOf(prefix []byte) *pebbledb.IterOptions {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return &pebbledb.IterOptions{LowerBound: prefix, UpperBound: end[:i+1]}
		}
	}
	return &pebbledb.IterOptions{LowerBound: prefix}
}
