//go:build linux

package evloop

import "math/bits"

// wheelSlots is how many ticks the wheel sees ahead. What is due later is
// looked at when the wheel has turned once, and put back.
const wheelSlots = 1024

// wheel is a hashed timer wheel over the entries of a table. Every operation
// takes constant time. An entry is in it at most once.
type wheel struct {
	table *table
	// heads are the first entries of each tick.
	heads [wheelSlots]int32
	// full has a bit for each tick that has entries.
	full [wheelSlots / 64]uint64
	// now is the last tick that was worked off.
	now uint32
}

func newWheel(t *table) *wheel {
	w := &wheel{table: t}
	for i := range w.heads {
		w.heads[i] = none
	}
	return w
}

// set makes a slot come up at a tick, or at the latest one that the wheel can
// see, but not before the next; where it was before does not matter.
func (w *wheel) set(slot int32, at uint32) {
	w.clear(slot)
	at = min(max(at, w.now+1), w.now+wheelSlots-1)
	e, i := w.table.at(slot), at%wheelSlots
	e.when = at
	e.prev, e.next = ^int32(i), w.heads[i]
	if e.next != none {
		w.table.at(e.next).prev = slot
	}
	w.heads[i] = slot
	w.full[i/64] |= 1 << (i % 64)
}

// clear takes a slot out.
func (w *wheel) clear(slot int32) {
	e := w.table.at(slot)
	if e.when == 0 {
		return
	}
	e.when = 0
	if e.next != none {
		w.table.at(e.next).prev = e.prev
	}
	if e.prev >= 0 {
		w.table.at(e.prev).next = e.next
		return
	}
	// A negative prev is the head of the list that the entry was first in.
	i := ^e.prev
	w.heads[i] = e.next
	if e.next == none {
		w.full[i/64] &^= 1 << (i % 64)
	}
}

// advance calls fire for each slot that has come up until the tick to. The
// slot is out of the wheel by then; fire may set and clear any.
func (w *wheel) advance(to uint32, fire func(slot int32)) {
	if to > w.now+wheelSlots {
		// Once around sees everything.
		w.now = to - wheelSlots
	}
	for w.now < to {
		// What fire sets comes after now, and so not into this list.
		w.now++
		i := w.now % wheelSlots
		for w.heads[i] != none {
			slot := w.heads[i]
			w.clear(slot)
			fire(slot)
		}
	}
}

// next is the first tick that has an entry.
func (w *wheel) next() (tick uint32, ok bool) {
	for ahead := uint32(1); ahead < wheelSlots+64; {
		i := (w.now + ahead) % wheelSlots
		word := w.full[i/64] >> (i % 64)
		if word != 0 {
			return w.now + ahead + uint32(bits.TrailingZeros64(word)), true
		}
		ahead += 64 - i%64
	}
	return 0, false
}
