package tenure

import (
	"fmt"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Part is what a batch does to one slot.
type Part struct {
	Slot im.Slot
	// Tenure under which it is written.
	Tenure  *Tenure
	Changes []*store.Change
	// stale: a change has an epoch that is surely not current.
	stale bool
}

// Commit is a batch on its way.
type Commit struct {
	// Parts are those of the slots whose tenures may be current, in the order
	// of the batch.
	Parts []Part

	book *Book
	// fenced are the other slots.
	fenced []im.Slot
	// done is closed when it is known what became of the parts.
	done chan struct{}
}

// Cut splits a batch by slots, without those of which any change has an epoch
// that is surely not current: this store has not got it, or has got a newer one
// since. A slot that is in doubt is an error.
func (b *Book) Cut(batch *store.Batch) (*Commit, error) {
	n := len(batch.Changes)
	c := &Commit{book: b, Parts: make([]Part, 0, n)}
	at := make(map[im.Slot]int, n)
	refs := make([]*store.Change, n)
	for i := range batch.Changes {
		change := &batch.Changes[i]
		slot := change.Addr.Slot()
		k, met := at[slot]
		if !met {
			k = len(c.Parts)
			at[slot] = k
			// Most slots have one change: there is room for that already.
			c.Parts = append(c.Parts, Part{Slot: slot, Tenure: b.tenures[slot].Load(), Changes: refs[i : i : i+1]})
		}
		p := &c.Parts[k]
		p.Changes = append(p.Changes, change)
		if p.Tenure == nil || change.Epoch != p.Tenure.Epoch {
			p.stale = true
		} else if p.Tenure.doubtful {
			return nil, fmt.Errorf("nobody knows what became of an earlier commit for slot %d: acquire it again", slot)
		}
	}
	c.Parts = slices.DeleteFunc(c.Parts, func(p Part) bool {
		if p.stale {
			c.fenced = append(c.fenced, p.Slot)
		}
		return p.stale
	})
	return c, nil
}

// Write has the engine write the parts, if there are any, and returns what
// store.Store.Commit does. write returns the slots that turned out to have
// another owner, or an error if the fate of any part is unknown.
func (c *Commit) Write(write func() (fenced []im.Slot, err error)) error {
	if len(c.Parts) > 0 {
		c.announce()
		began := time.Now()
		fenced, err := write()
		if err != nil {
			c.book.doubt(c.Parts)
		} else {
			c.book.commits.Observe(time.Since(began))
		}
		c.settle()
		if err != nil {
			return err
		}
		c.fenced = append(c.fenced, fenced...)
	}
	if len(c.fenced) == 0 {
		return nil
	}
	c.book.fenced.Add(uint64(len(c.fenced)))
	return &store.SlotError{Slots: c.fenced}
}

// announce has readers wait.
func (c *Commit) announce() {
	c.done = make(chan struct{})
	for i := range c.Parts {
		c.book.underway[c.Parts[i].Slot].Store(c)
	}
}

// settle lets readers go on that wait.
func (c *Commit) settle() {
	for i := range c.Parts {
		c.book.underway[c.Parts[i].Slot].CompareAndSwap(c, nil)
	}
	close(c.done)
}
