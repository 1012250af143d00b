package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/tenure"
)

// Commit implements store.Store. Once it has begun, ctx does not end it: its
// fate should be known.
func (s *Store) Commit(ctx context.Context, b *store.Batch) error {
	if err := s.life.Enter(ctx); err != nil {
		return err
	}
	defer s.life.Exit()
	c, err := s.book.Cut(b)
	if err != nil {
		return err
	}
	return c.Write(func() ([]im.Slot, error) {
		fenced, err := s.write(context.WithoutCancel(ctx), c.Parts)
		if err != nil {
			s.complain(len(c.Parts), err)
		}
		return fenced, err
	})
}

// write commits parts, and returns the slots that turned out to be fenced.
func (s *Store) write(ctx context.Context, parts []tenure.Part) (fenced []im.Slot, err error) {
	for len(parts) > 0 {
		lost, err := s.writeUnlessFenced(ctx, parts)
		if err != nil || len(lost) == 0 {
			return fenced, err
		}
		fenced = append(fenced, lost...)
		parts = slices.DeleteFunc(slices.Clone(parts), func(p tenure.Part) bool { return slices.Contains(lost, p.Slot) })
	}
	return fenced, nil
}

// writeUnlessFenced commits parts, or nothing if it returns slots that another
// store has acquired.
func (s *Store) writeUnlessFenced(ctx context.Context, parts []tenure.Part) ([]im.Slot, error) {
	q, err := s.encode(parts)
	if err != nil {
		return nil, err
	}
	if err := s.run(ctx, s.writes, once|confirmed, q); err != nil {
		return nil, err
	}
	if len(q.rows) != 1 || len(q.rows[0]) != 1 {
		return nil, store.Corruptf("a commit was answered with %d rows", len(q.rows))
	}
	return readSlots(q.rows[0][0])
}

// complain tells the operator of a commit that failed.
func (s *Store) complain(slots int, err error) {
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) && (refusal.Code == codeHole || refusal.Code == codeDuplicate) {
		s.book.Holes.Add(1)
		s.log.Error("a log in PostgreSQL does not end where it was written to: acknowledged messages are gone", "err", err, "detail", refusal.Detail)
		return
	}
	var standbys *StandbyError
	if errors.As(err, &standbys) {
		s.log.Error("too few standbys confirm writes: nothing is acknowledged until they do", "wanted", s.wanted, "because", standbys.Because)
		return
	}
	s.log.Error("a commit to PostgreSQL failed", "slots", slots, "err", err)
}
