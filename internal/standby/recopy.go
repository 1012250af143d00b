package standby

import (
	"context"
	"sort"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// errNotCopying refuses a part of a copy that this node has not begun, or that
// another has begun since.
func errNotCopying(slot im.Slot) error {
	return im.Errorf(im.Invalid, "slot %d is not being copied by this node", slot)
}

// begin marks a slot as not whole until its copy has come.
func (t *turn) begin(m *storev1.StandbyCopy) error {
	slot, r, err := t.replica(m.GetSlot())
	if err != nil {
		return err
	}
	if m.GetEpoch() < r.epoch {
		return im.Errorf(im.Invalid, "slot %d has a newer owner, which copies it", slot)
	}
	r.until, r.ends, r.by = never, map[im.Addr]im.Seq{}, t
	delete(t.held, slot)
	t.f.stats.Copies++
	t.touch(slot)
	return nil
}

// logs says how much of some logs there is already.
func (t *turn) logs(m *storev1.StandbyLogs) error {
	slot, r, err := t.replica(m.GetSlot())
	if err != nil {
		return err
	}
	if len(m.GetLogs()) > maxLogs {
		return im.Errorf(im.TooLarge, "%d logs are too many to ask about", len(m.GetLogs()))
	}
	if r.by != t {
		return errNotCopying(slot)
	}
	if err := t.commit(); err != nil {
		return err
	}
	answer := &storev1.StandbyLogs{Slot: m.GetSlot(), Logs: make([]*storev1.StandbyLog, len(m.GetLogs()))}
	for i, l := range m.GetLogs() {
		a, err := addrOf(slot, l.GetAddr())
		if err != nil {
			return err
		}
		if l.GetLast() > maxSequence {
			return errSequence(a, l.GetLast())
		}
		end, err := t.logEnd(a, im.Seq(l.GetLast()))
		if err != nil {
			return err
		}
		r.ends[a] = end
		answer.Logs[i] = &storev1.StandbyLog{Last: uint64(end)}
	}
	return t.conn.send(frameLogs, answer)
}

// logEnd finds the last entry of a log: near to where it is expected, or by
// halving.
func (t *turn) logEnd(a im.Addr, expected im.Seq) (im.Seq, error) {
	var failed error
	reaches := func(seq im.Seq) bool {
		entries, err := t.f.cfg.Engine.ReadLog(context.Background(), a, seq, 1, 1)
		if err != nil {
			failed = err
		}
		return len(entries) > 0
	}
	high := expected + 1
	for high <= maxSequence && reaches(high) && failed == nil {
		high *= 2
	}
	if high == expected+1 && expected > 0 && reaches(expected) {
		return expected, failed
	}
	// The first sequence that the log does not reach, less one.
	n := sort.Search(int(high), func(i int) bool { return i > 0 && !reaches(im.Seq(i)) })
	return im.Seq(max(n-1, 0)), failed
}

// entity takes a part of an entity's copy.
func (t *turn) entity(m *storev1.StandbyEntity) error {
	slot, r, err := t.replica(m.GetSlot())
	if err != nil {
		return err
	}
	a, err := addrOf(slot, m.GetAddr())
	if err != nil {
		return err
	}
	if r.by != t {
		return errNotCopying(slot)
	}
	if !sequences(m.GetFirst()) {
		return errSequence(a, m.GetFirst())
	}
	ch := store.Change{Addr: a, Epoch: t.f.epochs[slot], First: im.Seq(m.GetFirst()), Append: m.GetAppend()}
	if err := t.overlap(r, &ch); err != nil {
		return err
	}
	if m.GetWhole() {
		if err := t.replace(r, &ch, m); err != nil {
			return err
		}
	}
	t.add(ch)
	return nil
}

// replace makes the records of a copy those of the original.
func (t *turn) replace(r *replica, ch *store.Change, m *storev1.StandbyEntity) error {
	ch.Put, ch.Pending = recordsOf(m.GetRecords()), store.Clear
	if m.GetPending() {
		ch.Pending = store.Set
	}
	if m.GetFirst() > 1 && len(ch.Append) == 0 {
		ch.Trim = ch.First
		if err := t.beginEmpty(r, ch); err != nil {
			return err
		}
	}
	return t.removeOthers(ch)
}

// removeOthers deletes the records that an entity no longer has.
func (t *turn) removeOthers(ch *store.Change) error {
	had, err := t.f.cfg.Engine.Load(context.Background(), ch.Addr, func([]store.Record) im.Seq { return never - 1 })
	if err != nil {
		return err
	}
	kept := make(map[string]bool, len(ch.Put))
	for _, r := range ch.Put {
		kept[r.Key] = true
	}
	for _, r := range had.Records {
		if !kept[r.Key] {
			ch.Delete = append(ch.Delete, r.Key)
		}
	}
	return nil
}

// overlap leaves out of a change the entries that the log has.
func (t *turn) overlap(r *replica, ch *store.Change) error {
	if len(ch.Append) == 0 {
		return nil
	}
	end, err := t.knownEnd(r, ch.Addr, ch.First-1)
	if err != nil {
		return err
	}
	if skip := int(min(im.Seq(len(ch.Append)), max(end+1, ch.First)-ch.First)); skip > 0 {
		ch.Append, ch.First = ch.Append[skip:], ch.First+im.Seq(skip)
	}
	if n := len(ch.Append); n > 0 {
		if ch.First > end+1 {
			t.beginAnew(ch)
		}
		end = ch.First + im.Seq(n) - 1
	}
	r.ends[ch.Addr] = end
	return nil
}

// knownEnd is the last entry of a log whose slot is not whole.
func (t *turn) knownEnd(r *replica, a im.Addr, expected im.Seq) (im.Seq, error) {
	if r.ends == nil {
		r.ends = map[im.Addr]im.Seq{}
	}
	if end, ok := r.ends[a]; ok {
		return end, nil
	}
	if err := t.commit(); err != nil {
		return 0, err
	}
	end, err := t.logEnd(a, expected)
	if err == nil {
		r.ends[a] = end
	}
	return end, err
}

// beginAnew lets a log begin where a change appends. The original has trimmed what
// is missing before it.
func (t *turn) beginAnew(ch *store.Change) {
	if ch.Trim > ch.First {
		t.trims = append(t.trims, store.Change{Addr: ch.Addr, Epoch: ch.Epoch, Trim: ch.Trim})
	}
	ch.Trim = ch.First
}

// beginEmpty lets a log without entries begin at a sequence: an entry before it is
// appended and trimmed.
func (t *turn) beginEmpty(r *replica, ch *store.Change) error {
	end, err := t.knownEnd(r, ch.Addr, ch.First-1)
	if err != nil || end+1 >= ch.First {
		return err
	}
	last := ch.First - 1
	t.add(store.Change{Addr: ch.Addr, Epoch: ch.Epoch, First: last, Append: [][]byte{nil}, Trim: last})
	t.trims = append(t.trims, store.Change{Addr: ch.Addr, Epoch: ch.Epoch, Trim: ch.First})
	ch.Trim, r.ends[ch.Addr] = 0, last
	return nil
}

// end removes what the slot no longer has, and says from when on it is whole.
func (t *turn) end(m *storev1.StandbyCopy) error {
	slot, r, err := t.replica(m.GetSlot())
	if err != nil {
		return err
	}
	if r.by != t || m.GetUntil() < m.GetPosition() {
		return errNotCopying(slot)
	}
	if err := t.commit(); err != nil {
		return err
	}
	if err := t.removeStale(slot, m.GetEntities()); err != nil {
		return err
	}
	r.number, r.until, r.by = m.GetPosition(), m.GetUntil(), nil
	r.settle()
	t.touch(slot)
	return nil
}

// removeStale removes the entities of a slot that are not in the list.
func (t *turn) removeStale(slot im.Slot, list []*storev1.Addr) error {
	kept := make(map[im.Addr]bool, len(list))
	for _, l := range list {
		a, err := addrOf(slot, l)
		if err != nil {
			return err
		}
		kept[a] = true
	}
	held, err := t.heldBefore(slot)
	if err != nil {
		return err
	}
	// What has only a mark is not listed: of a copy that was begun before, of what
	// was removed meanwhile.
	marked, err := t.f.cfg.Engine.Pending(context.Background(), slot)
	if err != nil {
		return err
	}
	for _, a := range append(held, marked...) {
		if kept[a] || a.Kind == im.KindPosition {
			continue
		}
		kept[a] = true // It may be in both lists.
		end, err := t.logEnd(a, 0)
		if err != nil {
			return err
		}
		ch := store.Change{Addr: a, Epoch: t.f.epochs[slot], Trim: end + 1, Pending: store.Clear}
		if err := t.removeOthers(&ch); err != nil {
			return err
		}
		t.add(ch)
	}
	return nil
}

// heldBefore are the entities that a slot had when its copy was begun, and some
// that have come with the copy; nothing else changes the slot meanwhile. All
// slots that are being copied are listed at once: some stores list many as fast
// as one.
func (t *turn) heldBefore(slot im.Slot) ([]im.Addr, error) {
	if _, listed := t.held[slot]; !listed {
		var begun []im.Slot
		for at := range t.f.copies {
			if t.f.copies[at].by == t {
				begun = append(begun, im.Slot(at))
			}
		}
		if err := t.f.cfg.Engine.List(context.Background(), begun, func(at im.Slot, held []im.Addr) error {
			t.held[at] = held
			return nil
		}); err != nil {
			return nil, err
		}
	}
	held := t.held[slot]
	delete(t.held, slot)
	return held, nil
}
