package shard

import (
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// leave is a hand-over of slots that has begun.
type leave struct {
	slots  []im.Slot
	epochs []im.Epoch
	// after is the batch that has the last of what was taken for them.
	after *batch
	done  func()
}

// Leave hands slots over: what has been taken for them is finished, everything
// else is refused from now on, and snapshots are written, so that the next
// owner has little to read. When that is in the store, or has failed, the slots
// are dropped and done is called.
func (c *Core) Leave(now im.Millis, slots []im.Slot, done func()) {
	c.now = now
	l := leave{done: done}
	for _, s := range slots {
		if c.Owns(s) && !c.leaving[s] {
			c.leaving[s] = true
			l.slots, l.epochs = append(l.slots, s), append(l.epochs, c.epochs[s])
		}
	}
	for _, cl := range c.all() {
		if c.leaving[cl.addr.Slot()] {
			c.prepare(cl)
		}
	}
	l.after = c.fill
	c.leaves = append(c.leaves, l)
	if len(c.fill.parts) == 0 {
		c.finishLeaves(c.fill)
	}
}

// prepare makes an entity ready for its next owner.
func (c *Core) prepare(cl *cell) {
	for _, in := range c.unpark(cl) {
		c.refuse(&in, errNotOwner())
	}
	if !cl.ready {
		return
	}
	if st := cl.ent.Status(); st.Dirty || st.Unsnapshotted > 0 {
		c.do(cl, func(tx *entity.Tx) { cl.ent.Snapshot(tx) })
	}
}

// ends reports whether an input only ends something, which is welcome at any
// time.
func ends(in *Input) bool {
	_, ok := in.Cmd.(*im.Detach)
	return ok
}

// finishLeaves ends the hand-overs whose last batch is done, or has nothing
// left in it: then they wait for the one that is in the store.
func (c *Core) finishLeaves(b *batch) {
	var finished, kept []leave
	for _, l := range c.leaves {
		if l.after == b && b == c.fill && c.flight != nil {
			l.after = c.flight
		}
		if l.after == b {
			finished = append(finished, l)
		} else {
			kept = append(kept, l)
		}
	}
	c.leaves = kept
	for i := range finished {
		c.endLeave(&finished[i])
	}
}

// endLeave drops what was handed over, unless it has been acquired again or
// lost meanwhile.
func (c *Core) endLeave(l *leave) {
	c.Disown(l.slots, l.epochs)
	l.done()
}

// Disown drops those slots that are still owned under the epochs given, and
// returns them: somebody has found out that another node has them.
func (c *Core) Disown(slots []im.Slot, epochs []im.Epoch) (lost []im.Slot) {
	for i, s := range slots {
		if c.epochs[s] == epochs[i] && epochs[i] != 0 {
			lost = append(lost, s)
		}
	}
	if len(lost) > 0 {
		c.Drop(lost, errNotOwner())
	}
	return lost
}
