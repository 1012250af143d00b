package sim

import (
	"errors"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// keep plans to do what there is to do about slots, as package mailbox's goroutine
// does it.
func (n *node) keep() {
	w := n.w
	if n.keeping {
		return
	}
	n.keeping = true
	w.at(max(n.stalled, w.now+w.between(0, w.plan.turnDelay)), n.living(func() {
		n.keeping = false
		n.keepNow()
	}))
}

// living runs f unless the process has died.
func (n *node) living(f func()) func() {
	cores := n.cores
	return func() {
		if !cores[0].dead {
			f()
		}
	}
}

// start is the monotonic clocks' beginning.
var start = time.UnixMilli(epochStart)

func (n *node) keepNow() {
	w := n.w
	if n.stalled > w.now {
		n.keep()
		return
	}
	acquire, leave, again := n.held.Plan(start.Add(w.now))
	for _, slot := range leave {
		n.give(slot)
	}
	if len(acquire) > 0 {
		n.take(acquire)
	}
	if !again.IsZero() {
		w.at(again.Sub(start), n.living(n.keep))
	}
}

// assign tells the node what it is to serve.
func (n *node) assign() {
	var list []im.Slot
	for pos, slot := range n.w.slots {
		if n.view.owner[pos] == n.id {
			list = append(list, slot)
		}
	}
	n.held.Assign(list)
	n.keep()
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
	if n.view.learn(pos, version, owner) {
		n.assign()
	}
}

// take acquires slots in the store, as soon as their owners have handed them over,
// finds who owes messages, and serves.
func (n *node) take(list []im.Slot) {
	w := n.w
	var owners []im.Owner
	var epochs []im.Epoch
	var pending []im.Addr
	w.after(w.between(0, w.plan.turnDelay), n.living(func() {
		if list = n.held.StillWanted(list); len(list) == 0 {
			return
		}
		w.store.owners(n, list, &owners, n.taking(list, func() {
			if list = n.await(list, owners); len(list) == 0 {
				return
			}
			w.store.acquire(n, list, &epochs, n.taking(list, func() {
				w.store.pending(n, list, &pending, n.taking(list, func() { n.acquired(list, epochs, pending) }))
			}))
		}))
	}))
}

// taking goes on with an acquisition when the store has answered, or tries again
// later.
func (n *node) taking(list []im.Slot, next func()) func(error) {
	cores := n.cores
	return func(err error) {
		switch {
		case cores[0].dead:
		case err != nil:
			n.w.logf("node %d: slots %v cannot be acquired: %v", n.id, list, err)
			n.held.Refused(list, start.Add(n.w.now+n.w.between(50*time.Millisecond, time.Second)))
			n.keep()
		default:
			next()
		}
	}
}

// acquired serves slots from now on. Their shards hear of it a little later.
func (n *node) acquired(slots []im.Slot, epochs []im.Epoch, pending []im.Addr) {
	w := n.w
	w.logf("node %d: acquired slots %v with epochs %v, pending %v", n.id, slots, epochs, pending)
	n.held.Acquired(n.name(), slots, epochs)
	w.after(w.between(0, w.plan.turnDelay), n.living(func() {
		for i, slot := range slots {
			n.coreOf(slot).core.Own(slot, epochs[i])
		}
		for _, a := range pending {
			c := n.coreOf(a.Slot())
			c.core.Wake(n.clock(), a)
			c.wake()
		}
		n.held.Started(slots)
		n.keep()
		n.hurry(slots)
		n.announce(slots, epochs)
	}))
}

// give hands a slot over in order, or drops it, as a node does that finds out
// that it is another's.
func (n *node) give(slot im.Slot) {
	c := n.coreOf(slot)
	n.w.logf("node %d: gives up slot %d", n.id, slot)
	if n.w.chance(0.2) {
		c.forget([]im.Slot{slot})
		c.core.Drop([]im.Slot{slot}, &im.Error{Kind: im.Unavailable, RetryAfterMS: 100, Detail: "moved"})
		n.held.Left([]im.Slot{slot})
		n.keep()
		c.wake()
		return
	}
	if n.w.defect == LeftEarly {
		n.left(slot, n.held.OwnerOf(slot).Epoch)
	}
	c.core.Leave(n.clock(), []im.Slot{slot}, func() {
		if c.dead {
			return
		}
		n.w.logf("node %d: has handed over slot %d", n.id, slot)
		if !c.core.Owns(slot) {
			c.forget([]im.Slot{slot})
		}
		epochs := n.held.Left([]im.Slot{slot})
		n.keep()
		n.left(slot, epochs[0])
	})
	c.wake()
}

// left tells the others that the node does not serve a slot any more that it had
// under an epoch.
func (n *node) left(slot im.Slot, epoch im.Epoch) {
	w := n.w
	w.store.slot(slot).handed[epoch] = true
	slots, epochs := []im.Slot{slot}, []im.Epoch{epoch}
	n.tell(func(to *node) {
		to.held.Released(slots, epochs)
		to.keep()
	}, func(g *gateway) { g.route.Leave(n.name(), slots, epochs) })
}

// announce tells the other nodes and the gateways which slots this one serves.
func (n *node) announce(slots []im.Slot, epochs []im.Epoch) {
	n.tell(func(to *node) {
		to.heard(n, slots, epochs)
		to.hurry(slots)
	}, func(g *gateway) { g.route.Learn(n.name(), slots, epochs) })
}

// tell lets every other node and every gateway hear something over their role links,
// in order, unless there is none at the moment.
func (n *node) tell(peer func(*node), front func(*gateway)) {
	w := n.w
	for _, to := range w.nodes {
		if to != n {
			n.say(to.id, func() {
				if to.up && !w.net.cut[n.id][to.id] {
					peer(to)
				}
			})
		}
	}
	for _, g := range w.gateways {
		n.say(len(w.nodes)+g.id, func() {
			if g.up && g.ties[n.id] != nil {
				front(g)
			}
		})
	}
}

// say lets f happen at the other end of a role link.
func (n *node) say(link int, f func()) {
	w := n.w
	if w.fault(max(w.plan.drop, w.plan.deaf)) {
		return
	}
	lag := w.between(0, w.plan.delay)
	if w.fault(w.plan.late) {
		lag += w.between(0, w.plan.lateness)
	}
	n.saidAt[link] = max(n.saidAt[link], w.now+lag)
	w.at(n.saidAt[link], f)
}

// heard remembers who has acquired slots, and gives up what was taken from here.
func (n *node) heard(owner *node, slots []im.Slot, epochs []im.Epoch) {
	n.held.Learn(owner.name(), slots, epochs)
	lost, old, _ := n.held.Overtaken(slots, epochs)
	n.disown(lost, old)
}

// disown drops slots that others have acquired, unless they have been acquired here
// again since.
func (n *node) disown(list []im.Slot, epochs []im.Epoch) {
	for i, slot := range list {
		c := n.coreOf(slot)
		if lost := c.core.Disown(list[i:i+1], epochs[i:i+1]); len(lost) > 0 {
			n.w.logf("node %d: has lost slot %d without notice", n.id, slot)
			n.lost(c, lost, &store.SlotError{Slots: lost})
			c.wake()
		}
	}
}

// lost hears from a shard that slots are not served any more, and takes them back if
// they are still wanted: later, if another node has them.
func (n *node) lost(c *core, list []im.Slot, err error) {
	w, cores, rest := n.w, n.cores, time.Time{}
	c.forget(list)
	var fenced *store.SlotError
	if errors.As(err, &fenced) {
		rest = start.Add(w.now + w.between(500*time.Millisecond, time.Second))
		var owners []im.Owner
		w.store.owners(n, list, &owners, func(err error) {
			for i, o := range owners {
				if err == nil && !cores[0].dead {
					n.held.Learn(o.Node, list[i:i+1], []im.Epoch{o.Epoch})
				}
			}
		})
	}
	n.held.Lost(list, rest)
	n.keep()
}

// audit asks the store now and then whether the node's slots are still its
// own. A node that has nothing to commit would not learn that another one had
// a slot in between, and left messages in it that nobody sends.
func (n *node) audit(cores []*core) {
	n.w.after(n.w.between(time.Second, 3*time.Second), func() {
		if cores[0].dead {
			return
		}
		list, epochs := n.held.Held()
		var owners []im.Owner
		n.w.store.owners(n, list, &owners, func(err error) {
			if cores[0].dead {
				return
			}
			for i, o := range owners {
				if err == nil && (o.Epoch != epochs[i] || o.Node != n.name()) {
					n.held.Learn(o.Node, list[i:i+1], []im.Epoch{o.Epoch})
					n.disown(list[i:i+1], epochs[i:i+1])
				}
			}
			n.audit(cores)
		})
	})
}
