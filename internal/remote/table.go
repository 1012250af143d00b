package remote

import (
	"math/bits"

	"github.com/skein-im/skein/internal/im"
)

// table maps sessions to what belongs to them: an open-addressed hash table
// that grows by a quarter, because there are many sessions and memory per
// session counts. The zero value is empty. 0 is no session and no key.
type table[V any] struct {
	cells []cell[V]
	n     int
}

type cell[V any] struct {
	key   im.SessionID
	value V
}

const (
	firstCells = 16
	// A table is at most 9/10 full.
	fullNum, fullDen = 9, 10
)

func (t *table[V]) len() int { return t.n }

// home is where a key belongs.
func (t *table[V]) home(key im.SessionID) int {
	hi, _ := bits.Mul64(mix(uint64(key)), uint64(len(t.cells)))
	return int(hi)
}

// find returns the key's cell, or the one it would go to.
func (t *table[V]) find(key im.SessionID) (i int, ok bool) {
	for i = t.home(key); t.cells[i].key != 0; i = t.after(i) {
		if t.cells[i].key == key {
			return i, true
		}
	}
	return i, false
}

func (t *table[V]) after(i int) int {
	if i++; i == len(t.cells) {
		return 0
	}
	return i
}

func (t *table[V]) get(key im.SessionID) (v V, ok bool) {
	if t.n == 0 || key == 0 {
		return v, false
	}
	i, ok := t.find(key)
	if !ok {
		return v, false
	}
	return t.cells[i].value, true
}

// put adds a key that is not there, and reports whether that was so.
func (t *table[V]) put(key im.SessionID, v V) bool {
	if key == 0 {
		return false
	}
	if (t.n+1)*fullDen > len(t.cells)*fullNum {
		t.resize(max(firstCells, len(t.cells)+len(t.cells)/4))
	}
	i, ok := t.find(key)
	if ok {
		return false
	}
	t.cells[i] = cell[V]{key, v}
	t.n++
	return true
}

func (t *table[V]) resize(n int) {
	old := t.cells
	t.cells = make([]cell[V], n)
	for _, c := range old {
		if c.key != 0 {
			i, _ := t.find(c.key)
			t.cells[i] = c
		}
	}
}

// remove removes a key, and closes the gap: those behind it move up as far as
// they may.
func (t *table[V]) remove(key im.SessionID) (v V, ok bool) {
	if t.n == 0 || key == 0 {
		return v, false
	}
	gap, ok := t.find(key)
	if !ok {
		return v, false
	}
	v = t.cells[gap].value
	t.n--
	for i := t.after(gap); t.cells[i].key != 0; i = t.after(i) {
		if t.distance(t.home(t.cells[i].key), i) >= t.distance(gap, i) {
			t.cells[gap] = t.cells[i]
			gap = i
		}
	}
	t.cells[gap] = cell[V]{}
	if len(t.cells) > firstCells && t.n < len(t.cells)/4 {
		t.resize(len(t.cells) / 2)
	}
	return v, true
}

// distance is how far it is from cell i on to cell j.
func (t *table[V]) distance(i, j int) int {
	if j < i {
		j += len(t.cells)
	}
	return j - i
}

// each calls f for every key.
func (t *table[V]) each(f func(key im.SessionID, v V)) {
	for _, c := range t.cells {
		if c.key != 0 {
			f(c.key, c.value)
		}
	}
}

// mix is the finalizer of SplitMix64, which maps no two numbers to one.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
