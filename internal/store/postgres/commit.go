package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

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
	in := &inflight{done: make(chan struct{})}
	for _, p := range parts {
		s.inflight[p.slot].Store(in)
	}
	start := time.Now()
	all := parts
	for len(parts) > 0 && err == nil {
		var lost []im.Slot
		if lost, err = s.writeUnlessFenced(ctx, parts); len(lost) == 0 {
			break
		}
		fenced = append(fenced, lost...)
		parts = slices.DeleteFunc(slices.Clone(parts), func(p *part) bool { return slices.Contains(lost, p.slot) })
	}
	if err != nil {
		s.doubt(all, err)
	} else {
		s.counts.committed(time.Since(start))
	}
	for _, p := range all {
		s.inflight[p.slot].CompareAndSwap(in, nil)
	}
	close(in.done)
	return fenced, err
}

// writeUnlessFenced commits parts, or nothing if it returns slots that another
// store has acquired.
func (s *Store) writeUnlessFenced(ctx context.Context, parts []*part) ([]im.Slot, error) {
	q, err := s.encode(parts)
	if err != nil {
		return nil, err
	}
	if err := s.run(ctx, s.writes, once|confirmed, q); err != nil {
		return nil, err
	}
	if len(q.rows) != 1 || len(q.rows[0]) != 1 {
		return nil, corruptf("a commit was answered with %d rows", len(q.rows))
	}
	return readSlots(q.rows[0][0])
}

// doubt ends the tenures of a commit that failed.
func (s *Store) doubt(parts []*part, err error) {
	for _, p := range parts {
		doubtful := *p.tenure
		doubtful.doubtful = true
		s.tenures[p.slot].CompareAndSwap(p.tenure, &doubtful)
	}
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) && (refusal.Code == codeHole || refusal.Code == codeDuplicate) {
		s.counts.holes.Add(1)
		s.log.Error("a log in PostgreSQL does not end where it was written to: acknowledged messages are gone", "err", err, "detail", refusal.Detail)
		return
	}
	var standbys *StandbyError
	if errors.As(err, &standbys) {
		s.log.Error("too few standbys confirm writes: nothing is acknowledged until they do", "wanted", s.wanted, "because", standbys.Because)
		return
	}
	s.log.Error("a commit to PostgreSQL failed", "slots", len(parts), "err", err)
}
