package audit

import (
	"context"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// regions are the stores of several regions as one: of a user, the store where
// they live counts; of everything else the one that has it.
type regions struct {
	stores []Source
	// last is what was looked for last, and at where it was.
	last im.Addr
	at   Source
}

// Regions makes one Source of the stores of all regions. A single one is
// returned as it is.
func Regions(stores ...Source) Source {
	if len(stores) == 1 {
		return stores[0]
	}
	return &regions{stores: stores}
}

// List implements store.Lister, but for the order: each store is listed as a whole,
// one after another, and an entity is visited in the one that counts.
func (r *regions) List(ctx context.Context, slots []im.Slot, visit func(im.Slot, []im.Addr) error) error {
	for _, s := range r.stores {
		err := s.List(ctx, slots, func(slot im.Slot, held []im.Addr) error {
			for _, a := range held {
				at, err := r.holder(ctx, a)
				if err != nil {
					return err
				}
				if at != s {
					continue
				}
				if err := visit(slot, []im.Addr{a}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// holder is the store that has an entity.
func (r *regions) holder(ctx context.Context, a im.Addr) (Source, error) {
	if r.at != nil && r.last == a {
		return r.at, nil
	}
	best, holder := entity.Nowhere, r.stores[0]
	for _, s := range r.stores {
		at, err := residing(ctx, s, a)
		if err != nil {
			return nil, err
		}
		if at > best {
			best, holder = at, s
		}
	}
	r.last, r.at = a, holder
	return holder, nil
}

// residing is how far an entity lives in a store. One that is young has a log and
// no records yet.
func residing(ctx context.Context, s Source, a im.Addr) (entity.Residing, error) {
	e, err := s.Load(ctx, a, func([]store.Record) im.Seq { return 1 << 62 })
	if err != nil || len(e.Records) > 0 {
		return entity.ResidingOf(e.Records), err
	}
	entries, err := s.ReadLog(ctx, a, 1, 1, 1)
	if err != nil || len(entries) == 0 {
		return entity.Nowhere, err
	}
	return entity.Here, nil
}

// Load implements Source.
func (r *regions) Load(ctx context.Context, a im.Addr, tail func([]store.Record) im.Seq) (store.Entity, error) {
	s, err := r.holder(ctx, a)
	if err != nil {
		return store.Entity{}, err
	}
	return s.Load(ctx, a, tail)
}

// ReadLog implements Source.
func (r *regions) ReadLog(ctx context.Context, a im.Addr, from im.Seq, limit, maxBytes int) ([]store.Entry, error) {
	s, err := r.holder(ctx, a)
	if err != nil {
		return nil, err
	}
	return s.ReadLog(ctx, a, from, limit, maxBytes)
}
