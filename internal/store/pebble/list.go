package pebble

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"

	pebbledb "github.com/cockroachdb/pebble/v2"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

var _ store.Lister = (*Store)(nil)

// List implements store.Lister.
func (s *Store) List(ctx context.Context, slots []im.Slot, visit func(im.Slot, []im.Addr) error) error {
	for _, slot := range slots {
		held, err := s.listSlot(ctx, slot)
		if err == nil {
			err = visit(slot, held)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) listSlot(ctx context.Context, slot im.Slot) ([]im.Addr, error) {
	if err := store.CheckSlots(slot); err != nil {
		return nil, err
	}
	var addrs []im.Addr
	for _, kind := range []byte{keyRecord, keyLog} {
		var prefix [epochKeyLen]byte
		putEpochKey(prefix[:], slot)
		prefix[0] = kind
		err := s.read(ctx, slot, spanOf(prefix[:]), func(it *pebbledb.Iterator) (err error) {
			addrs, err = namedIn(it, addrs)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(addrs, func(a, b im.Addr) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	return slices.Compact(addrs), nil
}

// namedIn appends the entities that keys name, and jumps over all other keys
// of each.
func namedIn(it *pebbledb.Iterator, addrs []im.Addr) ([]im.Addr, error) {
	for ok := it.First(); ok; {
		key := it.Key()
		if len(key) <= entityKeyLen {
			return nil, corruptf("key %x names no entity", key)
		}
		addrs = append(addrs, im.Addr{Kind: im.Kind(key[3]), ID: binary.BigEndian.Uint64(key[4:])})
		ok = it.SeekGE(afterEntity(key))
	}
	return addrs, it.Error()
}

// afterEntity is the first key that can belong to the next entity; empty: this
// one was the last that there can be.
func afterEntity(key []byte) []byte {
	next := slices.Clone(key[:entityKeyLen])
	for i := len(next) - 1; i >= 0; i-- {
		if next[i]++; next[i] != 0 {
			break
		}
	}
	return next
}
