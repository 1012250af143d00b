package redis

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// read runs a query on a slot and returns its answer when what it saw is
// durable. Without replicas to wait for it always is: a server answers nobody
// before it has synced what it has written.
func (s *Store) read(ctx context.Context, slot im.Slot, q query, keys, args []string) ([]rueidis.RedisMessage, error) {
	if err := s.life.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.Exit()
	c := &call{place: s.keys.places[slot], script: q.plain, keys: append([]string{s.keys.epoch(slot)}, keys...), args: args}
	if !s.confirms() {
		return s.answer(ctx, 0, c)
	}
	if t := s.book.Sure(slot); t != nil {
		fields, err := s.answer(ctx, 0, c)
		if err != nil {
			return nil, err
		}
		held, err := fields[0].ToString()
		if err != nil {
			return nil, err
		}
		if held == t.Held {
			if durable, err := s.book.Settled(ctx, slot, t); err != nil {
				return nil, err
			} else if durable {
				return fields, nil
			}
		}
	}
	// Somebody else may be writing to the slot.
	c.script = q.guarded
	return s.answer(ctx, confirmed, c)
}

// answer runs a call whose script answers the epoch and more.
func (s *Store) answer(ctx context.Context, m mode, c *call) ([]rueidis.RedisMessage, error) {
	c.outcome = waiting
	if err := s.run(ctx, m, []*call{c}); err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	fields, err := c.answer.ToArray()
	if err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	if len(fields) < 2 {
		return nil, store.Corruptf("a script answered %d fields", len(fields))
	}
	return fields, nil
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, a im.Addr, tail func([]store.Record) im.Seq) (store.Entity, error) {
	fields, err := s.read(ctx, a.Slot(), s.scripts.records, []string{s.keys.records(a)}, nil)
	if err != nil {
		return store.Entity{}, err
	}
	var e store.Entity
	if e.Records, err = recordsOf(fields[1]); err != nil {
		return store.Entity{}, err
	}
	from := tail(e.Records) + 1
	e.Tail, err = s.entries(ctx, a, from, math.MaxInt32, math.MaxInt)
	if err != nil {
		return store.Entity{}, err
	}
	if len(e.Tail) > 0 && e.Tail[0].Seq != from {
		return store.Entity{}, store.Corruptf("the log of %v begins at %d, and its records include only what is before %d", a, e.Tail[0].Seq, from)
	}
	return e, nil
}

// recordsOf reads the fields of a hash, by ascending key.
func recordsOf(m rueidis.RedisMessage) ([]store.Record, error) {
	pairs, err := m.ToArray()
	if err != nil {
		return nil, err
	}
	recs := make([]store.Record, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		key, err := pairs[i].ToString()
		if err != nil {
			return nil, err
		}
		value, err := pairs[i+1].AsBytes()
		if err != nil {
			return nil, err
		}
		recs = append(recs, store.Record{Key: key, Value: value})
	}
	slices.SortFunc(recs, func(a, b store.Record) int { return strings.Compare(a.Key, b.Key) })
	return recs, nil
}

// ReadLog implements store.Store.
func (s *Store) ReadLog(ctx context.Context, a im.Addr, from im.Seq, limit, maxBytes int) ([]store.Entry, error) {
	return s.entries(ctx, a, from, limit, maxBytes)
}

// maxSeq is the highest sequence that a script can reckon with.
const maxSeq = 1 << 53

func (s *Store) entries(ctx context.Context, a im.Addr, from im.Seq, limit, maxBytes int) ([]store.Entry, error) {
	if from == 0 || from > maxSeq || limit <= 0 {
		return nil, nil
	}
	args := []string{strconv.FormatUint(uint64(from), 10), strconv.Itoa(limit), strconv.Itoa(maxBytes)}
	fields, err := s.read(ctx, a.Slot(), s.scripts.entries, []string{s.keys.log(a)}, args)
	if err != nil {
		return nil, err
	}
	if len(fields) != 3 {
		return nil, store.Corruptf("a log was read as %d fields", len(fields))
	}
	text, err := fields[1].ToString()
	if err != nil {
		return nil, err
	}
	first, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return nil, store.Corruptf("the log of %v begins at %q", a, text)
	}
	values, err := fields[2].ToArray()
	if err != nil {
		return nil, err
	}
	entries := make([]store.Entry, len(values))
	for i := range values {
		v, err := values[i].AsBytes()
		if err != nil {
			return nil, err
		}
		entries[i] = store.Entry{Seq: im.Seq(first) + im.Seq(i), Value: v}
	}
	return entries, nil
}

// Pending implements store.Store.
func (s *Store) Pending(ctx context.Context, slot im.Slot) ([]im.Addr, error) {
	if err := store.CheckSlots(slot); err != nil {
		return nil, err
	}
	fields, err := s.read(ctx, slot, s.scripts.pending, []string{s.keys.pending(slot)}, nil)
	if err != nil {
		return nil, err
	}
	marks, err := fields[1].AsStrSlice()
	if err != nil {
		return nil, err
	}
	addrs := make([]im.Addr, len(marks))
	for i, mark := range marks {
		if addrs[i], err = parseEntity(mark); err != nil {
			return nil, err
		}
	}
	return addrs, nil
}
