package memstore

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Store is the engine. Make one with New.
type Store struct {
	clock func() time.Time

	mu       sync.Mutex
	epochs   [im.Slots]im.Epoch
	owners   [im.Slots]string
	entities map[im.Addr]*entity
	members  map[string]member
	ops      []*Op // begun and neither finished nor dropped, in order
	claims   map[claim]*Op
	closed   bool
}

var _ store.Store = (*Store)(nil)

type entity struct {
	records map[string][]byte
	log     [][]byte // from sequence trimmed+1
	trimmed im.Seq
	pending bool
}

type member struct {
	value   []byte
	expires time.Time
}

// New makes an empty store. clock tells when members expire.
func New(clock func() time.Time) *Store {
	return &Store{
		clock:    clock,
		entities: map[im.Addr]*entity{},
		members:  map[string]member{},
		claims:   map[claim]*Op{},
	}
}

// lock begins a call, which ends with s.mu.Unlock unless it returns an error.
func (s *Store) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return store.ErrClosed
	}
	return nil
}

// Acquire implements store.Store.
func (s *Store) Acquire(ctx context.Context, owner string, slots []im.Slot) ([]im.Epoch, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	epochs := make([]im.Epoch, len(slots))
	for i, slot := range slots {
		s.epochs[slot]++
		epochs[i] = s.epochs[slot]
		s.owners[slot] = owner
	}
	return epochs, nil
}

// Owners implements store.Store.
func (s *Store) Owners(ctx context.Context, slots []im.Slot) ([]store.Owner, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	owners := make([]store.Owner, len(slots))
	for i, slot := range slots {
		owners[i] = store.Owner{Node: s.owners[slot], Epoch: s.epochs[slot]}
	}
	return owners, nil
}

// Epoch is the current epoch of a slot; 0: nobody has acquired it yet.
func (s *Store) Epoch(slot im.Slot) im.Epoch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epochs[slot]
}

// Commit implements store.Store. It takes effect at once.
func (s *Store) Commit(ctx context.Context, b *store.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.Begin(b).Finish()
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, a im.Addr, tail func([]store.Record) im.Seq) (store.Entity, error) {
	if err := s.lock(ctx); err != nil {
		return store.Entity{}, err
	}
	e := s.entities[a]
	if e == nil {
		e = &entity{}
	}
	var recs []store.Record
	for _, key := range slices.Sorted(maps.Keys(e.records)) {
		recs = append(recs, store.Record{Key: key, Value: clone(e.records[key])})
	}
	kept := entity{log: slices.Clone(e.log), trimmed: e.trimmed} // entries are never changed
	s.mu.Unlock()
	from := tail(recs) + 1
	if from <= kept.trimmed {
		return store.Entity{}, fmt.Errorf("%w: the log of %v begins at %d, and its records include only what is before %d",
			store.ErrCorrupt, a, kept.trimmed+1, from)
	}
	return store.Entity{Records: recs, Tail: kept.read(from, len(kept.log), 1<<62)}, nil
}

// ReadLog implements store.Store.
func (s *Store) ReadLog(ctx context.Context, a im.Addr, from im.Seq, limit, maxBytes int) ([]store.Entry, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	e := s.entities[a]
	if e == nil {
		return nil, nil
	}
	return e.read(from, limit, maxBytes), nil
}

// read copies entries from a sequence on.
func (e *entity) read(from im.Seq, limit, maxBytes int) []store.Entry {
	if from == 0 {
		return nil
	}
	var entries []store.Entry
	from = max(from, e.trimmed+1)
	for size := 0; from <= e.last() && len(entries) < limit && size <= maxBytes; from++ {
		v := e.log[from-e.trimmed-1]
		entries = append(entries, store.Entry{Seq: from, Value: clone(v)})
		size += len(v)
	}
	return entries
}

// last is the sequence of the last entry.
func (e *entity) last() im.Seq { return e.trimmed + im.Seq(len(e.log)) }

// trim drops the entries before a sequence.
func (e *entity) trim(to im.Seq) {
	if to > e.trimmed+1 {
		n := min(to-1-e.trimmed, im.Seq(len(e.log)))
		e.log, e.trimmed = e.log[n:], e.trimmed+n
	}
}

// Pending implements store.Store. The entities come by kind and ID.
func (s *Store) Pending(ctx context.Context, slot im.Slot) ([]im.Addr, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var addrs []im.Addr
	for a, e := range s.entities {
		if e.pending && a.Slot() == slot {
			addrs = append(addrs, a)
		}
	}
	slices.SortFunc(addrs, im.Addr.Compare)
	return addrs, nil
}

// Entities are all entities that were ever changed, by kind and ID.
func (s *Store) Entities() []im.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Keys(s.entities), im.Addr.Compare)
}

// PutMember implements store.Store.
func (s *Store) PutMember(ctx context.Context, m store.Member, ttl time.Duration) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.members[m.Node] = member{value: clone(m.Value), expires: s.clock().Add(ttl)}
	return nil
}

// DeleteMember implements store.Store.
func (s *Store) DeleteMember(ctx context.Context, node string) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	delete(s.members, node)
	return nil
}

// Members implements store.Store. They come by ascending name.
func (s *Store) Members(ctx context.Context) ([]store.Member, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := s.clock()
	maps.DeleteFunc(s.members, func(_ string, m member) bool { return !now.Before(m.expires) })
	var all []store.Member
	for node, m := range s.members {
		all = append(all, store.Member{Node: node, Value: clone(m.value)})
	}
	slices.SortFunc(all, func(a, b store.Member) int { return strings.Compare(a.Node, b.Node) })
	return all, nil
}

// Close makes further calls fail. Operations under way are dropped.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, op := range s.ops {
		op.state = dropped
	}
	s.ops = nil
	return nil
}

// clone copies a value, so that neither side sees what the other does to it.
func clone(v []byte) []byte { return append(make([]byte, 0, len(v)), v...) }

func cloneAll(vs [][]byte) [][]byte {
	out := make([][]byte, len(vs))
	for i, v := range vs {
		out[i] = bytes.Clone(v)
	}
	return out
}
