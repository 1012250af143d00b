package standby

import (
	"context"
	"errors"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/wire"
)

const (
	// maxTurn is about how much is applied with one commit.
	maxTurn = 4 << 20
	// maxLogs bounds one question about logs.
	maxLogs = 1024
)

// turn applies what has arrived over a connection: everything that has been
// read already shares one commit.
type turn struct {
	f    *Follower
	conn *conn

	batch store.Batch
	// trims follow the batch with a commit of their own: an engine may take the
	// changes to one entity for one, and a log that begins and is trimmed
	// further would not begin.
	trims   []store.Change
	bytes   int
	touched map[im.Slot]struct{}
	// held are the entities of slots that are being copied over this
	// connection, as far as they have been listed since that began.
	held map[im.Slot][]im.Addr
}

// run waits for a frame, takes those behind it that have come whole, commits and
// says so.
func (t *turn) run() error {
	kind, m, err := t.conn.receive(maxFrame)
	if err != nil {
		return err
	}
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	for ok := true; ok && t.bytes <= maxTurn; {
		if err = t.take(kind, m); err == nil {
			kind, m, ok, err = t.conn.next(maxFrame)
		}
		if err != nil {
			t.forget()
			return err
		}
	}
	return t.commit()
}

// take takes one frame.
func (t *turn) take(kind wire.Type, m proto.Message) error {
	switch m := m.(type) {
	case *storev1.StandbyAsk:
		return t.tell(m)
	case *storev1.StandbyChanges:
		return t.change(m)
	case *storev1.StandbyCopy:
		if kind == frameCopyBegin {
			return t.begin(m)
		}
		return t.end(m)
	case *storev1.StandbyLogs:
		return t.logs(m)
	case *storev1.StandbyEntity:
		return t.entity(m)
	}
	if kind == framePing {
		return t.conn.send(framePing, nil)
	}
	return nil
}

// replica is the copy of a slot that a frame is about.
func (t *turn) replica(slot uint32) (im.Slot, *replica, error) {
	if slot >= im.Slots {
		return 0, nil, errStrange(slot)
	}
	r := &t.f.copies[slot]
	if r.doubtful {
		if err := t.f.recall(im.Slot(slot)); err != nil {
			return 0, nil, im.Errorf(im.Unavailable, "the copy of slot %d cannot be read: %w", slot, err)
		}
	}
	return im.Slot(slot), r, nil
}

// touch: the slot's position is to be written, and told.
func (t *turn) touch(slot im.Slot) { t.touched[slot] = struct{}{} }

// commit makes durable what was taken, and tells how far the slots are.
func (t *turn) commit() error {
	if err := t.begun(); err != nil {
		return err
	}
	touched := slices.Sorted(maps.Keys(t.touched))
	for _, slot := range touched {
		p := t.f.copies[slot].position
		c := store.Change{Addr: positions()[slot], Epoch: t.f.epochs[slot], Put: p.records()}
		if p.whole() {
			c.Put, c.Delete = position{number: p.number}.records(), []string{keyUntil}
		}
		t.batch.Changes = append(t.batch.Changes, c)
	}
	if err := t.write(); err != nil {
		return err
	}
	t.clear()
	if len(touched) == 0 {
		return nil
	}
	return t.positions(touched)
}

// begun commits what trims have to follow: all changes of their slots, and of no
// others. Those slots are not whole, so nobody minds what their number is meanwhile.
func (t *turn) begun() error {
	if len(t.trims) == 0 {
		return nil
	}
	trimmed := map[im.Slot]bool{}
	for i := range t.trims {
		trimmed[t.trims[i].Addr.Slot()] = true
	}
	all, later := t.batch.Changes, t.trims
	t.batch.Changes, t.trims = nil, nil
	for i := range all {
		if slot := all[i].Addr.Slot(); trimmed[slot] {
			t.batch.Changes = append(t.batch.Changes, all[i])
		} else {
			later = append(later, all[i])
			t.touch(slot)
		}
	}
	err := t.write()
	t.batch.Changes = later
	return err
}

// write commits the batch.
func (t *turn) write() error {
	if len(t.batch.Changes) == 0 {
		return nil
	}
	if err := t.f.cfg.Engine.Commit(context.Background(), &t.batch); err != nil {
		t.doubt(err)
		return im.Errorf(im.Unavailable, "the copy cannot be written: %w", err)
	}
	t.f.stats.Commits++
	return nil
}

func (t *turn) clear() {
	t.batch.Changes, t.trims, t.bytes = nil, nil, 0
	clear(t.touched)
}

// doubt: a commit has failed. Unless it was refused, it may have taken effect in
// part, and may still do so: until the slots are acquired again.
func (t *turn) doubt(err error) {
	var fenced *store.SlotError
	if !errors.As(err, &fenced) {
		for i := range t.batch.Changes {
			t.f.copies[t.batch.Changes[i].Addr.Slot()].doubtful = true
		}
	}
	t.forget()
}

// forget goes back to what the store says: what was taken is not in it.
func (t *turn) forget() {
	for i := range t.batch.Changes {
		t.touch(t.batch.Changes[i].Addr.Slot())
	}
	for slot := range t.touched {
		if err := t.f.recall(slot); err != nil {
			t.f.cfg.Logger.Warn("a slot of the copy cannot be read", "slot", slot, "err", err)
		}
	}
	t.clear()
}

// recall reads how far a slot is. Where that fails it is done when somebody asks
// for the slot.
func (f *Follower) recall(slot im.Slot) error {
	r := replica{position: position{until: never}, epoch: f.copies[slot].epoch, doubtful: f.copies[slot].doubtful}
	defer func() { f.copies[slot] = r }()
	if r.doubtful {
		epochs, err := f.cfg.Engine.Acquire(context.Background(), owner, []im.Slot{slot})
		if err != nil {
			return err
		}
		f.epochs[slot] = epochs[0]
		// It may have been promoted meanwhile, and then belongs to others.
		region, err := CopyOf(context.Background(), f.cfg.Engine)
		switch {
		case err != nil:
			return err
		case region != f.cfg.Region:
			return im.Errorf(im.Invalid, "the store is no copy of region %q any more", f.cfg.Region)
		}
	}
	p, err := readPosition(context.Background(), f.cfg.Engine, slot)
	if r.doubtful = err != nil; r.doubtful {
		return err
	}
	r.position = p
	return nil
}

// tell answers how far slots are.
func (t *turn) tell(m *storev1.StandbyAsk) error {
	if err := t.commit(); err != nil {
		return err
	}
	if len(m.GetEpochs()) != len(m.GetSlots()) {
		return im.Errorf(im.Invalid, "%d slots are asked about under %d epochs", len(m.GetSlots()), len(m.GetEpochs()))
	}
	answer := &storev1.StandbyPositions{}
	for i, n := range m.GetSlots() {
		slot, r, err := t.replica(n)
		if err != nil {
			return err
		}
		p := t.f.position(slot)
		p.Epoch, p.Stale = m.Epochs[i], m.Epochs[i] < r.epoch
		r.epoch = max(r.epoch, m.Epochs[i])
		answer.Slots = append(answer.Slots, p)
	}
	return t.conn.send(framePositions, answer)
}

// positions tells how far slots are.
func (t *turn) positions(slots []im.Slot) error {
	answer := &storev1.StandbyPositions{}
	for _, slot := range slots {
		answer.Slots = append(answer.Slots, t.f.position(slot))
	}
	return t.conn.send(framePositions, answer)
}

func (f *Follower) position(slot im.Slot) *storev1.StandbyPosition {
	r := &f.copies[slot]
	return &storev1.StandbyPosition{Slot: uint32(slot), Position: r.number, Broken: !r.whole()}
}

// change applies one commit's part for a slot.
func (t *turn) change(m *storev1.StandbyChanges) error {
	slot, r, err := t.replica(m.GetSlot())
	if err != nil {
		return err
	}
	switch {
	case m.GetPosition() <= r.number:
		// Another node was faster with it.
		t.touch(slot)
		return nil
	case m.GetPosition() != r.number+1 || r.until == never:
		return im.Errorf(im.Invalid, "commit %d of slot %d does not follow %d", m.GetPosition(), slot, r.number)
	}
	for _, c := range m.GetChanges() {
		ch, err := t.changeOf(slot, c)
		if err != nil {
			return err
		}
		if !r.whole() {
			if err := t.overlap(r, &ch); err != nil {
				return err
			}
		}
		t.add(ch)
	}
	r.number = m.GetPosition()
	r.settle()
	t.f.stats.Changes++
	t.touch(slot)
	return nil
}

func (t *turn) add(c store.Change) {
	for i := range c.Append {
		t.bytes += len(c.Append[i])
	}
	for i := range c.Put {
		t.bytes += len(c.Put[i].Value)
	}
	t.batch.Changes = append(t.batch.Changes, c)
}

// changeOf checks a change; what it holds aliases the frame.
func (t *turn) changeOf(slot im.Slot, c *storev1.StandbyChange) (store.Change, error) {
	a, err := addrOf(slot, c.GetAddr())
	if err != nil {
		return store.Change{}, err
	}
	if c.GetPending() > uint32(store.Clear) {
		return store.Change{}, im.Errorf(im.Invalid, "there is no pending mark %d", c.GetPending())
	}
	if len(c.GetAppend()) > 0 && !sequences(c.GetFirst()) {
		return store.Change{}, errSequence(a, c.GetFirst())
	}
	return store.Change{
		Addr: a, Epoch: t.f.epochs[slot], First: im.Seq(c.GetFirst()), Append: c.GetAppend(), Trim: im.Seq(c.GetTrim()),
		Put: recordsOf(c.GetPut()), Delete: c.GetDelete(), Pending: store.Mark(c.GetPending()),
	}, nil
}

// maxSequence is the last sequence that is believed: what is beyond could not have
// been written one by one.
const maxSequence = 1 << 56

// sequences reports whether a log's entries may begin there.
func sequences(first uint64) bool { return first > 0 && first <= maxSequence }

func errSequence(a im.Addr, seq uint64) error {
	return im.Errorf(im.Invalid, "the log of %v has no entry %d", a, seq)
}

func addrOf(slot im.Slot, a *storev1.Addr) (im.Addr, error) {
	if a.GetKind() == 0 || a.GetKind() > 255 {
		return im.Addr{}, im.Errorf(im.Invalid, "there is no kind %d of entities", a.GetKind())
	}
	addr := im.Addr{Kind: im.Kind(a.GetKind()), ID: a.GetId()}
	if addr.Slot() != slot || addr.Kind == im.KindPosition {
		return addr, im.Errorf(im.Invalid, "%v is not in slot %d", addr, slot)
	}
	return addr, nil
}

func recordsOf(recs []*storev1.StandbyRecord) []store.Record {
	list := make([]store.Record, len(recs))
	for i, r := range recs {
		list[i] = store.Record{Key: r.GetKey(), Value: r.GetValue()}
	}
	return list
}
