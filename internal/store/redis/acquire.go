package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/tenure"
)

// Acquire implements store.Store. What earlier owners have written to the
// slots is durable too when it returns: it came before on its way to the
// replicas, and nothing of theirs can come after.
func (s *Store) Acquire(ctx context.Context, owner string, slots []im.Slot) ([]im.Epoch, error) {
	if err := s.life.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.Exit()
	if err := store.CheckSlots(slots...); err != nil || len(slots) == 0 {
		return nil, err
	}
	// An epoch alone does not name a tenure: should a failover lose an
	// acquisition, the next one could give out the same number.
	token := rand.Text()[:13]
	calls := make([]*call, len(slots))
	for i, slot := range slots {
		calls[i] = &call{
			place: s.keys.places[slot], script: s.scripts.acquire, keys: []string{s.keys.epoch(slot)},
			args: []string{strconv.FormatUint(uint64(s.book.Epoch(slot)), 10), token, owner},
		}
	}
	if err := s.run(ctx, confirmed, calls); err != nil {
		return nil, fmt.Errorf("acquire %d slots: %w", len(slots), err)
	}
	return s.begin(slots, calls, token, owner)
}

// begin notes the tenures that calls have brought.
func (s *Store) begin(slots []im.Slot, calls []*call, token, owner string) ([]im.Epoch, error) {
	epochs := make([]im.Epoch, len(slots))
	for i := range slots {
		epoch, err := calls[i].answer.ToInt64()
		if err != nil {
			return nil, fmt.Errorf("acquire slot %d: %w", slots[i], err)
		}
		epochs[i] = im.Epoch(epoch)
	}
	for i, slot := range slots {
		s.book.Begin(slot, tenure.Tenure{Epoch: epochs[i], Held: fmt.Sprintf("%d %s %s", epochs[i], token, owner)})
	}
	return epochs, nil
}
