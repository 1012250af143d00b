package memstore

import (
	"context"
	"slices"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

var _ store.Lister = (*Store)(nil)

// List implements store.Lister.
func (s *Store) List(ctx context.Context, slots []im.Slot, visit func(im.Slot, []im.Addr) error) error {
	held, err := s.held(ctx)
	if err != nil {
		return err
	}
	for _, slot := range slots {
		if err := visit(slot, held[slot]); err != nil {
			return err
		}
	}
	return nil
}

// held are the entities by slot.
func (s *Store) held(ctx context.Context) (map[im.Slot][]im.Addr, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	held := map[im.Slot][]im.Addr{}
	for a, e := range s.entities {
		if len(e.records) > 0 || len(e.log) > 0 {
			held[a.Slot()] = append(held[a.Slot()], a)
		}
	}
	for _, addrs := range held {
		slices.SortFunc(addrs, im.Addr.Compare)
	}
	return held, nil
}
