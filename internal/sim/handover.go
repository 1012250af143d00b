package sim

import (
	"slices"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// wait is that of a node for the hand-over of a slot: for the end of which epoch, and
// since when.
type wait struct {
	epoch im.Epoch
	since time.Duration
}

// await is what of some slots the node may acquire now.
func (n *node) await(list []im.Slot, owners []im.Owner) []im.Slot {
	w := n.w
	there := map[string]bool{}
	hands := func(name string) bool {
		// Others may seem to be there for a while when they are not, and not to be.
		there[name] = (w.nodeNamed(name).healthy() || w.fault(0.3)) && !w.fault(w.plan.deaf)
		return there[name] && w.defect != TakenByForce
	}
	free := n.held.Await(n.name(), list, owners, hands, start.Add(w.now+w.plan.handOver))
	for i, slot := range list {
		if !there[owners[i].Node] {
			continue
		}
		taken := slices.Contains(free, slot)
		if taken && w.defect == WaitsForEver && !w.store.slot(slot).handed[owners[i].Epoch] {
			taken, free = false, slices.DeleteFunc(free, func(s im.Slot) bool { return s == slot })
			n.held.Refused([]im.Slot{slot}, start.Add(w.now+w.plan.handOver))
		}
		n.checkWait(slot, owners[i], taken)
	}
	n.keep()
	return free
}

// checkWait: a slot whose owner is there is taken when that has said that it has
// handed it over, or when it has been waited for long enough, and not before.
func (n *node) checkWait(slot im.Slot, o im.Owner, taken bool) {
	w := n.w
	at := &n.waits[w.slotPos[slot]]
	if at.epoch != o.Epoch {
		*at = wait{o.Epoch, w.now}
	}
	waited, handed := w.now-at.since, w.store.slot(slot).handed[o.Epoch]
	switch {
	case taken && !handed && waited < w.plan.handOver:
		w.fail("node %d takes slot %d from %s, epoch %d, after it has waited for %v of %v", n.id, slot, o.Node, o.Epoch, waited, w.plan.handOver)
	case !taken && waited >= w.plan.handOver:
		w.fail("node %d waits for slot %d of %s, epoch %d, for %v", n.id, slot, o.Node, o.Epoch, waited)
	case taken && !handed:
		w.stats.Forced++
	case !taken:
		w.stats.Awaited++
		w.logf("node %d: waits for %s to hand over slot %d", n.id, o.Node, slot)
	}
}

// checkTenure: a node commits nothing to slots that it has said to have handed over.
func (n *node) checkTenure(b *store.Batch) {
	for i := range b.Changes {
		slot, epoch := b.Changes[i].Addr.Slot(), b.Changes[i].Epoch
		if n.w.store.slot(slot).handed[epoch] {
			n.w.fail("node %d commits to slot %d under epoch %d, which it has handed over", n.id, slot, epoch)
		}
	}
}

// ownerOf is who has acquired a slot last; nil: the node has not heard.
func (n *node) ownerOf(slot im.Slot) *im.Owner {
	o := n.held.OwnerOf(slot)
	if o != nil && n.w.defect == OwnerGuessed {
		o.Node = n.w.members[n.view.owner[n.w.slotPos[slot]]].Node
	}
	return o
}

// checkOwner: who is named by an answer has acquired the slot under that epoch.
func (w *world) checkOwner(to im.Addr, err error) {
	o, ok := im.OwnerIn(err)
	if !ok {
		return
	}
	w.stats.Corrected++
	if name := w.store.slot(to.Slot()).owners[o.Epoch]; name != o.Node {
		w.fail("%v: an answer names %s, epoch %d, as its owner; that was %q", to, o.Node, o.Epoch, name)
	}
}
