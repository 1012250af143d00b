package tenure

import (
	"context"
	"sync/atomic"

	"github.com/skein-im/skein/internal/im"
)

// Tenure is one acquisition of a slot.
type Tenure struct {
	Epoch im.Epoch
	// Held is what the servers hold for the slot while the tenure lasts, where
	// the epoch alone does not name it.
	Held string
	// doubtful: nobody knows what became of a commit. What is read may not
	// be durable, and nothing is written before the slot is acquired again.
	doubtful bool
}

// Book has the tenures of a store. The zero value has none.
type Book struct {
	Counts
	// tenures are the slots that the store has acquired.
	tenures [im.Slots]atomic.Pointer[Tenure]
	// underway is the commit that is about to change a slot and not yet
	// durable. Reads wait for it.
	underway [im.Slots]atomic.Pointer[Commit]
}

// Begin notes that a slot was acquired.
func (b *Book) Begin(slot im.Slot, t Tenure) { b.tenures[slot].Store(&t) }

// Epoch is that of the last tenure; 0: the slot was never acquired.
func (b *Book) Epoch(slot im.Slot) im.Epoch {
	if t := b.tenures[slot].Load(); t != nil {
		return t.Epoch
	}
	return 0
}

// Sure returns a slot's tenure if the store has one of which nothing is in
// doubt. What is read while it lasts is the store's own, see Settled; without
// it, somebody else may be writing to the slot.
func (b *Book) Sure(slot im.Slot) *Tenure {
	if t := b.tenures[slot].Load(); t != nil && !t.doubtful {
		return t
	}
	return nil
}

// Settled waits for the commit that a read may have seen, which began when
// Sure had returned t and met t on the servers. It reports whether what was
// read is durable: a commit that the read saw had announced itself before, and
// if its fate is unknown, t is not sure any more.
func (b *Book) Settled(ctx context.Context, slot im.Slot, t *Tenure) (bool, error) {
	if c := b.underway[slot].Load(); c != nil {
		select {
		case <-c.done:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
	return b.tenures[slot].Load() == t, nil
}

// doubt ends the tenures of parts whose fate is unknown, but not those that
// began since.
func (b *Book) doubt(parts []Part) {
	for i := range parts {
		p := &parts[i]
		doubtful := *p.Tenure
		doubtful.doubtful = true
		b.tenures[p.Slot].CompareAndSwap(p.Tenure, &doubtful)
	}
}
