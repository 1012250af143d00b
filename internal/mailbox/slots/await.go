package slots

import (
	"time"

	"github.com/skein-im/skein/internal/im"
)

// Await is what of some slots a node may acquire now. Those of a node that hands
// slots over, which the store says it owns, come later: when it says so (Released), or
// at a time at the latest. Each of its epochs is waited for once.
func (s *Set) Await(node string, list []im.Slot, owners []im.Owner, hands func(node string) bool, until time.Time) (free []im.Slot) {
	willing := map[string]bool{node: false, "": false}
	for _, o := range owners {
		if _, ok := willing[o.Node]; !ok {
			willing[o.Node] = hands(o.Node)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, slot := range list {
		o := owners[i]
		s.learn(slot, o)
		if !willing[o.Node] || s.ended[slot] >= o.Epoch || s.awaited[slot] == o.Epoch {
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

// Released notes that another node has handed over slots, which it had under these
// epochs. Late word of an earlier epoch does not end the wait for a later one.
func (s *Set) Released(list []im.Slot, epochs []im.Epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, slot := range list {
		if epochs[i] <= s.ended[slot] {
			continue
		}
		s.ended[slot] = epochs[i]
		if epochs[i] >= s.awaited[slot] {
			s.rest[slot] = time.Time{}
		}
	}
	s.announce()
}
