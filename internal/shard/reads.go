package shard

import (
	"context"
	"errors"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Load implements Host.
func (s *Shard) Load(a im.Addr, ticket uint64) {
	s.read(func() func(im.Millis) {
		var unread error
		ent, err := LoadEntity(func(tail func([]im.Record) im.Seq) (e store.Entity, err error) {
			e, unread = s.opts.Store.Load(context.Background(), a, tail)
			return e, unread
		}, a)
		switch {
		case unread != nil && !errors.Is(unread, store.ErrCorrupt):
			if skipped, ok := s.complaints.due(time.Now()); ok {
				s.opts.Logger.Error("an entity cannot be read from the store", "entity", a.String(), "err", err, "likewise_since", skipped)
			}
		case err != nil:
			s.opts.Logger.Error("an entity cannot be loaded", "entity", a.String(), "err", err)
		}
		return func(now im.Millis) { s.core.Loaded(now, a, ticket, ent, err) }
	})
}

// ReadTimeline implements Host.
func (s *Shard) ReadTimeline(a im.Addr, id im.SessionID, from im.Seq, limit, maxBytes int) {
	s.read(func() func(im.Millis) {
		entries, err := s.opts.Store.ReadLog(context.Background(), a, from, limit, maxBytes)
		return func(now im.Millis) { s.core.TimelineRead(now, a, id, entries, err) }
	})
}

// ReadEntries implements Host.
func (s *Shard) ReadEntries(a, peer im.Addr, seqs []im.Seq) {
	s.read(func() func(im.Millis) {
		entries := make([]im.LogEntry, 0, len(seqs))
		for _, seq := range seqs {
			e, err := s.opts.Store.ReadLog(context.Background(), a, seq, 1, im.MaxServerFrame)
			if err != nil || len(e) == 0 {
				s.opts.Logger.Error("a message to be sent again cannot be read", "entity", a.String(), "seq", seq, "err", err)
				break
			}
			if e[0].Seq != seq {
				// It was acknowledged meanwhile, and let go of.
				continue
			}
			entries = append(entries, e[0])
		}
		return func(now im.Millis) { s.core.EntriesRead(now, a, peer, entries) }
	})
}

// readFunc reads from the store, and returns what to do with the outcome on the
// shard's goroutine.
type readFunc = func() func(now im.Millis)

// readBatch is how many reads a reader does in a row, at most, when there are
// more than readers: each handover costs about as much as a read of what is in
// memory.
const readBatch = 8

// read runs a read of the store beside the shard, on one of Readers goroutines.
// Reads that wait are bounded by the entities and sessions there are.
func (s *Shard) read(f readFunc) {
	s.backlog = append(s.backlog, f)
	s.startReads()
}

// startReads gives readers that are free something to do.
func (s *Shard) startReads() {
	for len(s.backlog) > 0 && s.reading < s.opts.Readers {
		n := min(readBatch, (len(s.backlog)+s.opts.Readers-1)/s.opts.Readers)
		s.reading++
		s.jobs <- s.backlog[:n:n]
		s.backlog = s.backlog[n:]
	}
	if len(s.backlog) == 0 {
		s.backlog = nil
	}
}

// readLoop is a reader. It stays, for its stack has grown to what the store
// needs.
func (s *Shard) readLoop() {
	for job := range s.jobs {
		answers := make([]func(im.Millis), len(job))
		for i, f := range job {
			answers[i] = f()
		}
		s.post(func(now im.Millis) {
			s.reading--
			s.startReads()
			for _, answer := range answers {
				answer(now)
			}
		})
	}
}
