package slots

import (
	"slices"
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

// Set is what a node is to serve, and what it does.
type Set struct {
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
	// vain: the store has refused to have a slot acquired since it was served.
	vain [im.Slots]bool
	// missing counts those that are wanted and not served.
	missing atomic.Int64
	// here is the same as served, without the lock.
	here [im.Slots]atomic.Bool
	// changed is closed when something has.
	changed chan struct{}
}

// New makes the Set of a node that serves nothing yet; shared: other nodes work on
// the same store.
func New(shared bool) *Set {
	s := &Set{changed: make(chan struct{})}
	if shared {
		s.known, s.ended, s.awaited = make([]im.Owner, im.Slots), make([]im.Epoch, im.Slots), make([]im.Epoch, im.Slots)
	}
	return s
}

// set moves a slot on. The caller has the mutex.
func (s *Set) set(slot im.Slot, to stage) {
	s.stage[slot] = to
	s.here[slot].Store(to == served)
}

// announce wakes those who wait for a change. The caller has the mutex.
func (s *Set) announce() {
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

// Assign says which slots are to be served.
func (s *Set) Assign(list []im.Slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want = [im.Slots]bool{}
	for _, slot := range list {
		s.want[slot] = true
	}
	s.announce()
}

// Plan takes what is to be acquired and what is to be handed over now, and
// returns when to look again without being asked; zero: never.
func (s *Set) Plan(now time.Time) (acquire, leave []im.Slot, again time.Time) {
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

// StillWanted are those of the slots being acquired that are still to be served;
// the others are absent from now on.
func (s *Set) StillWanted(list []im.Slot) []im.Slot {
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

// Acquired notes that this node has acquired slots. Shards may lose them again as
// soon as they hear of it, so it is noted before.
func (s *Set) Acquired(node string, list []im.Slot, epochs []im.Epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, slot := range list {
		s.epoch[slot] = epochs[i]
		s.learn(slot, im.Owner{Node: node, Epoch: epochs[i]})
		s.set(slot, starting)
	}
}

// Started notes that shards have slots, unless they have lost them since.
func (s *Set) Started(list []im.Slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slot := range list {
		if s.stage[slot] == starting {
			s.set(slot, served)
			s.vain[slot] = false
		}
	}
	s.announce()
}

// Learn notes that a node has acquired slots, as far as others have not since.
func (s *Set) Learn(node string, list []im.Slot, epochs []im.Epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, slot := range list {
		s.learn(slot, im.Owner{Node: node, Epoch: epochs[i]})
	}
}

// learn notes who has acquired a slot, unless somebody else has since. The caller
// has the mutex.
func (s *Set) learn(slot im.Slot, o im.Owner) {
	if s.known != nil && o.Epoch > s.known[slot].Epoch {
		s.known[slot] = o
	}
}

// OwnerOf is who has acquired a slot last; nil: it is not known.
func (s *Set) OwnerOf(slot im.Slot) *im.Owner {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[slot].Epoch == 0 {
		return nil
	}
	o := s.known[slot]
	return &o
}

// gone notes that slots in one of some stages are not served any more, and not
// to be acquired before a time. It returns how many of them are wanted. The caller
// has the mutex.
func (s *Set) gone(list []im.Slot, rest time.Time, from ...stage) (wanted int) {
	for _, slot := range list {
		if slices.Contains(from, s.stage[slot]) {
			s.set(slot, absent)
			s.rest[slot] = rest
		}
		if s.want[slot] {
			wanted++
		}
	}
	s.announce()
	return wanted
}

// Refused notes that slots could not be acquired, and are not to be before a time.
func (s *Set) Refused(list []im.Slot, rest time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slot := range list {
		s.vain[slot] = true
	}
	s.gone(list, rest, acquiring)
}

// Lost notes that slots are not served any more, and not to be acquired before a
// time. It returns how many of them are wanted.
func (s *Set) Lost(list []im.Slot, rest time.Time) (wanted int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone(list, rest, starting, served)
}

// Overtaken are those of some slots that are served here, and that another node has
// acquired under later epochs; the epochs are those that they had here. doubt:
// some are served here, and the other's epochs are not known.
func (s *Set) Overtaken(list []im.Slot, epochs []im.Epoch) (lost []im.Slot, old []im.Epoch, doubt bool) {
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

// Left notes that slots have been handed over, and returns the epochs that have
// ended thereby.
func (s *Set) Left(list []im.Slot) []im.Epoch {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone(list, time.Time{}, leaving)
	epochs := make([]im.Epoch, len(list))
	for i, slot := range list {
		epochs[i] = s.epoch[slot]
	}
	return epochs
}

// Held are the slots that are served, and their epochs.
func (s *Set) Held() (list []im.Slot, epochs []im.Epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, st := range s.stage {
		if st == served {
			list, epochs = append(list, im.Slot(i)), append(epochs, s.epoch[i])
		}
	}
	return list, epochs
}

// Count is how many are served.
func (s *Set) Count() int {
	list, _ := s.Held()
	return len(list)
}

// Settled reports whether nothing is to be done, and what to wait for if not.
func (s *Set) Settled() (bool, <-chan struct{}) { return s.all(false) }

// Tried is Settled but for slots that were refused.
func (s *Set) Tried() (bool, <-chan struct{}) { return s.all(true) }

func (s *Set) all(orRefused bool) (bool, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, st := range s.stage {
		excused := orRefused && s.vain[i] && st != leaving
		if !excused && (s.want[i] != (st == served) || st == leaving) {
			return false, s.changed
		}
	}
	return true, nil
}

// Watch is closed at the next change.
func (s *Set) Watch() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Lacking are the slots that are wanted and not served.
func (s *Set) Lacking() (list []im.Slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, st := range s.stage {
		if s.want[i] && st != served {
			list = append(list, im.Slot(i))
		}
	}
	return list
}

// Missing counts the slots that are wanted and not served.
func (s *Set) Missing() int64 { return s.missing.Load() }

// Serves reports whether a slot is served.
func (s *Set) Serves(slot im.Slot) bool { return s.here[slot].Load() }
