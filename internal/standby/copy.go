package standby

import (
	"context"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// copyGroup is how many entities are asked about at a time.
const copyGroup = 64

// copyAtOnce is how many slots a copier takes at a time, if so many are waiting:
// some stores list the entities of many as fast as those of one.
const copyAtOnce = 256

// copyLoop copies slots, some at a time, one after the other.
func (l *sourceLink) copyLoop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case slots := <-l.copies:
			if err := l.copySlots(ctx, l.waiting(slots)); err != nil {
				return err
			}
		}
	}
}

// waiting are some slots and those that wait behind them.
func (l *sourceLink) waiting(slots []im.Slot) []im.Slot {
	for len(slots) < copyAtOnce {
		select {
		case more := <-l.copies:
			slots = append(slots, more...)
		default:
			return slots
		}
	}
	return slots
}

// copySlots makes the copies of slots anew. Commits that come meanwhile stay
// queued until that is done.
func (l *sourceLink) copySlots(ctx context.Context, slots []im.Slot) error {
	slots, err := l.owned(ctx, slots)
	if err != nil || len(slots) == 0 {
		return err
	}
	begun := make(map[im.Slot]*copier, len(slots))
	for _, slot := range slots {
		c := &copier{link: l, slot: slot, wants: make(chan []im.Seq, 1)}
		begun[slot] = c
		var epoch im.Epoch
		epoch, c.after = l.src.beginCopy(slot, c.wants)
		if err := l.send(frameCopyBegin, &storev1.StandbyCopy{Slot: uint32(slot), Epoch: uint64(epoch)}); err != nil {
			return err
		}
	}
	// Listed after all have begun: what comes later is queued.
	return l.src.Engine.List(ctx, slots, func(slot im.Slot, held []im.Addr) error {
		return begun[slot].run(ctx, held)
	})
}

// owned leaves out the slots that have a newer owner, who sees to their copies.
func (l *sourceLink) owned(ctx context.Context, slots []im.Slot) ([]im.Slot, error) {
	owners, err := l.src.Engine.Owners(ctx, slots)
	if err != nil {
		return nil, err
	}
	s := l.src
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := slots[:0]
	for i, slot := range slots {
		if owners[i].Epoch > s.slots[slot].epoch {
			s.yieldLocked(slot)
		} else {
			kept = append(kept, slot)
		}
	}
	return kept, nil
}

// run copies the slot, whose entities were listed after it was begun.
func (c *copier) run(ctx context.Context, held []im.Addr) (err error) {
	all := withoutPosition(held)
	if c.pending, err = c.link.pending(ctx, c.slot); err != nil {
		return err
	}
	for rest := all; len(rest) > 0; {
		n := min(copyGroup, len(rest))
		if err := c.copy(ctx, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	// What was read may include commits of an owner that has come meanwhile, even
	// some without a number, if that one has no standby: the copy would not show it.
	if own, err := c.link.owned(ctx, []im.Slot{c.slot}); err != nil || len(own) == 0 {
		return err
	}
	// The last commits are perhaps not known here yet.
	now, err := readPosition(ctx, c.link.src.Engine, c.slot)
	if err != nil {
		return err
	}
	end := &storev1.StandbyCopy{Slot: uint32(c.slot), Position: c.after, Until: max(now.number, c.after)}
	for _, a := range all {
		end.Entities = append(end.Entities, addrToProto(a))
	}
	if err := c.link.send(frameCopyEnd, end); err != nil {
		return err
	}
	c.link.src.endCopy(c.slot, c.after)
	return nil
}

// beginCopy empties a slot's queue: what is in it, the copy will have.
func (s *Source) beginCopy(at im.Slot, wants chan []im.Seq) (epoch im.Epoch, after uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := &s.slots[at]
	s.dropLocked(sl)
	s.stats.Copies++
	sl.wants = wants
	return sl.epoch, sl.position
}

// endCopy goes on after a copy. If what came meanwhile is not all in the queue,
// it is made once more.
func (s *Source) endCopy(at im.Slot, after uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := &s.slots[at]
	sl.wants, sl.sent, sl.phase = nil, 0, behind
	if sl.covered(after) {
		sl.phase = following
	}
	s.readyLocked(at)
	s.nudge()
}

// withoutPosition are the entities of a slot that are copied.
func withoutPosition(held []im.Addr) []im.Addr {
	kept := held[:0]
	for _, a := range held {
		if a.Kind != im.KindPosition {
			kept = append(kept, a)
		}
	}
	return kept
}

func (l *sourceLink) pending(ctx context.Context, slot im.Slot) (map[im.Addr]bool, error) {
	marked, err := l.src.Engine.Pending(ctx, slot)
	if err != nil {
		return nil, err
	}
	set := make(map[im.Addr]bool, len(marked))
	for _, a := range marked {
		set[a] = true
	}
	return set, nil
}

// copier copies a slot.
type copier struct {
	link *sourceLink
	slot im.Slot
	// after is the last commit when it was begun.
	after   uint64
	pending map[im.Addr]bool
	wants   chan []im.Seq
}

// original is an entity as it was at one moment.
type original struct {
	addr        im.Addr
	records     []store.Record
	first, last im.Seq
}

func (c *copier) copy(ctx context.Context, addrs []im.Addr) error {
	originals := make([]original, len(addrs))
	ask := &storev1.StandbyLogs{Slot: uint32(c.slot)}
	for i, a := range addrs {
		o, err := c.read(ctx, a)
		if err != nil {
			return err
		}
		originals[i] = o
		ask.Logs = append(ask.Logs, &storev1.StandbyLog{Addr: addrToProto(a), First: uint64(o.first), Last: uint64(o.last)})
	}
	if err := c.link.send(frameLogs, ask); err != nil {
		return err
	}
	var has []im.Seq
	select {
	case has = <-c.wants:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if len(has) != len(originals) {
		return errNoAnswer
	}
	for i := range originals {
		if err := c.send(ctx, &originals[i], has[i]); err != nil {
			return err
		}
	}
	return nil
}

// read finds out what an entity is now.
func (c *copier) read(ctx context.Context, a im.Addr) (original, error) {
	engine := c.link.src.Engine
	o := original{addr: a}
	var damaged error
	e, err := engine.Load(ctx, a, func(recs []store.Record) im.Seq {
		o.last, damaged = c.link.src.cfg.Snapshot(a, recs)
		return o.last
	})
	if err == nil {
		err = damaged
	}
	if err != nil {
		return o, im.Errorf(im.Unavailable, "%v cannot be copied: %w", a, err)
	}
	o.records = e.Records
	o.last += im.Seq(len(e.Tail))
	head, err := engine.ReadLog(ctx, a, 1, 1, 1)
	if err != nil {
		return o, err
	}
	o.first = o.last + 1
	if len(head) > 0 {
		o.first = min(o.first, head[0].Seq)
	}
	return o, nil
}

// send sends the entries after those that the copy has, and then the records.
func (c *copier) send(ctx context.Context, o *original, has im.Seq) error {
	for from := max(has+1, o.first); from <= o.last; {
		entries, err := c.link.src.Engine.ReadLog(ctx, o.addr, from, int(o.last-from)+1, pieceBytes)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			// Trimmed meanwhile; the commit that did so comes later, but perhaps
			// none that says where the log goes on.
			o.first = o.last + 1
			break
		}
		m := &storev1.StandbyEntity{Slot: uint32(c.slot), Addr: addrToProto(o.addr), First: uint64(entries[0].Seq)}
		for _, e := range entries {
			m.Append = append(m.Append, e.Value)
		}
		if err := c.link.send(frameEntity, m); err != nil {
			return err
		}
		from = entries[len(entries)-1].Seq + 1
	}
	return c.link.send(frameEntity, &storev1.StandbyEntity{
		Slot: uint32(c.slot), Addr: addrToProto(o.addr), First: uint64(o.first), Whole: true,
		Records: recordsToProto(o.records), Pending: c.pending[o.addr],
	})
}

// wanted brings a copier its answer.
func (s *Source) wanted(m *storev1.StandbyLogs) error {
	if m.GetSlot() >= im.Slots {
		return errStrange(m.GetSlot())
	}
	has := make([]im.Seq, len(m.GetLogs()))
	for i, l := range m.GetLogs() {
		has[i] = im.Seq(l.GetLast())
	}
	s.mu.Lock()
	wants := s.slots[m.GetSlot()].wants
	s.mu.Unlock()
	select {
	case wants <- has:
		return nil
	default:
		return errNoAnswer
	}
}
