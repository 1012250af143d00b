package mailbox

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// stage is how far a slot is from being served here.
type stage uint8

const (
	// absent: it is not served.
	absent stage = iota
	// acquiring: it is being acquired.
	acquiring
	// starting: it has been acquired, and its shard is being told.
	starting
	// served: its shard has it.
	served
	// leaving: its shard is handing it over.
	leaving
)

// slots are what this node is to serve, and what it does.
type slots struct {
	mu    sync.Mutex
	want  [im.Slots]bool
	stage [im.Slots]stage
	epoch [im.Slots]im.Epoch
	// known is who has acquired a slot last, as far as this node has heard; ended
	// is the last epoch that its owner has ended itself, awaited the one whose
	// end was waited for. They are nil where there are no other nodes.
	known          []im.Owner
	ended, awaited []im.Epoch
	// rest is until when a slot is not acquired again: another node has just
	// acquired it, or the store could not be asked.
	rest [im.Slots]time.Time
	// missing counts those that are wanted and not served.
	missing atomic.Int64
	// here is the same as served, without the lock.
	here [im.Slots]atomic.Bool
	// changed is closed when something has.
	changed chan struct{}
}

func newSlots(shared bool) *slots {
	s := &slots{changed: make(chan struct{})}
	if shared {
		s.known, s.ended, s.awaited = make([]im.Owner, im.Slots), make([]im.Epoch, im.Slots), make([]im.Epoch, im.Slots)
	}
	return s
}

// set moves a slot on. The caller has the mutex.
func (s *slots) set(slot im.Slot, to stage) {
	s.stage[slot] = to
	s.here[slot].Store(to == served)
}

// announce wakes those who wait for a change. The caller has the mutex.
func (s *slots) announce() {
	n := int64(0)
	for i, st := range s.stage {
		if s.want[i] && st != served {
			n++
		}
	}
	s.missing.Store(n)
	close(s.changed)
	s.changed = make(chan struct{})
}

// assign says which slots are to be served.
func (s *slots) assign(list []im.Slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want = [im.Slots]bool{}
	for _, slot := range list {
		s.want[slot] = true
	}
	s.announce()
}

// plan takes what is to be acquired and what is to be handed over now, and
// returns when to look again without being asked; zero: never.
func (s *slots) plan(now time.Time) (acquire, leave []im.Slot, again time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.stage {
		slot := im.Slot(i)
		switch {
		case s.want[i] && s.stage[i] == absent:
			if rest := s.rest[i]; now.Before(rest) {
				if again.IsZero() || rest.Before(again) {
					again = rest
				}
				continue
			}
			s.set(slot, acquiring)
			acquire = append(acquire, slot)
		case !s.want[i] && s.stage[i] == served:
			s.set(slot, leaving)
			leave = append(leave, slot)
		}
	}
	return acquire, leave, again
}

// stillWanted are those of the slots being acquired that are still to be served;
// the others are absent from now on.
func (s *slots) stillWanted(list []im.Slot) []im.Slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := make([]im.Slot, 0, len(list))
	for _, slot := range list {
		if s.want[slot] {
			kept = append(kept, slot)
		} else {
			s.set(slot, absent)
		}
	}
	return kept
}

// acquired notes that this node has acquired slots. Shards may lose them again as
// soon as they hear of it, so it is noted before.
func (s *slots) acquired(node string, list []im.Slot, epochs []im.Epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, slot := range list {
		s.epoch[slot] = epochs[i]
		s.learn(slot, im.Owner{Node: node, Epoch: epochs[i]})
		s.set(slot, starting)
	}
}

// started notes that shards have slots, unless they have lost them since.
func (s *slots) started(list []im.Slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slot := range list {
		if s.stage[slot] == starting {
			s.set(slot, served)
		}
	}
	s.announce()
}

// learn notes who has acquired a slot, unless somebody else has since. The caller
// has the mutex.
func (s *slots) learn(slot im.Slot, o im.Owner) {
	if s.known != nil && o.Epoch > s.known[slot].Epoch {
		s.known[slot] = o
	}
}

// ownerOf is who has acquired a slot last; nil: it is not known.
func (s *slots) ownerOf(slot im.Slot) *im.Owner {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[slot].Epoch == 0 {
		return nil
	}
	o := s.known[slot]
	return &o
}

// gone notes that slots in one of some stages are not served any more, and not
// to be acquired before a time. It returns how many of them are wanted.
func (s *slots) gone(list []im.Slot, rest time.Time, from ...stage) (wanted int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slot := range list {
		for _, st := range from {
			if s.stage[slot] == st {
				s.set(slot, absent)
				s.rest[slot] = rest
				break
			}
		}
		if s.want[slot] {
			wanted++
		}
	}
	s.announce()
	return wanted
}

// overtaken are those of some slots that are served here, and that another node has
// acquired under later epochs; the epochs are those that they had here. doubt:
// some are served here, and the other's epochs are not known.
func (s *slots) overtaken(list []im.Slot, epochs []im.Epoch) (lost []im.Slot, old []im.Epoch, doubt bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, slot := range list {
		switch {
		case s.stage[slot] != served && s.stage[slot] != starting:
		case len(epochs) == 0:
			doubt = true
		case epochs[i] > s.epoch[slot]:
			lost, old = append(lost, slot), append(old, s.epoch[slot])
		}
	}
	return lost, old, doubt
}

// left notes that slots have been handed over, and returns the epochs that have
// ended thereby.
func (s *slots) left(list []im.Slot) []im.Epoch {
	s.gone(list, time.Time{}, leaving)
	s.mu.Lock()
	defer s.mu.Unlock()
	epochs := make([]im.Epoch, len(list))
	for i, slot := range list {
		epochs[i] = s.epoch[slot]
	}
	return epochs
}

// held are the slots that are served, and their epochs.
func (s *slots) held() (list []im.Slot, epochs []im.Epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, st := range s.stage {
		if st == served {
			list, epochs = append(list, im.Slot(i)), append(epochs, s.epoch[i])
		}
	}
	return list, epochs
}

// count is how many are served.
func (s *slots) count() int {
	list, _ := s.held()
	return len(list)
}

// settled reports whether nothing is to be done, and what to wait for if not.
func (s *slots) settled() (bool, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, st := range s.stage {
		if s.want[i] != (st == served) || st == leaving {
			return false, s.changed
		}
	}
	return true, nil
}

// watch is closed at the next change.
func (s *slots) watch() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}
