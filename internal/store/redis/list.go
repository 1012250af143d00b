package redis

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

var _ store.Lister = (*Store)(nil)

// List implements store.Lister. In a cluster it asks who has the slot's keys.
// A server alone cannot say that without looking at all its keys; calls that
// wait at the same time share one such look. While slots move between servers,
// some entities may be left out.
func (s *Store) List(ctx context.Context, slot im.Slot) ([]im.Addr, error) {
	if slot >= im.Slots {
		return nil, im.Errorf(im.Invalid, "slot %d does not exist", slot)
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.exit()
	list := s.listAlone
	if s.topology.cluster {
		list = s.listPlace
	}
	addrs, err := list(ctx, slot)
	if err != nil {
		return nil, fmt.Errorf("list slot %d: %w", slot, err)
	}
	slices.SortFunc(addrs, func(a, b im.Addr) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	return slices.Compact(addrs), nil
}

// listPlace asks all primaries: of a slot that moves, two have keys.
func (s *Store) listPlace(ctx context.Context, slot im.Slot) ([]im.Addr, error) {
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

// scans are looks at all keys of a server alone.
type scans struct {
	// turn is held by whoever looks.
	turn chan struct{}
	mu   sync.Mutex
	// waiting are those whom the next look is for.
	waiting []*scan
}

// scan is somebody who waits.
type scan struct {
	slot  im.Slot
	addrs []im.Addr
	err   error
	done  chan struct{}
}

func newScans() *scans { return &scans{turn: make(chan struct{}, 1)} }

// listAlone waits for a look that begins after the call.
func (s *Store) listAlone(ctx context.Context, slot im.Slot) ([]im.Addr, error) {
	own := &scan{slot: slot, done: make(chan struct{})}
	s.scans.add(own)
	select {
	case <-own.done:
		return own.addrs, own.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case s.scans.turn <- struct{}{}:
	}
	s.look(context.WithoutCancel(ctx), s.scans.take())
	<-s.scans.turn
	<-own.done
	return own.addrs, own.err
}

func (sc *scans) add(one *scan) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.waiting = append(sc.waiting, one)
}

func (sc *scans) take() []*scan {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	waiting := sc.waiting
	sc.waiting = nil
	return waiting
}

// look serves those who wait with one look at all keys.
func (s *Store) look(ctx context.Context, waiting []*scan) {
	bySlot := map[im.Slot][]*scan{}
	for _, w := range waiting {
		bySlot[w.slot] = append(bySlot[w.slot], w)
	}
	err := s.scanKeys(ctx, func(a im.Addr) {
		for _, w := range bySlot[a.Slot()] {
			w.addrs = append(w.addrs, a)
		}
	})
	for _, w := range waiting {
		w.err = err
		close(w.done)
	}
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
