package memstore

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Op is a commit that has begun. Its batch must stay unchanged until it has
// taken effect or was dropped.
type Op struct {
	s      *Store
	batch  *store.Batch
	state  opState
	fenced []im.Slot
}

type opState uint8

const (
	begun    opState = iota // has had no effect yet
	applied                 // has taken effect; the submitter does not know
	finished                // the submitter knows
	dropped                 // the submitter will never know
)

// ErrDropped is what Finish returns after Drop: nothing is known about any
// part of the batch.
var ErrDropped = errors.New("the commit was interrupted; nobody knows what became of it")

// Begin submits a batch.
func (s *Store) Begin(b *store.Batch) *Op {
	s.mu.Lock()
	defer s.mu.Unlock()
	op := &Op{s: s, batch: b}
	if s.closed {
		op.state = dropped
		return op
	}
	s.reserve(op)
	s.ops = append(s.ops, op)
	return op
}

// reserve panics when an owner has two commits for a slot under way.
func (s *Store) reserve(op *Op) {
	for i := range op.batch.Changes {
		c := &op.batch.Changes[i]
		key := claim{c.Addr.Slot(), c.Epoch}
		if other := s.claims[key]; other != nil && other != op {
			panic(fmt.Sprintf("memstore: commits for slot %d overlap: one begins, with a change of %v, before another has ended",
				key.slot, c.Addr))
		}
		s.claims[key] = op
	}
}

// Apply makes the operation take effect, in whole or, where it is fenced, in
// part. The second call and calls after Drop do nothing.
func (op *Op) Apply() {
	op.s.mu.Lock()
	defer op.s.mu.Unlock()
	op.apply()
}

func (op *Op) apply() {
	if op.state != begun {
		return
	}
	op.state = applied
	op.fenced = op.s.fencedSlots(op.batch)
	for i := range op.batch.Changes {
		c := &op.batch.Changes[i]
		if !slices.Contains(op.fenced, c.Addr.Slot()) {
			op.s.apply(c)
		}
	}
}

// Finish is the answer to the submitter, as store.Store.Commit gives it.
func (op *Op) Finish() error {
	op.s.mu.Lock()
	defer op.s.mu.Unlock()
	switch op.state {
	case dropped:
		if op.s.closed {
			return store.ErrClosed
		}
		return ErrDropped
	case finished:
		panic("memstore: Finish was called twice")
	}
	op.apply()
	op.state = finished
	op.s.forget(op)
	if len(op.fenced) > 0 {
		return &store.SlotError{Slots: op.fenced}
	}
	return nil
}

// Drop ends the operation without an answer. Of one that has not taken effect,
// the parts of the slots that keep picks do so now, unless they are fenced:
// they are durable, and the submitter never hears of it. keep may be nil, and
// is asked once per slot, in the order of the batch. Dropping an operation
// that has ended does nothing.
func (op *Op) Drop(keep func(im.Slot) bool) {
	op.s.mu.Lock()
	defer op.s.mu.Unlock()
	op.drop(keep)
}

func (op *Op) drop(keep func(im.Slot) bool) {
	if op.state == begun && keep != nil {
		op.applySome(keep)
	}
	if op.state != finished {
		op.state = dropped
	}
	op.s.forget(op)
}

// applySome applies the parts of the slots that keep picks.
func (op *Op) applySome(keep func(im.Slot) bool) {
	fenced := op.s.fencedSlots(op.batch)
	picked := map[im.Slot]bool{}
	for i := range op.batch.Changes {
		c := &op.batch.Changes[i]
		slot := c.Addr.Slot()
		if _, asked := picked[slot]; !asked {
			picked[slot] = keep(slot) && !slices.Contains(fenced, slot)
		}
		if picked[slot] {
			op.s.apply(c)
		}
	}
}

// Slots are the slots of the operation's batch, in the order of the batch.
func (op *Op) Slots() []im.Slot {
	var slots []im.Slot
	for i := range op.batch.Changes {
		if slot := op.batch.Changes[i].Addr.Slot(); !slices.Contains(slots, slot) {
			slots = append(slots, slot)
		}
	}
	return slots
}

// Part is what an operation does to one slot.
type Part struct {
	// Op counts the operations that had begun, from 0, in that order.
	Op   int
	Slot im.Slot
}

// CrashUnsynced drops every operation under way, as when the store itself
// crashes. Of those that have not taken effect, the parts that durable picks
// do so now, unless they are fenced; nobody hears of it. nil picks none. To
// keep the first n operations, pick the parts with Op < n.
func (s *Store) CrashUnsynced(durable func(Part) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, op := range slices.Clone(s.ops) {
		var keep func(im.Slot) bool
		if durable != nil {
			keep = func(slot im.Slot) bool { return durable(Part{Op: i, Slot: slot}) }
		}
		op.drop(keep)
	}
}

// Unfinished counts the operations under way.
func (s *Store) Unfinished() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ops)
}

// claim is what an owner's commit under way has for itself.
type claim struct {
	slot  im.Slot
	epoch im.Epoch
}

func (s *Store) forget(op *Op) {
	maps.DeleteFunc(s.claims, func(_ claim, other *Op) bool { return other == op })
	s.ops = slices.DeleteFunc(s.ops, func(other *Op) bool { return other == op })
}

// fencedSlots lists the slots of a batch whose epoch is not current.
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

// apply changes an entity.
func (s *Store) apply(c *store.Change) {
	e := s.entities[c.Addr]
	if e == nil {
		e = &entity{records: map[string][]byte{}}
		s.entities[c.Addr] = e
	}
	if len(c.Append) > 0 && c.Trim == c.First {
		e.log, e.trimmed = nil, c.First-1
	}
	if len(c.Append) > 0 && c.First != e.last()+1 {
		panic(fmt.Sprintf("memstore: the log of %v ends at %d, and a commit appends from %d", c.Addr, e.last(), c.First))
	}
	e.log = append(e.log, cloneAll(c.Append)...)
	e.trim(c.Trim)
	for _, r := range c.Put {
		checkKey(c.Addr, r.Key)
		e.records[r.Key] = clone(r.Value)
	}
	for _, key := range c.Delete {
		checkKey(c.Addr, key)
		delete(e.records, key)
	}
	if c.Pending != store.Keep {
		e.pending = c.Pending == store.Set
	}
}

func checkKey(a im.Addr, key string) {
	if key == "" || len(key) > 64 {
		panic(fmt.Sprintf("memstore: record key of %v with %d bytes", a, len(key)))
	}
}
