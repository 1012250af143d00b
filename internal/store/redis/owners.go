package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Owners implements store.Store. It does not wait for replicas: an acquisition
// that is lost in a failover may be reported for a moment.
func (s *Store) Owners(ctx context.Context, slots []im.Slot) ([]store.Owner, error) {
	if err := s.life.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.Exit()
	if err := store.CheckSlots(slots...); err != nil || len(slots) == 0 {
		return nil, err
	}
	calls := make([]*call, len(slots))
	for i, slot := range slots {
		calls[i] = &call{place: s.keys.places[slot], script: s.scripts.owner, keys: []string{s.keys.epoch(slot)}}
	}
	if err := s.run(ctx, 0, calls); err != nil {
		return nil, fmt.Errorf("read who owns %d slots: %w", len(slots), err)
	}
	owners := make([]store.Owner, len(slots))
	for i, c := range calls {
		text, err := c.answer.ToString()
		if err != nil {
			return nil, err
		}
		if owners[i], err = parseOwner(text); err != nil {
			return nil, fmt.Errorf("slot %d: %w", slots[i], err)
		}
	}
	return owners, nil
}

// parseOwner reads what a slot's epoch key holds.
func parseOwner(text string) (store.Owner, error) {
	if text == "" {
		return store.Owner{}, nil
	}
	number, rest, _ := strings.Cut(text, " ")
	_, node, ok := strings.Cut(rest, " ")
	epoch, err := strconv.ParseUint(number, 10, 64)
	if err != nil || !ok {
		return store.Owner{}, store.Corruptf("an epoch is kept as %q", text)
	}
	return store.Owner{Node: node, Epoch: im.Epoch(epoch)}, nil
}
