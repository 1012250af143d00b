package shard

import (
	"slices"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// Links are hurried hurryBurst at a time, of hurryLook entities at most, every
// hurryEvery milliseconds, so that a node that can be reached again is not met by
// everything at once: 12,800 links a second catch up with what is sent during
// an outage of some seconds in less than that.
const (
	hurryBurst = 256
	hurryLook  = 16 * hurryBurst
	hurryEvery = 20
)

// hurry is what is to be hurried, and how far that is.
type hurry struct {
	// slots are those that are served again, cells the entities that are
	// still to be looked at.
	slots *[im.Slots]bool
	cells []*cell
	// due is when to go on with them; 0: there are none.
	due im.Millis
	// more are slots whose turn comes afterwards; nil: there are none.
	more *[im.Slots]bool
}

// Hurry says that the entities of slots have a node that serves them again, or that
// can be reached again: what entities here have sent to them, perhaps in vain,
// goes out soon.
func (c *Core) Hurry(now im.Millis, slots []im.Slot) {
	c.now = now
	h := &c.hurry
	if h.more == nil {
		h.more = new([im.Slots]bool)
	}
	for _, s := range slots {
		h.more[s] = true
	}
	if h.due == 0 {
		h.due = now
		c.hurryOn()
	}
}

// hurryOn hurries the next links, if it is time.
func (c *Core) hurryOn() {
	h := &c.hurry
	if h.due == 0 || c.now < h.due {
		return
	}
	for links, looked := 0, 0; links < hurryBurst && looked < hurryLook; looked++ {
		if len(h.cells) == 0 {
			if h.more == nil {
				*h = hurry{}
				return
			}
			// Who has something to send again has a timer.
			h.slots, h.more, h.cells = h.more, nil, slices.Clone(c.timers.cells)
			continue
		}
		cl := h.cells[0]
		h.cells = h.cells[1:]
		if cl.ready && !cl.gone {
			links += c.hurryCell(cl)
		}
	}
	h.due = c.now + hurryEvery
}

// hurryCell hurries an entity's links, and returns how many.
func (c *Core) hurryCell(cl *cell) (links int) {
	served := c.hurry.slots
	c.do(cl, func(tx *entity.Tx) {
		links = cl.ent.Hurry(tx, func(peer im.Addr) bool { return served[peer.Slot()] })
	})
	return links
}
