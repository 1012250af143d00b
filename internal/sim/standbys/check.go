package standbys

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/standby"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/memstore"
)

// place is what a store says of how far a slot is.
type place struct{ number, until uint64 }

func (p place) whole() bool { return p.number >= p.until }

// placeOf reads the records that package standby keeps for a slot.
func (g *generation) placeOf(st *memstore.Store, slot im.Slot) (p place) {
	for _, r := range recordsOf(st, g.places[slot]) {
		switch n, _ := binary.Uvarint(r.Value); r.Key {
		case "n":
			p.number = n
		case "u":
			p.until = n
		}
	}
	return p
}

func recordsOf(st *memstore.Store, a im.Addr) []store.Record {
	e, err := st.Load(context.Background(), a, func([]store.Record) im.Seq { return 1 << 62 })
	if err != nil {
		return nil
	}
	return e.Records
}

func logOf(st *memstore.Store, a im.Addr) []store.Entry {
	log, _ := st.ReadLog(context.Background(), a, 1, 1<<20, 1<<30)
	return log
}

// stateOf is all that a store has in a slot.
func stateOf(st *memstore.Store, slot im.Slot, subjects []im.Addr) string {
	pending, _ := st.Pending(context.Background(), slot)
	var b strings.Builder
	for _, a := range subjects {
		recs, log, marked := recordsOf(st, a), logOf(st, a), slices.Contains(pending, a)
		if len(recs) == 0 && len(log) == 0 && !marked {
			continue
		}
		fmt.Fprintf(&b, "%v:", a)
		for _, r := range recs {
			fmt.Fprintf(&b, " %s=%s", r.Key, r.Value)
		}
		for _, e := range log {
			fmt.Fprintf(&b, " %d:%s", e.Seq, e.Value)
		}
		if marked {
			b.WriteString(" pending")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// remember notes what a slot of the region is after its last commit.
func (w *world) remember(slot im.Slot) uint64 {
	number, state := w.placeOf(w.store, slot).number, stateOf(w.store, slot, w.subjects[slot])
	switch was, known := w.history[slot][number]; {
	case !known:
		w.history[slot][number] = state
		w.logf("slot %d: commit %d", slot, number)
		delete(w.bare, slot)
	case was != state && !w.bare[slot]:
		w.failf("number %d of slot %d names\n%s\nand\n%s", number, slot, was, state)
	}
	return number
}

// entry is an entry of a log.
type entry struct {
	addr  im.Addr
	seq   im.Seq
	value string
}

// in reports whether a store has the entry.
func (e *entry) in(st *memstore.Store) bool {
	log, _ := st.ReadLog(context.Background(), e.addr, e.seq, 1, 1)
	return len(log) > 0 && log[0].Seq == e.seq && string(log[0].Value) == e.value
}

// ack is what somebody was told of a slot: that it is after a commit, and has some
// entries.
type ack struct {
	slot    im.Slot
	number  uint64
	entries []entry
	what    string
	// commit: it was committed, and not only seen.
	commit bool
	node   *node
	life   int
}

// acked notes it, and looks for it in the copy if that has to be there.
func (w *world) acked(by *actor, a ack) {
	if by.bare {
		return
	}
	a.node, a.life = by.node, by.life
	w.acks = append(w.acks, a)
	if w.plan.sync {
		w.checkCopied(&a)
	}
}

// checkCopied fails unless the copy has what was told.
func (w *world) checkCopied(a *ack) {
	copied := w.standby.store.Store
	if p := w.placeOf(copied, a.slot); p.whole() && p.number < a.number {
		w.failf("commit %d of slot %d, %s, is not in the copy, which is at %d", a.number, a.slot, a.what, p.number)
	}
	for _, e := range a.entries {
		// What the region itself has let go of since, the copy need not have.
		if e.in(w.store) && !e.in(copied) {
			w.failf("entry %d of %v, %s, is not in the copy", e.seq, e.addr, a.what)
		}
	}
}

// behind is how much the nodes say that the copy may lack.
func (w *world) behind() (total uint64) {
	for _, n := range w.nodes {
		if n.src != nil {
			total += n.src.Stats().Behind
		}
	}
	return total
}

// checkLost looks at the copy when the region is gone, and promotes it. It is true
// if the copy is whole.
func (w *world) checkLost(behind uint64, held map[im.Slot]tenure) bool {
	for i := range w.acks {
		if w.plan.sync {
			w.checkCopied(&w.acks[i])
		}
	}
	lost := uint64(0)
	copied := w.standby.store
	for _, slot := range w.slots {
		at := w.placeOf(copied.Store, slot)
		if at.whole() && !w.plan.sync {
			lost += w.lostOf(slot, at.number, held[slot])
		}
	}
	if lost > behind {
		w.failf("%d commits that were answered are lost, and the nodes said that %d might be", lost, behind)
	}
	return w.promote()
}

// tenants are the owners of slots that live and know that they own them.
func (w *world) tenants() map[im.Slot]tenure {
	held := map[im.Slot]tenure{}
	for slot, t := range w.held {
		if t.alive() && t.epoch == w.store.Epoch(slot) {
			held[slot] = t
		}
	}
	return held
}

// lostOf counts the commits of a slot that its owner was told of, and that are not
// in the copy. What a node that is dead itself had not sent yet, nobody can tell.
func (w *world) lostOf(slot im.Slot, at uint64, t tenure) (n uint64) {
	for i := range w.acks {
		a := &w.acks[i]
		if a.commit && a.slot == slot && a.number > at && a.node != nil && t.node == a.node && t.life == a.life {
			n = max(n, a.number-at)
		}
	}
	return n
}

// promote makes the copy a store of its own.
func (w *world) promote() bool {
	ctx, copied := context.Background(), w.standby.store
	var engine standby.Engine = copied.Store
	if w.opts.Defect == PromotedAnyway {
		engine = forgetful{copied.Store}
	}
	broken, err := standby.Promote(ctx, engine, time.UnixMilli(1), false)
	if err != nil {
		w.failf("the copy cannot be promoted: %v", err)
	}
	is, err := standby.CopyOf(ctx, copied.Store)
	if err != nil {
		w.failf("%v", err)
	}
	w.logf("promoted: %v are not whole", broken)
	whole := copied.wholeSlots()
	for _, slot := range w.slots {
		if !slices.Contains(whole, slot) && !slices.Contains(broken, slot) {
			w.failf("the copy of slot %d is not whole, and was promoted without a word", slot)
		}
	}
	if len(broken) > 0 {
		w.report.Broken++
		if is != regionName {
			w.failf("a copy of which %d slots are not whole was promoted without having been asked to", len(broken))
		}
		return false
	}
	if is != "" {
		w.failf("the copy was promoted and is still one of %q", is)
	}
	return true
}

// checkSettled expects that the copy is what the region is.
func (w *world) checkSettled() {
	for _, n := range w.nodes {
		st := n.src.Stats()
		if err := n.src.Health(); err != nil || st.Behind > 0 || st.Copying > 0 || st.QueuedBytes > 0 {
			w.failf("%s does not come to rest: %+v, %v", n.name(), st, err)
		}
	}
	for _, slot := range w.slots {
		at, copied := w.placeOf(w.store, slot), w.placeOf(w.standby.store.Store, slot)
		if at.number != copied.number || !copied.whole() {
			w.failf("in the end, slot %d is at %d and its copy at %+v", slot, at.number, copied)
		}
	}
	w.standby.store.check(w.slots)
	if st := w.standby.follower.Stats(); st.Broken > 0 {
		w.failf("in the end, %d slots of the copy are not whole", st.Broken)
	}
}
