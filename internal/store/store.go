package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// Store keeps entities. Methods may be called concurrently; commits that
// touch the same slot must not overlap.
type Store interface {
	// Acquire makes owner the owner of slots and returns their new epochs,
	// in the same order. It is durable when it returns.
	Acquire(ctx context.Context, owner string, slots []im.Slot) ([]im.Epoch, error)
	// Owners says who acquired slots last, in the same order.
	Owners(ctx context.Context, slots []im.Slot) ([]Owner, error)
	// Commit makes a batch durable. nil: all of it is. *SlotError: the
	// parts of the slots it lists are not (fenced) and all others are.
	// Any other error: nothing is known about any part, and the caller
	// must acquire its slots again before it writes.
	Commit(ctx context.Context, b *Batch) error
	// Load reads an entity's records and the part of its log that follows
	// what the records include: entries after the sequence tail returns
	// for the records.
	Load(ctx context.Context, a im.Addr, tail func([]Record) im.Seq) (Entity, error)
	// ReadLog returns entries of an entity's log with sequences in
	// [from, ...), dense and in order; at most limit of them, and as soon
	// as maxBytes are exceeded no more. They begin after from if the log
	// has been trimmed so far. An empty result: there is none from there
	// on.
	ReadLog(ctx context.Context, a im.Addr, from im.Seq, limit, maxBytes int) ([]Entry, error)
	// Pending lists the entities of a slot that were marked in a batch.
	Pending(ctx context.Context, slot im.Slot) ([]im.Addr, error)

	// PutMember writes or refreshes a node's record, which disappears
	// after ttl.
	PutMember(ctx context.Context, m Member, ttl time.Duration) error
	// DeleteMember removes a node's record.
	DeleteMember(ctx context.Context, node string) error
	// Members lists the records that have not expired.
	Members(ctx context.Context) ([]Member, error)

	// Close waits for running calls and releases what the engine holds.
	Close() error
}

// Owner is who acquired a slot last.
type Owner = im.Owner

// Lister is a store that can tell what it holds, for whoever looks at all of
// it.
type Lister interface {
	// List visits slots, in the order they are given, with the entities of
	// each that have records or a log, by kind and identifier; the list is the
	// visitor's. Ask for as many slots as you need: for each call, some engines
	// look at all keys they have. An error of visit ends it and is returned.
	List(ctx context.Context, slots []im.Slot, visit func(slot im.Slot, held []im.Addr) error) error
}

// Placer is a store on several servers, of which some may be away while the
// others are there.
type Placer interface {
	// Place names the server that has a slot now, as far as is known: slots of
	// one place are within reach, or away, together.
	Place(slot im.Slot) string
}

// PlaceOf is a slot's place in a store; all are in one if that is no Placer.
func PlaceOf(st any, slot im.Slot) string {
	if p, ok := st.(Placer); ok {
		return p.Place(slot)
	}
	return ""
}

// ByPlace sorts slots by their places.
func ByPlace(st any, slots []im.Slot) map[string][]im.Slot {
	parts := map[string][]im.Slot{}
	for _, slot := range slots {
		place := PlaceOf(st, slot)
		parts[place] = append(parts[place], slot)
	}
	return parts
}

// AllSlots are all that there are.
func AllSlots() []im.Slot {
	all := make([]im.Slot, im.Slots)
	for i := range all {
		all[i] = im.Slot(i)
	}
	return all
}

// CheckSlots refuses slots that do not exist.
func CheckSlots(slots ...im.Slot) error {
	for _, slot := range slots {
		if slot >= im.Slots {
			return im.Errorf(im.Invalid, "slot %d does not exist", slot)
		}
	}
	return nil
}

// Record is one key of an entity and its value.
type Record = im.Record

// Entry is one entry of a log.
type Entry = im.LogEntry

// Entity is what Load returns.
type Entity struct {
	// Records, by ascending key.
	Records []Record
	// Tail, dense and in order.
	Tail []Entry
}

// Member is a node's record.
type Member struct {
	Node string
	// Value is opaque to the store.
	Value []byte
}

// Batch is a list of changes for slots of one owner. Changes to one entity
// are applied in the order they were added. The batch keeps references to
// what it is given until Commit returns.
type Batch struct {
	Changes []Change
}

// Change is what a batch does to one entity.
type Change struct {
	Addr im.Addr
	// Epoch under which the writer owns the entity's slot.
	Epoch im.Epoch
	// First is the sequence of Append[0]. It follows the last entry of the
	// log: the owner knows it, and engines need not look.
	First  im.Seq
	Append [][]byte
	// Trim lets go of the entries before it, if it is more than 0; an engine
	// may keep some of them. It comes after Append. If it is First, the log
	// begins anew there: what comes before need not have been in it.
	Trim im.Seq
	// Put writes records; Delete, which comes after it, removes them and is
	// harmless for those that are not there.
	Put    []Record
	Delete []string
	// Pending marks or unmarks the entity as having undelivered messages.
	Pending Mark
}

// Mark is a change to an entity's pending mark.
type Mark uint8

// Marks.
const (
	Keep Mark = iota
	Set
	Clear
)

// SlotError lists the slots whose parts of a batch were refused because their
// epoch was no longer current.
type SlotError struct {
	Slots []im.Slot
}

func (e *SlotError) Error() string {
	return fmt.Sprintf("fenced: %d slots have a newer owner", len(e.Slots))
}

// Fenced reports whether the batch's part for a slot was refused.
func (e *SlotError) Fenced(slot im.Slot) bool {
	for _, s := range e.Slots {
		if s == slot {
			return true
		}
	}
	return false
}

// Errors that engines return when they cannot open their data.
var (
	// ErrLocked: another process uses the data.
	ErrLocked = errors.New("the data directory is in use by another process")
	// ErrAway: a server that is needed is out of reach, or not ready. It may be
	// later: try again.
	ErrAway = errors.New("the store is out of reach")
	// ErrNewer: the data was written by a newer version.
	ErrNewer = errors.New("the data was written by a newer version of skein")
	// ErrCorrupt: the data is damaged.
	ErrCorrupt = errors.New("the data is damaged")
	// ErrFailed: the engine met an I/O error and takes no more writes.
	ErrFailed = errors.New("the store has failed and takes no more writes")
)

// Corruptf describes data that the engine has not written.
func Corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
}
