package audit

import (
	"context"
	"slices"

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

// List implements store.Lister.
func (r *regions) List(ctx context.Context, slot im.Slot) ([]im.Addr, error) {
	var all []im.Addr
	for _, s := range r.stores {
		addrs, err := s.List(ctx, slot)
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			if !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all, nil
}

// holder is the store that has an entity.
func (r *regions) holder(ctx context.Context, a im.Addr) (Source, error) {
	if r.at != nil && r.last == a {
		return r.at, nil
	}
	best := entity.Nowhere
	r.last, r.at = a, r.stores[0]
	for _, s := range r.stores {
		e, err := s.Load(ctx, a, func([]store.Record) im.Seq { return 1 << 62 })
		if err != nil {
			return nil, err
		}
		if at := entity.ResidingOf(e.Records); at > best {
			best, r.at = at, s
		}
	}
	return r.at, nil
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
