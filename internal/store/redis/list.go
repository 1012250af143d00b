package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

var _ store.Lister = (*Store)(nil)

// List implements store.Lister. In a cluster it asks who has a slot's keys. A
// server alone cannot say that without looking at all its keys, so it does that
// once for as many slots as fit in memory. While slots move between servers, some
// entities may be left out.
func (s *Store) List(ctx context.Context, slots []im.Slot, visit func(im.Slot, []im.Addr) error) error {
	if err := store.CheckSlots(slots...); err != nil {
		return err
	}
	list := s.listAlone
	if s.topology.cluster {
		list = s.listPlaces
	}
	return list(ctx, slots, visit)
}

// inOrder is what visitors get of a list.
func inOrder(addrs []im.Addr) []im.Addr {
	slices.SortFunc(addrs, im.Addr.Compare)
	return slices.Compact(addrs)
}

func (s *Store) listPlaces(ctx context.Context, slots []im.Slot, visit func(im.Slot, []im.Addr) error) error {
	for _, slot := range slots {
		held, err := s.listPlace(ctx, slot)
		if err != nil {
			return fmt.Errorf("list slot %d: %w", slot, err)
		}
		if err := visit(slot, inOrder(held)); err != nil {
			return err
		}
	}
	return nil
}

// listPlace asks all primaries: of a slot that moves, two have keys.
func (s *Store) listPlace(ctx context.Context, slot im.Slot) ([]im.Addr, error) {
	if err := s.life.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.Exit()
	place := strconv.Itoa(int(s.keys.places[slot]))
	var addrs []im.Addr
	for _, n := range s.topology.primaries() {
		count, err := n.do(ctx, "CLUSTER", "COUNTKEYSINSLOT", place).ToInt64()
		if err != nil {
			return nil, err
		}
		if count == 0 {
			continue
		}
		keys, err := n.do(ctx, "CLUSTER", "GETKEYSINSLOT", place, strconv.FormatInt(count+count/8+16, 10)).AsStrSlice()
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			if a, ok := s.keys.entityOf(key); ok && a.Slot() == slot {
				addrs = append(addrs, a)
			}
		}
	}
	return addrs, nil
}

// entityOf reads the key of an entity's records or log.
func (k *keyspace) entityOf(key string) (im.Addr, bool) {
	rest, ok := strings.CutPrefix(key, k.prefix+"{s")
	if !ok {
		return im.Addr{}, false
	}
	_, rest, _ = strings.Cut(rest, "}")
	entity, isRecords := strings.CutPrefix(rest, keyRecords)
	entity, isLog := strings.CutPrefix(entity, keyLog)
	a, err := parseEntity(entity)
	if !isRecords && !isLog || err != nil {
		return im.Addr{}, false
	}
	return a, true
}

// maxListed is about how many entities are held at a time, some 64 MiB of them.
const maxListed = 2 << 20

// listAlone looks at all keys once for as many slots as may be held at a time.
func (s *Store) listAlone(ctx context.Context, slots []im.Slot, visit func(im.Slot, []im.Addr) error) error {
	keys, err := s.topology.owners[0].Load().do(ctx, "DBSIZE").ToInt64()
	if err != nil {
		return fmt.Errorf("count keys: %w", err)
	}
	atOnce := max(1, s.maxListed*im.Slots/max(1, int(keys)))
	for part := range slices.Chunk(slots, atOnce) {
		held := make(map[im.Slot][]im.Addr, len(part))
		for _, slot := range part {
			held[slot] = nil
		}
		if err := s.look(ctx, held); err != nil {
			return fmt.Errorf("list %d slots: %w", len(part), err)
		}
		for _, slot := range part {
			if err := visit(slot, inOrder(held[slot])); err != nil {
				return err
			}
			delete(held, slot)
		}
	}
	return nil
}

// look sorts all entities into those slots that are asked for.
func (s *Store) look(ctx context.Context, held map[im.Slot][]im.Addr) error {
	if err := s.life.Enter(ctx); err != nil {
		return err
	}
	defer s.life.Exit()
	return s.scanKeys(ctx, func(a im.Addr) {
		if addrs, wanted := held[a.Slot()]; wanted {
			held[a.Slot()] = append(addrs, a)
		}
	})
}

// scanCount is how many keys a server looks at in one go, which takes less than
// a millisecond.
const scanCount = "1000"

// scanKeys visits all entities, some of them twice.
func (s *Store) scanKeys(ctx context.Context, visit func(im.Addr)) error {
	n := s.topology.owners[0].Load()
	for cursor := uint64(0); ; {
		page, err := n.do(ctx, "SCAN", strconv.FormatUint(cursor, 10), "MATCH", s.opts.Prefix+"{s*}[rl]:*", "COUNT", scanCount).AsScanEntry()
		if err != nil {
			return err
		}
		for _, key := range page.Elements {
			if a, ok := s.keys.entityOf(key); ok {
				visit(a)
			}
		}
		if cursor = page.Cursor; cursor == 0 {
			return nil
		}
	}
}
