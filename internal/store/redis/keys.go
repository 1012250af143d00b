package redis

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// redisSlots is how many slots a Redis Cluster has.
const redisSlots = 16384

// keyspace names keys. The part in braces decides in which Redis slot a key
// lies, so all of a slot's keys lie in one.
type keyspace struct {
	prefix string
	tags   [im.Slots]string // "skein:{s0042}"
	places [im.Slots]uint16 // the Redis slot
}

func newKeyspace(prefix string) *keyspace {
	k := &keyspace{prefix: prefix}
	for slot := range k.tags {
		tag := fmt.Sprintf("s%04d", slot)
		k.tags[slot] = prefix + "{" + tag + "}"
		k.places[slot] = place(tag)
	}
	return k
}

// The last part of a key says what it holds.
const (
	keyEpoch   = "e"
	keyPending = "p"
	keyRecords = "r:"
	keyLog     = "l:"
)

func (k *keyspace) epoch(slot im.Slot) string   { return k.tags[slot] + keyEpoch }
func (k *keyspace) pending(slot im.Slot) string { return k.tags[slot] + keyPending }

func (k *keyspace) records(a im.Addr) string { return k.entity(keyRecords, a) }
func (k *keyspace) log(a im.Addr) string     { return k.entity(keyLog, a) }

func (k *keyspace) entity(what string, a im.Addr) string {
	tag := k.tags[a.Slot()]
	b := make([]byte, 0, len(tag)+len(what)+24)
	b = append(b, tag...)
	b = append(b, what...)
	return string(appendEntity(b, a))
}

// membersTag is where the members lie, and the format.
const membersTag = "members"

func (k *keyspace) members() (values, expiry string) {
	tag := k.prefix + "{" + membersTag + "}"
	return tag + "values", tag + "expiry"
}

func (k *keyspace) format() string { return k.prefix + "{" + membersTag + "}format" }

// appendEntity writes an entity as keys and pending marks have it: "1:42".
func appendEntity(b []byte, a im.Addr) []byte {
	b = strconv.AppendUint(b, uint64(a.Kind), 10)
	b = append(b, ':')
	return strconv.AppendUint(b, a.ID, 10)
}

// parseEntity is the reverse of appendEntity.
func parseEntity(s string) (im.Addr, error) {
	kind, id, ok := strings.Cut(s, ":")
	k, err := strconv.ParseUint(kind, 10, 8)
	n, err2 := strconv.ParseUint(id, 10, 64)
	a := im.Addr{Kind: im.Kind(k), ID: n}
	if !ok || err != nil || err2 != nil || string(appendEntity(nil, a)) != s {
		return im.Addr{}, store.Corruptf("pending mark %q", s)
	}
	return a, nil
}

// place is the Redis slot of a hash tag: CRC-16/XMODEM.
func place(tag string) uint16 {
	var crc uint16
	for i := range len(tag) {
		crc ^= uint16(tag[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc % redisSlots
}
