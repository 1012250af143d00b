//go:build linux

package evloop

// pageSize is how many entries a table grows by. Pages never move, so growth
// copies nothing and wastes at most a page.
const pageSize = 256

// entry is a slot of a table: a connection and its place in the wheel.
type entry struct {
	// conn is nil while the slot is free.
	conn *Conn
	// gen counts how often the slot was given away. The kernel hands it
	// back with every event, so that one meant for an earlier connection
	// is known as such.
	gen uint32
	// when is the tick at which the entry is looked at, 0 if at none.
	when uint32
	// next and prev link the entries of one tick, or next the free ones.
	next, prev int32
}

// table gives the connections of a loop small numbers, which timers and
// kernel events carry instead of pointers.
type table struct {
	pages []*[pageSize]entry
	// free is the first free slot, none if there is none.
	free int32
	// size is how many slots there are, used how many are taken.
	size, used int32
}

// none ends lists of slots.
const none int32 = -1

func newTable() *table { return &table{free: none} }

func (t *table) at(slot int32) *entry {
	return &t.pages[slot/pageSize][slot%pageSize]
}

// alloc gives a slot to a connection.
func (t *table) alloc(c *Conn) int32 {
	slot := t.free
	if slot == none {
		slot = t.size
		if slot%pageSize == 0 {
			t.pages = append(t.pages, new([pageSize]entry))
		}
		t.size++
		t.at(slot).next = none
	}
	e := t.at(slot)
	t.free = e.next
	t.used++
	*e = entry{conn: c, gen: e.gen + 1}
	return slot
}

// release makes a slot free, which must not be in the wheel any more.
func (t *table) release(slot int32) {
	e := t.at(slot)
	e.conn = nil
	e.next, t.free = t.free, slot
	t.used--
}

// find is the connection that an event is for, nil if it is gone.
func (t *table) find(slot int32, gen uint32) *Conn {
	if slot >= t.size {
		return nil
	}
	if e := t.at(slot); e.gen == gen {
		return e.conn
	}
	return nil
}
