package memstore

import (
	"context"
	"slices"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

var _ store.Lister = (*Store)(nil)

// List implements store.Lister.
func (s *Store) List(ctx context.Context, slot im.Slot) ([]im.Addr, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var addrs []im.Addr
	for a, e := range s.entities {
		if a.Slot() == slot && (len(e.records) > 0 || len(e.log) > 0) {
			addrs = append(addrs, a)
		}
	}
	slices.SortFunc(addrs, compareAddrs)
	return addrs, nil
}
