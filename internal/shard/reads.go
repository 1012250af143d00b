package shard

import (
	"context"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Load implements Host.
func (s *Shard) Load(a im.Addr, ticket uint64) {
	s.read(func() func(im.Millis) {
		ent, err := LoadEntity(func(tail func([]im.Record) im.Seq) (store.Entity, error) {
			return s.opts.Store.Load(context.Background(), a, tail)
		}, a)
		if err != nil {
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
			entries = append(entries, e[0])
		}
		return func(now im.Millis) { s.core.EntriesRead(now, a, peer, entries) }
	})
}

// read runs a read of the store beside the shard and posts its outcome, when
// fewer than Readers run. Those that wait are bounded by the entities and
// sessions there are.
func (s *Shard) read(f func() func(im.Millis)) {
	if s.reading == s.opts.Readers {
		s.backlog = append(s.backlog, f)
		return
	}
	s.reading++
	s.startRead(f)
}

func (s *Shard) startRead(f func() func(im.Millis)) {
	s.reads.Go(func() {
		answer := f()
		s.post(func(now im.Millis) {
			s.nextRead()
			answer(now)
		})
	})
}

// nextRead lets the next read have the place of one that has ended.
func (s *Shard) nextRead() {
	if len(s.backlog) == 0 {
		s.reading--
		s.backlog = nil
		return
	}
	f := s.backlog[0]
	s.backlog[0] = nil
	s.backlog = s.backlog[1:]
	s.startRead(f)
}
