package standby

import (
	"context"
	"errors"
	"time"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// share is a batch's part for one slot.
type share struct {
	slot    im.Slot
	changes []*store.Change
	// number is that of the commit; 0: it changes nothing.
	number uint64
	frame  []byte
}

// Commit implements store.Store.
func (s *Source) Commit(ctx context.Context, b *store.Batch) error {
	shares := split(b)
	s.number(shares)
	numbered := store.Batch{Changes: append(make([]store.Change, 0, len(b.Changes)+len(shares)), b.Changes...)}
	for _, sh := range shares {
		if sh.number == 0 {
			continue
		}
		if err := sh.encode(); err != nil {
			return err
		}
		numbered.Changes = append(numbered.Changes, store.Change{
			Addr: positions()[sh.slot], Epoch: sh.changes[0].Epoch, Put: position{number: sh.number}.records(),
		})
	}
	err := s.Engine.Commit(ctx, &numbered)
	var fenced *store.SlotError
	if err != nil && !errors.As(err, &fenced) {
		return err
	}
	kept := s.committed(shares, fenced)
	if s.cfg.Sync && len(kept) > 0 {
		if waitErr := s.wait(ctx, kept, nil); waitErr != nil {
			return waitErr
		}
	}
	return err
}

// split lists what a batch does by slot, in its order.
func split(b *store.Batch) []*share {
	var shares []*share
	at := map[im.Slot]*share{}
	for i := range b.Changes {
		c := &b.Changes[i]
		slot := c.Addr.Slot()
		sh := at[slot]
		if sh == nil {
			sh = &share{slot: slot}
			at[slot] = sh
			shares = append(shares, sh)
		}
		sh.changes = append(sh.changes, c)
	}
	return shares
}

// number gives the shares that change something their numbers.
func (s *Source) number(shares []*share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range shares {
		for _, c := range sh.changes {
			if !empty(c) {
				sh.number = s.slots[sh.slot].position + 1
				break
			}
		}
	}
}

// empty: the change only asks whether the slot is still owned.
func empty(c *store.Change) bool {
	return len(c.Append) == 0 && len(c.Put) == 0 && len(c.Delete) == 0 && c.Trim == 0 && c.Pending == store.Keep
}

// encode makes the frame, while the batch is still there.
func (sh *share) encode() (err error) {
	m := &storev1.StandbyChanges{Slot: uint32(sh.slot), Position: sh.number}
	for _, c := range sh.changes {
		if !empty(c) {
			m.Changes = append(m.Changes, changeToProto(c))
		}
	}
	sh.frame, err = appendFrame(nil, frameChanges, m)
	return err
}

func changeToProto(c *store.Change) *storev1.StandbyChange {
	return &storev1.StandbyChange{
		Addr: addrToProto(c.Addr), First: uint64(c.First), Append: c.Append, Trim: uint64(c.Trim),
		Put: recordsToProto(c.Put), Delete: c.Delete, Pending: uint32(c.Pending),
	}
}

func addrToProto(a im.Addr) *storev1.Addr { return &storev1.Addr{Kind: uint32(a.Kind), Id: a.ID} }

func recordsToProto(recs []store.Record) []*storev1.StandbyRecord {
	list := make([]*storev1.StandbyRecord, len(recs))
	for i := range recs {
		list[i] = &storev1.StandbyRecord{Key: recs[i].Key, Value: recs[i].Value}
	}
	return list
}

// committed queues what the engine has, and returns the slots that it took.
func (s *Source) committed(shares []*share, fenced *store.SlotError) (kept []im.Slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, sh := range shares {
		sl := &s.slots[sh.slot]
		if fenced != nil && fenced.Fenced(sh.slot) {
			sl.epoch = 0
			if sl.phase == unasked || sl.phase == asked {
				s.dropLocked(sl) // no answer will come that says where to go on
			}
			continue
		}
		kept = append(kept, sh.slot)
		if sh.number == 0 {
			continue
		}
		sl.position = sh.number
		sl.queue = append(sl.queue, queued{sh.frame, now})
		sl.bytes += len(sh.frame)
		s.queued += len(sh.frame)
		s.readyLocked(sh.slot)
	}
	s.boundLocked()
	s.nudge()
	return kept
}

// boundLocked drops the largest queues while too much is queued.
func (s *Source) boundLocked() {
	for s.queued > s.cfg.MaxQueuedBytes {
		largest := im.Slot(0)
		for at := range s.slots {
			if s.slots[at].bytes > s.slots[largest].bytes {
				largest = im.Slot(at)
			}
		}
		sl := &s.slots[largest]
		s.stats.Dropped += uint64(len(sl.queue))
		s.dropLocked(sl)
		if sl.phase == following {
			sl.phase = behind
			s.readyLocked(largest)
		}
	}
}
