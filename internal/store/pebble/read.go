package pebble

import (
	"context"
	"errors"
	"fmt"
	"math"

	pebbledb "github.com/cockroachdb/pebble/v2"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// read runs f on an iterator, which sees the store as it is now, and returns
// when what it saw is durable.
func (s *Store) read(ctx context.Context, slot im.Slot, opts *pebbledb.IterOptions, f func(*pebbledb.Iterator) error) error {
	if err := s.life.Enter(ctx); err != nil {
		return err
	}
	defer s.life.Exit()
	if err := errors.Join(s.Err(), ctx.Err()); err != nil {
		return err
	}
	it, err := s.db.NewIterWithContext(ctx, opts)
	if err != nil {
		return readError(err)
	}
	err = f(it)
	if err := readError(errors.Join(err, it.Error(), it.Close())); err != nil {
		return err
	}
	// A commit that the iterator saw had announced itself before.
	if in := s.inflight[slot].Load(); in != nil {
		select {
		case <-in.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return s.Err()
}

// readError names the kind of a failed read.
func readError(err error) error {
	if err != nil && pebbledb.IsCorruptionError(err) {
		return corruptf("%v", err)
	}
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		return fmt.Errorf("read the store: %w", err)
	}
	return err
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, a im.Addr, tail func([]store.Record) im.Seq) (store.Entity, error) {
	var e store.Entity
	err := s.read(ctx, a.Slot(), nil, func(it *pebbledb.Iterator) (err error) {
		if e.Records, err = records(it, a); err != nil {
			return err
		}
		l := logReader{it: it, addr: a, limit: math.MaxInt, maxBytes: math.MaxInt, mustStart: true}
		e.Tail, err = l.read(tail(e.Records) + 1)
		return err
	})
	if err != nil {
		return store.Entity{}, err
	}
	return e, nil
}

// ReadLog implements store.Store.
func (s *Store) ReadLog(ctx context.Context, a im.Addr, from im.Seq, limit, maxBytes int) ([]store.Entry, error) {
	var entries []store.Entry
	err := s.read(ctx, a.Slot(), nil, func(it *pebbledb.Iterator) (err error) {
		l := logReader{it: it, addr: a, limit: limit, maxBytes: maxBytes}
		entries, err = l.read(from)
		return err
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}

// Pending implements store.Store.
func (s *Store) Pending(ctx context.Context, slot im.Slot) ([]im.Addr, error) {
	if err := store.CheckSlots(slot); err != nil {
		return nil, err
	}
	var addrs []im.Addr
	var prefix [epochKeyLen]byte
	putEpochKey(prefix[:], slot)
	prefix[0] = keyPending
	err := s.read(ctx, slot, spanOf(prefix[:]), func(it *pebbledb.Iterator) error {
		for ok := it.First(); ok; ok = it.Next() {
			a, err := entityOf(it.Key())
			if err != nil {
				return err
			}
			addrs = append(addrs, a)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return addrs, nil
}

// records reads all records of an entity, by ascending key.
func records(it *pebbledb.Iterator, a im.Addr) ([]store.Record, error) {
	var prefix [entityKeyLen]byte
	putEntityKey(prefix[:], keyRecord, a)
	var recs []store.Record
	for ok := it.SeekPrefixGE(prefix[:]); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		value := make([]byte, len(v))
		copy(value, v)
		recs = append(recs, store.Record{Key: string(it.Key()[entityKeyLen:]), Value: value})
	}
	return recs, it.Error() // the next seek forgets it
}

// logReader reads consecutive entries of a log.
type logReader struct {
	it              *pebbledb.Iterator
	addr            im.Addr
	limit, maxBytes int
	// mustStart: a log that has entries after from, but not from itself,
	// is damaged, not trimmed.
	mustStart bool

	entries []store.Entry
	bytes   int
}

// full reports whether no more entries are wanted.
func (l *logReader) full() bool {
	return len(l.entries) >= l.limit || l.bytes > l.maxBytes
}

// read returns the entries from a sequence on.
func (l *logReader) read(from im.Seq) ([]store.Entry, error) {
	if from == 0 || l.limit <= 0 {
		return nil, nil
	}
	var key [logKeyLen]byte
	putLogKey(key[:], l.addr, from)
	next := from
	for ok := l.it.SeekPrefixGE(key[:]); ok && !l.full(); ok = l.it.Next() {
		first, last, c, err := l.chunk()
		if err != nil {
			return nil, err
		}
		if first > next && next == from && !l.mustStart {
			next = first // what was before is trimmed
		}
		if first > next {
			return nil, corruptf("the log of %v has a hole from %d to %d", l.addr, next, first-1)
		}
		for range next - first {
			c.next()
		}
		l.take(next, &c)
		next = last + 1
	}
	return l.entries, l.it.Error()
}

// chunk decodes the chunk at the iterator.
func (l *logReader) chunk() (first, last im.Seq, c chunk, err error) {
	v, err := l.it.ValueAndErr()
	if err != nil {
		return 0, 0, chunk{}, err
	}
	if last, err = logKeySeq(l.it.Key()); err != nil {
		return 0, 0, chunk{}, err
	}
	if c, err = parseChunk(v); err != nil {
		return 0, 0, chunk{}, err
	}
	if c.n > uint64(last) {
		return 0, 0, chunk{}, corruptf("chunk of %v up to %d with %d entries", l.addr, last, c.n)
	}
	return last - im.Seq(c.n) + 1, last, c, nil
}

// take copies the rest of a chunk out of the iterator's memory, in one piece,
// as far as it is wanted.
func (l *logReader) take(seq im.Seq, c *chunk) {
	start, size := len(l.entries), 0
	for ; c.n > 0 && !l.full(); seq++ {
		v := c.next()
		l.entries = append(l.entries, store.Entry{Seq: seq, Value: v})
		l.bytes += len(v)
		size += len(v)
	}
	buf := make([]byte, 0, size)
	for i := start; i < len(l.entries); i++ {
		n := len(buf)
		buf = append(buf, l.entries[i].Value...)
		l.entries[i].Value = buf[n:len(buf):len(buf)]
	}
}
