package standbys

import (
	"context"
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/memstore"
	"github.com/skein-im/skein/internal/wire"
)

// Defect is a deliberate mistake. The simulator must find each.
type Defect uint8

// Defects.
const (
	// None is the system as it is.
	None Defect = iota
	// NoFencing: the region's store takes commits of owners that are no longer.
	NoFencing
	// AckedUnwritten: the copy's last commit is answered before it is durable.
	AckedUnwritten
	// AnsweredEarly: the standby says that it has the commit after the one it has.
	AnsweredEarly
	// WholeTooEarly: a copy counts as whole although it has parts of later commits.
	WholeTooEarly
	// EntryLeftOut: the standby asks for one entry of each log less than it lacks.
	EntryLeftOut
	// MarkForgotten: a copy made anew lacks the marks of who owes messages.
	MarkForgotten
	// StaleKept: a copy made anew keeps entities that were removed.
	StaleKept
	// ChangeLost: the copy's store loses a change of records.
	ChangeLost
	// UnnumberedMissed: what was written without a number is not noticed.
	UnnumberedMissed
	// PromotedAnyway: promotion does not see that the copy is not whole.
	PromotedAnyway
	defects
)

var defectNames = [defects]string{
	"none", "no fencing", "acked before it is written", "answered early", "whole too early", "entry left out",
	"mark forgotten", "stale entities kept", "change lost", "unnumbered commits missed", "promoted anyway",
}

func (d Defect) String() string { return defectNames[d] }

// The types of frames that defects change, as package standby numbers them.
const (
	framePositions wire.Type = 66
	frameLogs      wire.Type = 69
	frameEntity    wire.Type = 70
	frameCopyEnd   wire.Type = 71
)

// twist changes a frame on its way, if that is the defect.
func (w *world) twist(d *way, frame []byte) []byte {
	t, header, _, _ := wire.ParseHeader(frame, 1<<30)
	var m proto.Message
	var change func()
	switch defect := w.opts.Defect; {
	case defect == AnsweredEarly && t == framePositions:
		positions := new(storev1.StandbyPositions)
		m, change = positions, func() {
			for _, p := range positions.Slots {
				p.Position++
			}
		}
	case defect == EntryLeftOut && t == frameLogs && d.name == "down":
		logs := new(storev1.StandbyLogs)
		m, change = logs, func() {
			for _, l := range logs.Logs {
				l.Last++
			}
		}
	case defect == MarkForgotten && t == frameEntity:
		entity := new(storev1.StandbyEntity)
		m, change = entity, func() { entity.Pending = false }
	case defect == WholeTooEarly && t == frameCopyEnd:
		end := new(storev1.StandbyCopy)
		m, change = end, func() { end.Until = end.Position }
	default:
		return frame
	}
	if err := proto.Unmarshal(frame[header:], m); err != nil {
		w.failf("a frame of type %d cannot be read: %v", t, err)
	}
	change()
	b, err := proto.Marshal(m)
	if err != nil {
		w.failf("%v", err)
	}
	return append(wire.AppendHeader(nil, t, len(b)), b...)
}

// spoil changes what the copy's store is to write, if that is the defect. What it
// leaves out now and writes later, it keeps.
func (c *copyStore) spoil(b *store.Batch) *store.Batch {
	own := &store.Batch{Changes: slices.Clone(b.Changes)}
	switch c.w.opts.Defect {
	case AckedUnwritten:
		own, c.unsynced = c.unsynced, own
		if own == nil {
			own = &store.Batch{}
		}
	case ChangeLost:
		own.Changes = slices.DeleteFunc(own.Changes, func(ch store.Change) bool {
			return ch.Addr.Kind != im.KindPosition && len(ch.Append) == 0 && len(ch.Delete) > 0
		})
	}
	return own
}

// List implements store.Lister.
func (c *copyStore) List(ctx context.Context, slots []im.Slot, visit func(im.Slot, []im.Addr) error) error {
	return c.Store.List(ctx, slots, func(slot im.Slot, addrs []im.Addr) error {
		if c.w.opts.Defect == StaleKept {
			addrs = nil
		}
		return visit(slot, addrs)
	})
}

// forgetful is a store in which nobody finds that a slot is not whole.
type forgetful struct{ *memstore.Store }

func (f forgetful) Load(ctx context.Context, a im.Addr, tail func([]store.Record) im.Seq) (store.Entity, error) {
	e, err := f.Store.Load(ctx, a, tail)
	if a.Kind == im.KindPosition {
		e.Records = slices.DeleteFunc(e.Records, func(r store.Record) bool { return r.Key == "u" })
	}
	return e, err
}

// hide makes an owner before seem to have numbered its commits, if that is the
// defect.
func (w *world) hide(a im.Addr, recs []store.Record) []store.Record {
	if w.opts.Defect != UnnumberedMissed || a.Kind != im.KindPosition {
		return recs
	}
	for i := range recs {
		if recs[i].Key == "e" {
			recs[i].Value = binary.AppendUvarint(nil, uint64(w.store.Epoch(a.Slot()))-1)
		}
	}
	return recs
}
