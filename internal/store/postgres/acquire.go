package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/tenure"
)

// Acquire implements store.Store. It waits for the commits under way of those who
// have the slots. What they have written is durable too when it returns: it came
// before in the server's log, which standbys have up to the acquisition.
func (s *Store) Acquire(ctx context.Context, owner string, slots []im.Slot) ([]im.Epoch, error) {
	if err := s.life.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.Exit()
	if err := store.CheckSlots(slots...); err != nil || len(slots) == 0 {
		return nil, err
	}
	var wanted, seen array
	for _, slot := range slots {
		wanted.int2(uint16(slot))
		seen.int8(uint64(s.book.Epoch(slot)))
	}
	q := &query{st: sqlAcquire, params: [][]byte{int8Param(s.writer), []byte(owner), wanted.param(oidInt2), seen.param(oidInt8)}}
	if err := s.acquire(ctx, q, &wanted); err != nil {
		return nil, fmt.Errorf("acquire %d slots: %w", len(slots), err)
	}
	return s.begin(slots, q.rows)
}

// acquire runs an acquisition. A session that keeps it waiting is ended: its
// process has stopped in the middle of sending, or its machine is gone.
func (s *Store) acquire(ctx context.Context, q *query, slots *array) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	for attempt := 0; ; attempt++ {
		err := s.run(ctx, s.writes, confirmed|impatient, q)
		var refusal *pgconn.PgError
		if err == nil || !errors.As(err, &refusal) || refusal.Code != codeLock {
			return err
		}
		evict := &query{st: sqlEvict, params: [][]byte{slots.param(oidInt2)}}
		if err := s.run(ctx, s.reads, 0, evict); err != nil {
			return err
		}
		select {
		case <-time.After(retryPause(attempt)):
		case <-ctx.Done():
			return err
		}
	}
}

// begin notes the tenures that an acquisition has brought.
func (s *Store) begin(slots []im.Slot, rows [][][]byte) ([]im.Epoch, error) {
	got := make(map[im.Slot]im.Epoch, len(rows))
	for _, row := range rows {
		got[im.Slot(asInt2(row[0]))] = im.Epoch(asInt8(row[1]))
	}
	epochs := make([]im.Epoch, len(slots))
	for i, slot := range slots {
		if epochs[i] = got[slot]; epochs[i] == 0 {
			return nil, store.Corruptf("slot %d is not in the table of owners", slot)
		}
	}
	for i, slot := range slots {
		s.book.Begin(slot, tenure.Tenure{Epoch: epochs[i]})
	}
	return epochs, nil
}

// Owners implements store.Store.
func (s *Store) Owners(ctx context.Context, slots []im.Slot) ([]store.Owner, error) {
	if err := s.life.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.Exit()
	if err := store.CheckSlots(slots...); err != nil || len(slots) == 0 {
		return nil, err
	}
	var of array
	for _, slot := range slots {
		of.int2(uint16(slot))
	}
	q := &query{st: sqlOwners, params: [][]byte{of.param(oidInt2)}}
	if err := s.run(ctx, s.reads, 0, q); err != nil {
		return nil, fmt.Errorf("read who owns %d slots: %w", len(slots), err)
	}
	found := make(map[im.Slot]store.Owner, len(q.rows))
	for _, row := range q.rows {
		if epoch := asInt8(row[1]); epoch > 0 {
			found[im.Slot(asInt2(row[0]))] = store.Owner{Node: string(row[2]), Epoch: im.Epoch(epoch)}
		}
	}
	owners := make([]store.Owner, len(slots))
	for i, slot := range slots {
		owners[i] = found[slot]
	}
	return owners, nil
}
