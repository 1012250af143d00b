package shard

import (
	"container/heap"

	"github.com/skein-im/skein/internal/im"
)

// alarms remember which entities that were put out of memory have to be there
// again, and when. Those that come back earlier, because somebody asks, leave
// their alarm behind, which does nothing then.
type alarms struct {
	at map[im.Addr]im.Millis
	// queue has every entry of at, and some that are out of date.
	queue alarmHeap
}

type alarm struct {
	at   im.Millis
	addr im.Addr
}

// set makes an entity wake at a time; 0: not at all.
func (l *alarms) set(a im.Addr, at im.Millis) {
	if at == 0 {
		delete(l.at, a)
		return
	}
	if l.at[a] == at {
		return
	}
	if l.at == nil {
		l.at = map[im.Addr]im.Millis{}
	}
	l.at[a] = at
	heap.Push(&l.queue, alarm{at, a})
}

// due takes out an entity whose time has come.
func (l *alarms) due(now im.Millis) (im.Addr, bool) {
	for len(l.queue) > 0 && l.queue[0].at <= now {
		next := heap.Pop(&l.queue).(alarm)
		if l.at[next.addr] == next.at {
			delete(l.at, next.addr)
			return next.addr, true
		}
	}
	return im.Addr{}, false
}

func (l *alarms) next() im.Millis {
	if len(l.queue) == 0 {
		return 0
	}
	return l.queue[0].at
}

// drop forgets the entities of slots. Their next owner finds them by their
// pending marks.
func (l *alarms) drop(slots *[im.Slots]bool) {
	if len(l.queue) == 0 {
		return
	}
	for a := range l.at {
		if slots[a.Slot()] {
			delete(l.at, a)
		}
	}
	kept := l.queue[:0]
	for _, e := range l.queue {
		if l.at[e.addr] == e.at {
			kept = append(kept, e)
		}
	}
	l.queue = kept
	heap.Init(&l.queue)
}

type alarmHeap []alarm

func (h alarmHeap) Len() int           { return len(h) }
func (h alarmHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h alarmHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *alarmHeap) Push(x any)        { *h = append(*h, x.(alarm)) }
func (h *alarmHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
