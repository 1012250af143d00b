package shard

import (
	"container/heap"

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
