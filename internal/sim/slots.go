package sim

import (
	"time"

	"github.com/skein-im/skein/internal/im"
)

// audit asks the store now and then whether the node's slots are still its
// own. A node that has nothing to commit would not learn that another one had
// a slot in between, and left messages in it that nobody sends.
func (n *node) audit(cores []*core) {
	n.w.after(n.w.between(time.Second, 3*time.Second), func() {
		if cores[0].dead {
			return
		}
		n.w.store.read(n, func() error {
			for pos, slot := range n.w.slots {
				if c := n.coreOf(slot); c.core.Owns(slot) && n.epochs[pos] != n.w.store.slot(slot).safe {
					n.w.logf("node %d: has lost slot %d without notice", n.id, slot)
					n.drop(slot)
				}
			}
			n.acquireMissing()
			return nil
		}, func(error) { n.audit(cores) })
	})
}

// drop stops serving a slot.
func (n *node) drop(slot im.Slot) {
	c := n.coreOf(slot)
	c.forget([]im.Slot{slot})
	c.core.Drop([]im.Slot{slot}, &im.Error{Kind: im.Unavailable, RetryAfterMS: 100, Detail: "moved"})
	c.wake()
}

// learn hears of a change of the placement.
func (n *node) learn(pos int, version uint64, owner int) {
	if !n.up {
		return
	}
	if !n.w.calm && (n.cutOff || n.stalled > n.w.now) {
		n.w.after(n.w.between(10*time.Millisecond, 200*time.Millisecond), func() { n.learn(pos, version, owner) })
		return
	}
	if !n.view.learn(pos, version, owner) {
		return
	}
	slot := n.w.slots[pos]
	if owner == n.id {
		n.acquireMissing()
		return
	}
	if n.coreOf(slot).core.Owns(slot) {
		n.give(slot)
	}
}

// give hands a slot over in order, or drops it, as a node does that finds out
// that it is another's.
func (n *node) give(slot im.Slot) {
	n.w.logf("node %d: gives up slot %d", n.id, slot)
	if n.w.chance(0.2) {
		n.drop(slot)
		return
	}
	c := n.coreOf(slot)
	c.core.Leave(n.clock(), []im.Slot{slot}, func() {
		if c.dead || c.core.Owns(slot) {
			return
		}
		n.w.logf("node %d: has handed over slot %d", n.id, slot)
		c.forget([]im.Slot{slot})
		n.acquireLater(n.cores)
	})
	c.wake()
}

// announce tells the other nodes and the gateways which slots this one serves,
// unless that is lost on the way.
func (n *node) announce(slots []im.Slot, epochs []im.Epoch) {
	w := n.w
	tell := func(f func()) {
		if !w.fault(w.plan.drop) {
			w.after(w.between(0, w.plan.delay), f)
		}
	}
	for _, to := range w.nodes {
		tell(func() {
			if to.up && !w.net.cut[n.id][to.id] {
				to.heard(n, slots, epochs)
				to.hurry(slots)
			}
		})
	}
	for _, g := range w.gateways {
		tell(func() {
			if g.up && g.ties[n.id] != nil {
				g.route.Learn(w.members[n.id].Node, slots, epochs)
			}
		})
	}
}

// heard remembers who has acquired slots.
func (n *node) heard(owner *node, slots []im.Slot, epochs []im.Epoch) {
	for i, slot := range slots {
		if pos := n.w.slotPos[slot]; epochs[i] > n.known[pos].Epoch {
			n.known[pos] = im.Owner{Node: n.w.members[owner.id].Node, Epoch: epochs[i]}
		}
	}
}

// ownerOf is who has acquired a slot last; nil: the node has not heard.
func (n *node) ownerOf(slot im.Slot) *im.Owner {
	o := n.known[n.w.slotPos[slot]]
	if o.Epoch == 0 {
		return nil
	}
	return &o
}

// acquireMissing acquires the slots that are to be this node's.
func (n *node) acquireMissing() {
	var slots []im.Slot
	for pos, slot := range n.w.slots {
		if n.view.owner[pos] == n.id && !n.acquiring[pos] && !n.coreOf(slot).core.Owns(slot) {
			n.acquiring[pos] = true
			slots = append(slots, slot)
		}
	}
	if len(slots) > 0 {
		n.acquire(slots)
	}
}

// acquire takes slots in the store, finds who owes messages, and serves.
func (n *node) acquire(slots []im.Slot) {
	cores := n.cores
	n.w.store.acquire(n, slots, func(epochs []im.Epoch, err error) {
		if err != nil {
			n.acquired(cores, slots, nil, nil, err)
			return
		}
		n.w.store.pending(n, slots, func(pending []im.Addr, err error) {
			n.acquired(cores, slots, epochs, pending, err)
		})
	})
}

func (n *node) acquired(cores []*core, slots []im.Slot, epochs []im.Epoch, pending []im.Addr, err error) {
	if len(cores) == 0 || cores[0].dead {
		return
	}
	n.w.logf("node %d: acquired slots %v with epochs %v, pending %v, err %v", n.id, slots, epochs, pending, err)
	for i, slot := range slots {
		pos := n.w.slotPos[slot]
		n.acquiring[pos] = false
		if err == nil && n.view.owner[pos] == n.id {
			n.epochs[pos] = epochs[i]
			n.coreOf(slot).core.Own(slot, epochs[i])
		}
	}
	for _, a := range pending {
		c := n.coreOf(a.Slot())
		c.core.Wake(n.clock(), a)
		c.wake()
	}
	if err != nil {
		n.acquireLater(cores)
		return
	}
	n.heard(n, slots, epochs)
	n.announce(slots, epochs)
}

// acquireLater tries again what could not be acquired or was lost.
func (n *node) acquireLater(cores []*core) {
	n.w.after(n.w.between(50*time.Millisecond, time.Second), func() {
		if !cores[0].dead {
			n.acquireMissing()
		}
	})
}
