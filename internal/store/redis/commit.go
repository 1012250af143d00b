package redis

import (
	"context"
	"errors"
	"strings"

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
	calls := make([]*call, len(c.Parts))
	for i := range c.Parts {
		if calls[i], err = s.encode(&c.Parts[i]); err != nil {
			return err
		}
	}
	return c.Write(func() (fenced []im.Slot, err error) {
		if err = s.run(context.WithoutCancel(ctx), once|confirmed, calls); err == nil {
			fenced, err = s.fencedOf(c.Parts, calls)
		}
		if err != nil {
			s.complain(len(calls), err)
		}
		return fenced, err
	})
}

// fencedOf reads which parts were refused: a script that meets another tenure
// answers with it.
func (s *Store) fencedOf(parts []tenure.Part, calls []*call) (fenced []im.Slot, err error) {
	for i, c := range calls {
		if _, err := c.answer.ToInt64(); err == nil {
			continue
		}
		held, err := c.answer.ToString()
		if err != nil {
			return nil, err
		}
		s.log.Debug("a commit was fenced", "slot", parts[i].Slot, "wanted", parts[i].Tenure.Held, "held", held)
		fenced = append(fenced, parts[i].Slot)
	}
	return fenced, nil
}

// complain tells the operator of a commit that failed.
func (s *Store) complain(slots int, err error) {
	if strings.Contains(err.Error(), "HOLE ") {
		s.book.Holes.Add(1)
		s.log.Error("a log in Redis does not end where it was written to: acknowledged messages are gone", "err", err)
		return
	}
	var replicas *ReplicaError
	if errors.As(err, &replicas) {
		s.log.Error("too few replicas confirm writes: nothing is acknowledged until they do",
			"server", replicas.Addr, "confirmed", replicas.Confirmed, "wanted", replicas.Wanted)
		return
	}
	s.log.Error("a commit to Redis failed", "slots", slots, "err", err)
}
