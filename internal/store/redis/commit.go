package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Commit implements store.Store. Once it has begun, ctx does not end it: its
// fate should be known.
func (s *Store) Commit(ctx context.Context, b *store.Batch) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.exit()
	parts, fenced, err := s.cut(b)
	if err != nil {
		return err
	}
	if len(parts) > 0 {
		lost, err := s.write(context.WithoutCancel(ctx), parts)
		if err != nil {
			return err
		}
		fenced = append(fenced, lost...)
	}
	if len(fenced) > 0 {
		s.counts.fenced.Add(uint64(len(fenced)))
		return &store.SlotError{Slots: fenced}
	}
	return nil
}

// part is what a batch does to one slot.
type part struct {
	slot    im.Slot
	tenure  *tenure
	changes []*store.Change
}

// cut splits a batch by slots, without those whose epoch is surely not
// current: this store has not got it, or has got a newer one since.
func (s *Store) cut(b *store.Batch) (parts []*part, fenced []im.Slot, err error) {
	bySlot := make(map[im.Slot]*part, len(b.Changes))
	stale := map[im.Slot]bool{}
	for i := range b.Changes {
		c := &b.Changes[i]
		slot := c.Addr.Slot()
		p := bySlot[slot]
		if p == nil {
			p = &part{slot: slot, tenure: s.tenures[slot].Load()}
			bySlot[slot] = p
			parts = append(parts, p)
		}
		if p.tenure == nil || c.Epoch != p.tenure.epoch {
			stale[slot] = true
		} else if p.tenure.doubtful {
			return nil, nil, fmt.Errorf("nobody knows what became of an earlier commit for slot %d: acquire it again", slot)
		}
		p.changes = append(p.changes, c)
	}
	if len(stale) > 0 {
		parts = slices.DeleteFunc(parts, func(p *part) bool {
			if stale[p.slot] {
				fenced = append(fenced, p.slot)
			}
			return stale[p.slot]
		})
	}
	return parts, fenced, nil
}

// write commits parts, and returns the slots that turned out to be fenced.
func (s *Store) write(ctx context.Context, parts []*part) (fenced []im.Slot, err error) {
	calls := make([]*call, len(parts))
	in := &inflight{done: make(chan struct{})}
	for i, p := range parts {
		if calls[i], err = s.encode(p); err != nil {
			return nil, err
		}
	}
	for _, p := range parts {
		s.inflight[p.slot].Store(in)
	}
	start := time.Now()
	err = s.run(ctx, once|confirmed, calls)
	if err == nil {
		fenced, err = s.fencedOf(parts, calls)
	}
	if err != nil {
		s.doubt(parts, err)
	} else {
		s.counts.committed(time.Since(start))
	}
	for _, p := range parts {
		s.inflight[p.slot].CompareAndSwap(in, nil)
	}
	close(in.done)
	return fenced, err
}

// fencedOf reads which parts were refused: a script that meets another tenure
// answers with it.
func (s *Store) fencedOf(parts []*part, calls []*call) (fenced []im.Slot, err error) {
	for i, c := range calls {
		if _, err := c.answer.ToInt64(); err == nil {
			continue
		}
		held, err := c.answer.ToString()
		if err != nil {
			return nil, err
		}
		s.log.Debug("a commit was fenced", "slot", parts[i].slot, "wanted", parts[i].tenure.held, "held", held)
		fenced = append(fenced, parts[i].slot)
	}
	return fenced, nil
}

// doubt ends the tenures of a commit that failed.
func (s *Store) doubt(parts []*part, err error) {
	for _, p := range parts {
		doubtful := *p.tenure
		doubtful.doubtful = true
		s.tenures[p.slot].CompareAndSwap(p.tenure, &doubtful)
	}
	if strings.Contains(err.Error(), "HOLE ") {
		s.counts.holes.Add(1)
		s.log.Error("a log in Redis does not end where it was written to: acknowledged messages are gone", "err", err)
		return
	}
	var replicas *ReplicaError
	if errors.As(err, &replicas) {
		s.log.Error("too few replicas confirm writes: nothing is acknowledged until they do",
			"server", replicas.Addr, "confirmed", replicas.Confirmed, "wanted", replicas.Wanted)
		return
	}
	s.log.Error("a commit to Redis failed", "slots", len(parts), "err", err)
}
