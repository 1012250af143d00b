package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

var _ store.Lister = (*Store)(nil)

// List implements store.Lister.
func (s *Store) List(ctx context.Context, slots []im.Slot, visit func(im.Slot, []im.Addr) error) error {
	if err := store.CheckSlots(slots...); err != nil {
		return err
	}
	for _, slot := range slots {
		held, err := s.listSlot(ctx, slot)
		if err != nil {
			return fmt.Errorf("list slot %d: %w", slot, err)
		}
		if err := visit(slot, held); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) listSlot(ctx context.Context, slot im.Slot) ([]im.Addr, error) {
	if err := s.life.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.Exit()
	q := &query{st: sqlList, params: [][]byte{int2Param(uint16(slot))}}
	if err := s.run(ctx, s.reads, 0, q); err != nil {
		return nil, err
	}
	addrs := make([]im.Addr, len(q.rows))
	for i, row := range q.rows {
		addrs[i] = asAddr(row[0], row[1])
	}
	slices.SortFunc(addrs, im.Addr.Compare)
	return addrs, nil
}
