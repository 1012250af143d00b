package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	pebbledb "github.com/cockroachdb/pebble/v2"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Commit implements store.Store. It may wait for compactions; ctx ends that
// wait, but not the one for the disk.
func (s *Store) Commit(ctx context.Context, b *store.Batch) error {
	if err := s.life.Enter(ctx); err != nil {
		return err
	}
	defer s.life.Exit()
	if err := errors.Join(s.Err(), ctx.Err()); err != nil {
		return err
	}
	waited, err := s.gate.pass(ctx, s.Failed())
	if waited {
		s.counts.stalls.Add(1)
	}
	if err := errors.Join(err, s.Err()); err != nil {
		return err
	}
	s.own.RLock()
	defer s.own.RUnlock()
	fenced := s.fencedSlots(b)
	if err := s.write(b, fenced); err != nil {
		return err
	}
	if len(fenced) > 0 {
		s.counts.fenced.Add(uint64(len(fenced)))
		return &store.SlotError{Slots: fenced}
	}
	return nil
}

// fencedSlots lists the slots of a batch whose epoch is not current. A slot
// is refused as a whole when any of its changes is.
func (s *Store) fencedSlots(b *store.Batch) []im.Slot {
	var slots []im.Slot
	for i := range b.Changes {
		c := &b.Changes[i]
		slot := c.Addr.Slot()
		if (c.Epoch == 0 || c.Epoch != s.epochs[slot]) && !slices.Contains(slots, slot) {
			slots = append(slots, slot)
		}
	}
	return slots
}

// write makes the part of a batch durable that is not fenced.
func (s *Store) write(b *store.Batch, fenced []im.Slot) error {
	w := s.db.NewBatch()
	defer w.Close()
	in := &inflight{done: make(chan struct{})}
	for i := range b.Changes {
		c := &b.Changes[i]
		slot := c.Addr.Slot()
		if len(fenced) > 0 && slices.Contains(fenced, slot) {
			continue
		}
		putChange(w, c)
		s.inflight[slot].Store(in)
	}
	defer s.settle(b, in)
	if w.Empty() {
		return nil
	}
	size := w.Len()
	start := time.Now()
	if err := s.apply(w); err != nil {
		return err
	}
	s.counts.commits.Observe(time.Since(start))
	s.counts.commitBytes.Add(uint64(size))
	return nil
}

// settle lets readers go on that wait for a commit.
func (s *Store) settle(b *store.Batch, in *inflight) {
	for i := range b.Changes {
		s.inflight[b.Changes[i].Addr.Slot()].CompareAndSwap(in, nil)
	}
	close(in.done)
}

// putChange encodes a change straight into the Pebble batch.
func putChange(w *pebbledb.Batch, c *store.Change) {
	putAppend(w, c)
	if c.Trim > 1 {
		putTrim(w, c)
	}
	for i := range c.Put {
		r := &c.Put[i]
		op := w.SetDeferred(entityKeyLen+len(r.Key), len(r.Value))
		putRecordKey(op.Key, c.Addr, r.Key)
		copy(op.Value, r.Value)
		finish(op)
	}
	for _, key := range c.Delete {
		op := w.DeleteDeferred(entityKeyLen + len(key))
		putRecordKey(op.Key, c.Addr, key)
		finish(op)
	}
	switch c.Pending {
	case store.Set:
		op := w.SetDeferred(entityKeyLen, 0)
		putEntityKey(op.Key, keyPending, c.Addr)
		finish(op)
	case store.Clear:
		op := w.DeleteDeferred(entityKeyLen)
		putEntityKey(op.Key, keyPending, c.Addr)
		finish(op)
	}
}

// putAppend encodes the appended entries as chunks.
func putAppend(w *pebbledb.Batch, c *store.Change) {
	last := c.First - 1
	for rest := c.Append; len(rest) > 0; {
		var entries [][]byte
		entries, rest = cutChunk(rest)
		last += im.Seq(len(entries))
		op := w.SetDeferred(logKeyLen, chunkSize(entries))
		putLogKey(op.Key, c.Addr, last)
		putChunk(op.Value, entries)
		finish(op)
	}
}

// putTrim deletes the chunks that end before a sequence. The one that it is in
// the middle of stays.
func putTrim(w *pebbledb.Batch, c *store.Change) {
	op := w.DeleteRangeDeferred(logKeyLen, logKeyLen)
	putLogKey(op.Key, c.Addr, 0)
	putLogKey(op.Value, c.Addr, c.Trim)
	finish(op)
}

func putEpoch(w *pebbledb.Batch, slot im.Slot, epoch im.Epoch, owner string) {
	op := w.SetDeferred(epochKeyLen, 8+len(owner))
	putEpochKey(op.Key, slot)
	binary.BigEndian.PutUint64(op.Value, uint64(epoch))
	copy(op.Value[8:], owner)
	finish(op)
}

// finish completes a deferred operation; its error is for indexed batches.
func finish(op *pebbledb.DeferredBatchOp) { _ = op.Finish() }
