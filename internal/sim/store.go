package sim

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// storage is the model of a store. A commit takes effect at one moment, in
// which its epoch is checked, and is durable at a later one, in order within
// a slot; a crash in between loses it, or part of it. Reads see what is
// durable.
type storage struct {
	w     *world
	up    bool
	slots map[im.Slot]*slotData
	// crashes so far: a call that spans one is answered with an error.
	crashes int
	// drag slows the disk down.
	drag time.Duration
}

type slotData struct {
	// epoch counts acquisitions, safe those that are durable.
	epoch, safe im.Epoch
	// owners are who acquired it under each of them, handed those whose owners have
	// said that they have handed the slot over.
	owners   map[im.Epoch]string
	handed   map[im.Epoch]bool
	entities map[im.Addr]*entityData
	// order is that of creation.
	order    []*entityData
	unsynced []*write
	syncAt   time.Duration
}

type entityData struct {
	addr    im.Addr
	records map[string][]byte
	log     [][]byte
	// head is the last entry, durable or not. trimmed is the last one that the
	// owner has let go of, gone the last that the store has, and log has all.
	head          im.Seq
	trimmed, gone im.Seq
	pending       bool
}

// write is what a commit or an acquisition does to one slot.
type write struct {
	changes []store.Change
	epoch   im.Epoch
	owner   string
	call    *storeCall
}

// storeCall is a call of which some writes are not durable yet.
type storeCall struct {
	left int
	done func(err error)
	// result is what the call returns when all is durable.
	result error
}

func (c *storeCall) finish(err error) {
	if done := c.done; done != nil {
		c.done = nil
		done(err)
	}
}

var (
	errStoreDown = errors.New("simulated: the store is down")
	errUnknown   = errors.New("simulated: the connection to the store broke")
	errRead      = errors.New("simulated: the read failed")
)

func newStorage(w *world) *storage {
	return &storage{w: w, up: true, slots: map[im.Slot]*slotData{}}
}

func (s *storage) slot(id im.Slot) *slotData {
	sl := s.slots[id]
	if sl == nil {
		sl = &slotData{entities: map[im.Addr]*entityData{}, owners: map[im.Epoch]string{}, handed: map[im.Epoch]bool{}}
		s.slots[id] = sl
	}
	return sl
}

func (sl *slotData) entity(a im.Addr) *entityData {
	e := sl.entities[a]
	if e == nil {
		e = &entityData{addr: a, records: map[string][]byte{}}
		sl.entities[a] = e
		sl.order = append(sl.order, e)
	}
	return e
}

// data is what is durable of an entity.
func (s *storage) data(a im.Addr) *entityData { return s.slot(a.Slot()).entity(a) }

// commit takes a batch. done may hear an error whatever became of the batch,
// even before it takes effect.
func (s *storage) commit(n *node, b *store.Batch, done func(error)) {
	w := s.w
	call := &storeCall{done: done}
	lost, early, torn := false, false, false
	if w.fault(w.plan.unknown) || n.cutOff {
		switch w.rng.IntN(3) {
		case 0:
			lost = true
		case 1:
			early = true
		case 2:
			torn = true
		}
	}
	crashes := s.crashes
	wait := w.between(0, w.plan.commitDelay)
	if early {
		w.after(wait, func() { call.finish(errUnknown) })
		wait += w.between(0, 2*time.Second)
	}
	w.after(wait, func() {
		if !s.up || crashes != s.crashes || lost {
			call.finish(errStoreDown)
			return
		}
		s.apply(b, call)
		if torn {
			call.result = errUnknown
		}
	})
}

// apply makes a batch take effect in every slot whose epoch it knows.
func (s *storage) apply(b *store.Batch, call *storeCall) {
	var order []im.Slot
	parts := map[im.Slot]*write{}
	for _, ch := range b.Changes {
		slot := ch.Addr.Slot()
		if parts[slot] == nil {
			parts[slot] = &write{call: call}
			order = append(order, slot)
		}
		parts[slot].changes = append(parts[slot].changes, ch)
	}
	var fenced []im.Slot
	for _, slot := range order {
		sl := s.slot(slot)
		if epoch := parts[slot].changes[0].Epoch; epoch != sl.epoch && s.w.defect != NoFencing {
			fenced = append(fenced, slot)
			continue
		}
		for _, ch := range parts[slot].changes {
			s.takeEffect(sl, ch)
		}
		s.enqueue(sl, parts[slot])
	}
	if len(fenced) > 0 {
		call.result = &store.SlotError{Slots: fenced}
	}
	if call.left == 0 {
		call.finish(call.result)
	}
}

// takeEffect checks one change against the log it extends.
func (s *storage) takeEffect(sl *slotData, ch store.Change) {
	e := sl.entity(ch.Addr)
	if len(ch.Append) == 0 {
		return
	}
	if ch.First != e.head+1 {
		s.w.fail("%v: a commit appends entry %d after %d", ch.Addr, ch.First, e.head)
	}
	e.head += im.Seq(len(ch.Append))
}

// enqueue puts a write among those that become durable in order.
func (s *storage) enqueue(sl *slotData, wr *write) {
	wr.call.left++
	sl.unsynced = append(sl.unsynced, wr)
	sl.syncAt = max(sl.syncAt, s.w.now+s.w.between(0, s.w.plan.syncDelay)+s.drag)
	s.w.at(sl.syncAt, func() {
		if i := slices.Index(sl.unsynced, wr); i >= 0 {
			s.sync(sl, i+1)
		}
	})
}

// sync makes the first writes of a slot durable.
func (s *storage) sync(sl *slotData, n int) {
	synced := slices.Clone(sl.unsynced[:n])
	sl.unsynced = slices.Delete(sl.unsynced, 0, n)
	for _, wr := range synced {
		if wr.epoch != 0 {
			sl.safe, sl.owners[wr.epoch] = wr.epoch, wr.owner
		}
		for _, ch := range wr.changes {
			s.persist(sl, ch)
		}
	}
	for _, wr := range synced {
		if wr.call.left--; wr.call.left == 0 {
			wr.call.finish(wr.call.result)
		}
	}
}

func (s *storage) persist(sl *slotData, ch store.Change) {
	e := sl.entity(ch.Addr)
	for _, r := range ch.Put {
		e.records[r.Key] = r.Value
	}
	for _, key := range ch.Delete {
		delete(e.records, key)
	}
	switch ch.Pending {
	case store.Set:
		e.pending = true
	case store.Clear:
		e.pending = false
	}
	for _, value := range ch.Append {
		e.log = append(e.log, value)
		s.w.ledger(ch.Addr).append(im.Seq(len(e.log)), value)
	}
	if last := max(ch.Trim, 1) - 1; last > e.trimmed {
		s.w.ledger(ch.Addr).trim(e.trimmed+1, last)
		e.trimmed = last
		// An engine may keep some of it.
		e.gone += im.Seq(s.w.rng.IntN(int(last-e.gone) + 1))
		if s.w.chance(0.7) {
			e.gone = last
		}
	}
}

// crash loses what is not durable, except for what happened to be written.
func (s *storage) crash() {
	s.up = false
	s.crashes++
	for _, id := range s.w.slots {
		sl := s.slot(id)
		s.sync(sl, s.w.rng.IntN(len(sl.unsynced)+1))
		lost := sl.unsynced
		sl.unsynced = nil
		sl.epoch = sl.safe
		for _, e := range sl.order {
			e.head = im.Seq(len(e.log))
		}
		for _, wr := range lost {
			wr.call.finish(errUnknown)
		}
	}
}

// reachable reports whether a node's call gets through.
func (s *storage) reachable(n *node) bool { return s.up && !n.cutOff }

// acquire raises the epochs of slots.
func (s *storage) acquire(n *node, slots []im.Slot, epochs *[]im.Epoch, done func(error)) {
	call := &storeCall{done: done}
	s.w.after(s.w.between(0, s.w.plan.commitDelay), func() {
		if !s.reachable(n) {
			call.finish(errStoreDown)
			return
		}
		for _, id := range slots {
			sl := s.slot(id)
			sl.epoch++
			*epochs = append(*epochs, sl.epoch)
			s.enqueue(sl, &write{epoch: sl.epoch, owner: n.name(), call: call})
		}
	})
}

// owners reads who has acquired slots.
func (s *storage) owners(n *node, slots []im.Slot, list *[]im.Owner, done func(error)) {
	s.read(n, func() error {
		for _, id := range slots {
			sl := s.slot(id)
			*list = append(*list, im.Owner{Node: sl.owners[sl.safe], Epoch: sl.safe})
		}
		return nil
	}, done)
}

// read runs f at the moment a read takes effect, and answer when it returns.
func (s *storage) read(n *node, f func() error, answer func(error)) {
	w := s.w
	w.after(w.between(0, w.plan.readDelay), func() {
		err := errStoreDown
		if s.reachable(n) {
			if err = f(); err == nil && w.fault(w.plan.readFails) {
				err = errRead
			}
		}
		w.after(w.between(0, w.plan.readDelay), func() { answer(err) })
	})
}

// pending lists the marked entities of slots.
func (s *storage) pending(n *node, slots []im.Slot, marked *[]im.Addr, done func(error)) {
	s.read(n, func() error {
		for _, id := range slots {
			for _, e := range s.slot(id).order {
				if e.pending {
					*marked = append(*marked, e.addr)
				}
			}
		}
		return nil
	}, done)
}

// load is store.Store's Load, of what is durable now.
func (s *storage) load(a im.Addr, tail func([]im.Record) im.Seq) store.Entity {
	e := s.data(a)
	var out store.Entity
	for _, key := range slices.Sorted(maps.Keys(e.records)) {
		out.Records = append(out.Records, im.Record{Key: key, Value: e.records[key]})
	}
	from := tail(out.Records) + 1
	if from <= e.trimmed {
		s.w.fail("%v: the snapshot includes entries before %d, but those up to %d are gone", a, from, e.trimmed)
	}
	out.Tail = s.readLog(a, from, len(e.log), 1<<30)
	return out
}

// readLog is store.Store's ReadLog, of what is durable now.
func (s *storage) readLog(a im.Addr, from im.Seq, limit, maxBytes int) []im.LogEntry {
	e := s.data(a)
	var out []im.LogEntry
	size := 0
	for seq := max(from, e.gone+1); seq <= im.Seq(len(e.log)) && len(out) < limit && size <= maxBytes; seq++ {
		value := e.log[seq-1]
		out = append(out, im.LogEntry{Seq: seq, Value: value})
		size += len(value)
	}
	return out
}
