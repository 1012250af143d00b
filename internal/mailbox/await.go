package mailbox

import (
	"cmp"
	"context"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// DefaultHandOver is how long to wait for a node that is there to hand over slots.
// It knows within half a second that it is to, and then takes some tenths.
const DefaultHandOver = time.Second

// free is what of some slots may be acquired now. Those that another node serves
// that says when it has handed them over come later: until then that node serves
// their users, and what is taken from it by force fails and is repeated.
func (m *Mailbox) free(ctx context.Context, list []im.Slot) ([]im.Slot, error) {
	if m.cfg.Hands == nil {
		return list, nil
	}
	owners, err := m.store.Owners(ctx, list)
	if err != nil {
		return nil, im.Errorf(im.Unavailable, "cannot ask who serves slots: %w", err)
	}
	hands := map[string]bool{m.cfg.Node: false, "": false}
	for _, o := range owners {
		if _, ok := hands[o.Node]; !ok {
			hands[o.Node] = m.cfg.Hands(o.Node)
		}
	}
	return m.slots.await(list, owners, hands, time.Now().Add(cmp.Or(m.cfg.HandOver, DefaultHandOver))), nil
}

// await leaves out the slots whose owners hand them over, unless they have, or have
// been waited for in vain.
func (s *slots) await(list []im.Slot, owners []store.Owner, hands map[string]bool, until time.Time) (free []im.Slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, slot := range list {
		o := owners[i]
		s.learn(slot, o)
		if !hands[o.Node] || s.ended[slot] >= o.Epoch || s.awaited[slot] == o.Epoch {
			free = append(free, slot)
			continue
		}
		s.awaited[slot] = o.Epoch
		s.set(slot, absent)
		s.rest[slot] = until
	}
	s.announce()
	return free
}

// Released hears which slots another node has handed over, that it had under these
// epochs.
func (m *Mailbox) Released(list []im.Slot, epochs []im.Epoch) {
	s := m.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, slot := range list {
		if epochs[i] > s.ended[slot] {
			s.ended[slot], s.rest[slot] = epochs[i], time.Time{}
		}
	}
	s.announce()
}
