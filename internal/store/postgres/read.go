package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// read runs a query on a slot, whose rows begin with the owner, and returns them
// without that when what they say is durable.
//
// A transaction that is visible is durable as a rule: it is shown when standbys
// have it. It is not where somebody has put an end to the waiting, and not on a
// primary that crashed while it waited and was started again.
func (s *Store) read(ctx context.Context, slot im.Slot, q *query) ([][][]byte, error) {
	if err := s.life.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.Exit()
	if s.wanted == 0 {
		return s.rows(ctx, 0, q, q)
	}
	if t := s.book.Sure(slot); t != nil {
		rows, err := s.rows(ctx, 0, q, q)
		if err != nil {
			return nil, err
		}
		if im.Epoch(asInt8(q.rows[0][0])) == t.Epoch && asInt8(q.rows[0][1]) == s.writer {
			if durable, err := s.book.Settled(ctx, slot, t); err != nil {
				return nil, err
			} else if durable {
				return rows, nil
			}
		}
	}
	// Somebody else may be writing to the slot: what is in the log before the
	// read is on standbys when what the read itself writes is.
	return s.rows(ctx, confirmed, q, &query{st: sqlTouch}, q)
}

// rows runs queries, and returns what one of them found.
func (s *Store) rows(ctx context.Context, m mode, q *query, queries ...*query) ([][][]byte, error) {
	if err := s.run(ctx, s.reads, m, queries...); err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	if len(q.rows) == 0 || len(q.rows[0]) != 4 {
		return nil, store.Corruptf("a slot is not in the table of owners")
	}
	if len(q.rows) == 1 && q.rows[0][2] == nil {
		return nil, nil
	}
	return q.rows, nil
}

// entityParams are the parameters by which an entity is found.
func entityParams(a im.Addr) [][]byte {
	return [][]byte{int2Param(uint16(a.Slot())), int2Param(uint16(a.Kind)), int8Param(a.ID)}
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, a im.Addr, tail func([]store.Record) im.Seq) (store.Entity, error) {
	rows, err := s.read(ctx, a.Slot(), &query{st: sqlRecords, params: entityParams(a)})
	if err != nil {
		return store.Entity{}, err
	}
	var e store.Entity
	for _, row := range rows {
		e.Records = append(e.Records, store.Record{Key: string(row[2]), Value: row[3]})
	}
	from := tail(e.Records) + 1
	e.Tail, err = s.entries(ctx, a, from, math.MaxInt, math.MaxInt)
	if err != nil {
		return store.Entity{}, err
	}
	if len(e.Tail) > 0 && e.Tail[0].Seq != from {
		return store.Entity{}, store.Corruptf("the log of %v begins at %d, and its records include only what is before %d", a, e.Tail[0].Seq, from)
	}
	return e, nil
}

// ReadLog implements store.Store.
func (s *Store) ReadLog(ctx context.Context, a im.Addr, from im.Seq, limit, maxBytes int) ([]store.Entry, error) {
	return s.entries(ctx, a, from, limit, maxBytes)
}

func (s *Store) entries(ctx context.Context, a im.Addr, from im.Seq, limit, maxBytes int) ([]store.Entry, error) {
	if from == 0 || from > maxSeq || limit <= 0 {
		return nil, nil
	}
	q := &query{st: sqlEntries, params: append(entityParams(a), int8Param(uint64(from)), int8Param(uint64(limit)), int8Param(uint64(maxBytes)))}
	rows, err := s.read(ctx, a.Slot(), q)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	entries := make([]store.Entry, len(rows))
	for i, row := range rows {
		entries[i] = store.Entry{Seq: im.Seq(asInt8(row[2])), Value: row[3]}
		if i > 0 && entries[i].Seq != entries[i-1].Seq+1 {
			return nil, store.Corruptf("the log of %v goes on with %d after %d", a, entries[i].Seq, entries[i-1].Seq)
		}
	}
	return entries, nil
}

// Pending implements store.Store.
func (s *Store) Pending(ctx context.Context, slot im.Slot) ([]im.Addr, error) {
	if err := store.CheckSlots(slot); err != nil {
		return nil, err
	}
	rows, err := s.read(ctx, slot, &query{st: sqlPending, params: [][]byte{int2Param(uint16(slot))}})
	if err != nil {
		return nil, err
	}
	addrs := make([]im.Addr, len(rows))
	for i, row := range rows {
		addrs[i] = asAddr(row[2], row[3])
	}
	return addrs, nil
}

// Columns in the server's binary format.

func asInt2(b []byte) uint16 {
	if len(b) != 2 {
		return math.MaxUint16
	}
	return binary.BigEndian.Uint16(b)
}

func asInt8(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func asAddr(kind, id []byte) im.Addr { return im.Addr{Kind: im.Kind(asInt2(kind)), ID: asInt8(id)} }
