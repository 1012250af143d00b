package shard

import (
	"container/heap"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// timerHeap orders entities by when their Timer is due.
type timerHeap struct{ cells []*cell }

func (h *timerHeap) Len() int           { return len(h.cells) }
func (h *timerHeap) Less(i, j int) bool { return h.cells[i].timerAt < h.cells[j].timerAt }
func (h *timerHeap) Swap(i, j int) {
	h.cells[i], h.cells[j] = h.cells[j], h.cells[i]
	h.cells[i].timerPos, h.cells[j].timerPos = i, j
}
func (h *timerHeap) Push(x any) {
	cl := x.(*cell)
	cl.timerPos = len(h.cells)
	h.cells = append(h.cells, cl)
}
func (h *timerHeap) Pop() any {
	cl := h.cells[len(h.cells)-1]
	h.cells = h.cells[:len(h.cells)-1]
	cl.timerPos = -1
	return cl
}

// set makes an entity due at a time; 0: never.
func (h *timerHeap) set(cl *cell, at im.Millis) {
	cl.timerAt = at
	switch {
	case at == 0 && cl.timerPos >= 0:
		heap.Remove(h, cl.timerPos)
	case at == 0:
	case cl.timerPos >= 0:
		heap.Fix(h, cl.timerPos)
	default:
		heap.Push(h, cl)
	}
}

// due takes out an entity whose time has come.
func (h *timerHeap) due(now im.Millis) *cell {
	if len(h.cells) == 0 || h.cells[0].timerAt > now {
		return nil
	}
	cl := heap.Pop(h).(*cell)
	cl.timerAt = 0
	return cl
}

func (h *timerHeap) next() im.Millis {
	if len(h.cells) == 0 {
		return 0
	}
	return h.cells[0].timerAt
}

// cellQueue holds entities in the order in which they want a snapshot.
type cellQueue struct{ cells []*cell }

func (q *cellQueue) push(cl *cell) { q.cells = append(q.cells, cl) }

func (q *cellQueue) due(now im.Millis) *cell {
	if len(q.cells) == 0 || q.cells[0].flushAt > now {
		return nil
	}
	cl := q.cells[0]
	q.cells[0] = nil
	q.cells = q.cells[1:]
	return cl
}

func (q *cellQueue) next() im.Millis {
	if len(q.cells) == 0 {
		return 0
	}
	return q.cells[0].flushAt
}

// lru orders entities by their last use, in a ring around root.
type lru struct{ root lruLinks }

type lruLinks struct {
	prev, next *cell
}

func (l *lru) add(cl *cell) {
	cl.lru = lruLinks{nil, l.root.next}
	if l.root.next != nil {
		l.root.next.lru.prev = cl
	} else {
		l.root.prev = cl
	}
	l.root.next = cl
}

func (l *lru) remove(cl *cell) {
	if cl.lru.prev != nil {
		cl.lru.prev.lru.next = cl.lru.next
	} else {
		l.root.next = cl.lru.next
	}
	if cl.lru.next != nil {
		cl.lru.next.lru.prev = cl.lru.prev
	} else {
		l.root.prev = cl.lru.prev
	}
	cl.lru = lruLinks{}
}

func (l *lru) touch(cl *cell) {
	if l.root.next != cl {
		l.remove(cl)
		l.add(cl)
	}
}

// all lists entities, last used first.
func (l *lru) all() []*cell {
	var list []*cell
	for cl := l.root.next; cl != nil; cl = cl.lru.next {
		list = append(list, cl)
	}
	return list
}

const (
	// evictScan bounds how many entities one Evict looks at.
	evictScan = 256
	// evictRest is how long the search rests when nobody can go.
	evictRest = 1000
)

// Evict puts the least recently used entities out of memory while there are
// too many. One that still owes something stays: unacknowledged messages,
// sessions, a commit on its way. One that lacks a snapshot gets it first.
func (c *Core) Evict(now im.Millis) {
	if len(c.cells) <= c.cfg.MaxHot || now < c.evictAt {
		return
	}
	c.now = now
	cl := c.lru.root.prev
	for range min(evictScan, len(c.cells)) {
		if cl == nil || len(c.cells) <= c.cfg.MaxHot {
			break
		}
		prev := cl.lru.prev
		c.tryEvict(cl)
		cl = prev
	}
	if c.stayed >= len(c.cells) {
		c.stayed, c.evictAt = 0, now+evictRest
	}
}

func (c *Core) tryEvict(cl *cell) {
	if cl.fill != nil || cl.flight != nil {
		return
	}
	var st entity.Status
	if cl.ready {
		st = cl.ent.Status()
	}
	switch {
	case !cl.ready || len(cl.sessions) > 0 || st.Outstanding > 0:
		// Out of the way of those that can go.
		c.lru.touch(cl)
		c.stayed++
		return
	case st.Dirty || st.Unsnapshotted > 0:
		c.do(cl, func(tx *entity.Tx) { cl.ent.Snapshot(tx) })
	default:
		c.forget(cl, nil)
		c.alarms.set(cl.addr, st.Wake)
		c.Stats.Evictions++
	}
	c.stayed = 0
}

// Flush writes snapshots of everything that lacks one, before a planned stop,
// so that the next start has nothing to replay.
func (c *Core) Flush(now im.Millis) {
	c.now = now
	for _, cl := range c.lru.all() {
		if !cl.ready {
			continue
		}
		if st := cl.ent.Status(); st.Dirty || st.Unsnapshotted > 0 {
			c.do(cl, func(tx *entity.Tx) { cl.ent.Snapshot(tx) })
		}
	}
}
