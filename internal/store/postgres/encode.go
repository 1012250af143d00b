package postgres

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/tenure"
)

// encoder writes the parameters of commit_1.
type encoder struct {
	slots, epochs array
	// entities are numbered from 1, as the server counts.
	number                  map[im.Addr]uint32
	entSlot, entKind, entID array
	// ends is where a log ends that the batch appends to, marks the last mark of
	// each entity.
	ends  map[uint32]im.Seq
	marks []store.Mark

	logOf, logFirst, logAnew     array
	entryOf, entrySeq, entryBody array
	trimOf, trimTo               array
	putOf, putKey, putValue      array
	deleteOf, deleteKey          array
	markOf, unmarkOf             array
	records                      []recordOp
	recordAt                     map[recordKey]int
}

// recordOp is what becomes of a record.
type recordOp struct {
	recordKey
	value   []byte
	deleted bool
}

type recordKey struct {
	of  uint32
	key string
}

// encode makes the query that commits parts.
func (s *Store) encode(parts []tenure.Part) (*query, error) {
	e := encoder{number: make(map[im.Addr]uint32, len(parts)), ends: make(map[uint32]im.Seq, len(parts))}
	e.reserve(parts)
	for _, p := range parts {
		e.slots.int2(uint16(p.Slot))
		e.epochs.int8(uint64(p.Tenure.Epoch))
		for _, c := range p.Changes {
			if err := e.change(p.Slot, c); err != nil {
				return nil, err
			}
		}
	}
	e.writeRecords()
	e.writeMarks()
	return &query{st: sqlCommit, params: e.params(s.writer)}, nil
}

// reserve makes room for bodies, which are most of it.
func (e *encoder) reserve(parts []tenure.Part) {
	n, bytes := 0, 0
	for _, p := range parts {
		for _, c := range p.Changes {
			for _, body := range c.Append {
				n++
				bytes += len(body)
			}
		}
	}
	if n > 0 {
		e.entryOf.reserve(n, 4*n)
		e.entrySeq.reserve(n, 8*n)
		e.entryBody.reserve(n, bytes)
	}
}

// maxSeq is the highest sequence that the server can reckon with.
const maxSeq = math.MaxInt64

func (e *encoder) change(slot im.Slot, c *store.Change) error {
	of := e.entity(slot, c.Addr)
	if len(c.Append) > 0 {
		if err := e.append(of, c); err != nil {
			return err
		}
	}
	if c.Trim > 1 {
		e.trimOf.int4(of)
		e.trimTo.int8(uint64(min(c.Trim, maxSeq)))
	}
	for _, r := range c.Put {
		e.record(recordOp{recordKey{of, r.Key}, r.Value, false})
	}
	for _, key := range c.Delete {
		e.record(recordOp{recordKey{of, key}, nil, true})
	}
	if c.Pending != store.Keep {
		e.marks[of-1] = c.Pending
	}
	return nil
}

// entity numbers an entity.
func (e *encoder) entity(slot im.Slot, a im.Addr) uint32 {
	of, ok := e.number[a]
	if !ok {
		of = uint32(len(e.number) + 1)
		e.number[a] = of
		e.entSlot.int2(uint16(slot))
		e.entKind.int2(uint16(a.Kind))
		e.entID.int8(a.ID)
		e.marks = append(e.marks, store.Keep)
	}
	return of
}

func (e *encoder) append(of uint32, c *store.Change) error {
	next := c.First + im.Seq(len(c.Append))
	if c.First == 0 || next > maxSeq {
		return fmt.Errorf("a batch appends %d entries to %v from %d", len(c.Append), c.Addr, c.First)
	}
	if end, ok := e.ends[of]; !ok {
		e.logOf.int4(of)
		e.logFirst.int8(uint64(c.First))
		e.logAnew.bool(c.First > 1 && c.Trim == c.First)
	} else if c.First != end {
		return fmt.Errorf("a batch appends entries to %v up to %d and then some from %d", c.Addr, end-1, c.First)
	}
	e.ends[of] = next
	for i, body := range c.Append {
		e.entryOf.int4(of)
		e.entrySeq.int8(uint64(c.First) + uint64(i))
		e.entryBody.bytea(body)
	}
	return nil
}

// record notes what becomes of a record; what comes later counts.
func (e *encoder) record(op recordOp) {
	if e.recordAt == nil {
		e.recordAt = map[recordKey]int{}
	}
	at, ok := e.recordAt[op.recordKey]
	if !ok {
		at = len(e.records)
		e.recordAt[op.recordKey] = at
		e.records = append(e.records, recordOp{})
	}
	e.records[at] = op
}

func (e *encoder) writeRecords() {
	for i := range e.records {
		op := &e.records[i]
		if op.deleted {
			e.deleteOf.int4(op.of)
			e.deleteKey.text(op.key)
			continue
		}
		e.putOf.int4(op.of)
		e.putKey.text(op.key)
		e.putValue.bytea(op.value)
	}
}

func (e *encoder) writeMarks() {
	for i, mark := range e.marks {
		switch mark {
		case store.Set:
			e.markOf.int4(uint32(i + 1))
		case store.Clear:
			e.unmarkOf.int4(uint32(i + 1))
		}
	}
}

func (e *encoder) params(writer uint64) [][]byte {
	touch := e.entryOf.count+e.putOf.count == 0
	return [][]byte{
		int8Param(writer), e.slots.param(oidInt2), e.epochs.param(oidInt8), boolParam(touch),
		e.entSlot.param(oidInt2), e.entKind.param(oidInt2), e.entID.param(oidInt8),
		e.logOf.param(oidInt4), e.logFirst.param(oidInt8), e.logAnew.param(oidBool),
		e.entryOf.param(oidInt4), e.entrySeq.param(oidInt8), e.entryBody.param(oidBytea),
		e.trimOf.param(oidInt4), e.trimTo.param(oidInt8),
		e.putOf.param(oidInt4), e.putKey.param(oidBytea), e.putValue.param(oidBytea),
		e.deleteOf.param(oidInt4), e.deleteKey.param(oidBytea),
		e.markOf.param(oidInt4), e.unmarkOf.param(oidInt4),
	}
}

// readSlots reads an array of slots.
func readSlots(b []byte) ([]im.Slot, error) {
	if len(b) < 12 {
		return nil, store.Corruptf("an array of slots has %d bytes", len(b))
	}
	if binary.BigEndian.Uint32(b) == 0 {
		return nil, nil
	}
	if len(b) < arrayHeader || (len(b)-arrayHeader)%6 != 0 {
		return nil, store.Corruptf("an array of slots has %d bytes", len(b))
	}
	var slots []im.Slot
	for b = b[arrayHeader:]; len(b) > 0; b = b[6:] {
		slots = append(slots, im.Slot(binary.BigEndian.Uint16(b[4:])))
	}
	return slots, nil
}
