package standby

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Keys of the records of a slot's position.
const (
	// keyPosition is the number of the slot's last commit.
	keyPosition = "n"
	// keyEpoch is, in an original, the epoch of the last owner that numbered its
	// commits.
	keyEpoch = "e"
	// keyUntil is, in a copy, the number from which on it is whole.
	keyUntil = "u"
	// keyCopyOf, in the position of slot 0, is the region whose copy the store
	// is.
	keyCopyOf = "copy"
	// keyGeneration, in the same place, is when the store, a copy until then, was
	// promoted.
	keyGeneration = "g"
)

// positions are the addresses under which the slots' positions are kept: the
// lowest identifier of the kind that is in the slot.
var positions = sync.OnceValue(func() *[im.Slots]im.Addr {
	var all [im.Slots]im.Addr
	for id, missing := uint64(1), im.Slots; missing > 0; id++ {
		a := im.Addr{Kind: im.KindPosition, ID: id}
		if at := &all[a.Slot()]; at.ID == 0 {
			*at = a
			missing--
		}
	}
	return &all
})

// position is what a store says of a slot.
type position struct {
	number, until uint64
	epoch         uint64
}

// whole: the copy is that of one commit.
func (p position) whole() bool { return p.number >= p.until }

// never is the until of a copy that is being made.
const never = 1<<64 - 1

func (p position) records() []store.Record {
	recs := []store.Record{{Key: keyPosition, Value: binary.AppendUvarint(nil, p.number)}}
	if p.until > 0 {
		recs = append(recs, store.Record{Key: keyUntil, Value: binary.AppendUvarint(nil, p.until)})
	}
	if p.epoch > 0 {
		recs = append(recs, store.Record{Key: keyEpoch, Value: binary.AppendUvarint(nil, p.epoch)})
	}
	return recs
}

// reader is the part of a store that is read here.
type reader interface {
	Load(ctx context.Context, a im.Addr, tail func([]store.Record) im.Seq) (store.Entity, error)
}

// record reads one of a slot's records; nil: it is not there.
func record(ctx context.Context, st reader, slot im.Slot, key string) ([]byte, error) {
	recs, err := slotRecords(ctx, st, slot)
	for _, r := range recs {
		if r.Key == key {
			return r.Value, err
		}
	}
	return nil, err
}

func slotRecords(ctx context.Context, st reader, slot im.Slot) ([]store.Record, error) {
	e, err := st.Load(ctx, positions()[slot], func([]store.Record) im.Seq { return 0 })
	if err != nil {
		return nil, im.Errorf(im.Unavailable, "the position of slot %d cannot be read: %w", slot, err)
	}
	return e.Records, nil
}

func readPosition(ctx context.Context, st reader, slot im.Slot) (position, error) {
	recs, err := slotRecords(ctx, st, slot)
	if err != nil {
		return position{}, err
	}
	var p position
	for _, r := range recs {
		var to *uint64
		switch r.Key {
		case keyPosition:
			to = &p.number
		case keyUntil:
			to = &p.until
		case keyEpoch:
			to = &p.epoch
		default:
			continue
		}
		n := 0
		if *to, n = binary.Uvarint(r.Value); n != len(r.Value) || n <= 0 {
			return position{}, im.Errorf(im.Internal, "the position of slot %d is damaged", slot)
		}
	}
	return p, nil
}

// positionReads is how many positions are read at a time.
const positionReads = 64

// GenerationOf is the generation that a store is in: when it was promoted, in
// milliseconds since 1970, if it began as a copy.
func GenerationOf(ctx context.Context, st reader) (im.Generation, error) {
	value, err := record(ctx, st, 0, keyGeneration)
	if err != nil || value == nil {
		return 0, err
	}
	g, n := binary.Uvarint(value)
	if n != len(value) || n <= 0 {
		return 0, im.Errorf(im.Internal, "the generation of the store is damaged")
	}
	return im.Generation(g), nil
}

// CopyOf is the region whose copy a store is; empty: it is none.
func CopyOf(ctx context.Context, st reader) (string, error) {
	region, err := record(ctx, st, 0, keyCopyOf)
	return string(region), err
}
