package shard

import (
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// cellList orders entities, those used or added last first.
type cellList struct {
	first, last *cell
	len         int
}

type cellLinks struct {
	prev, next *cell
}

func (l *cellList) add(cl *cell) {
	cl.links = cellLinks{nil, l.first}
	if l.first != nil {
		l.first.links.prev = cl
	} else {
		l.last = cl
	}
	l.first = cl
	l.len++
}

func (l *cellList) remove(cl *cell) {
	if cl.links.prev != nil {
		cl.links.prev.links.next = cl.links.next
	} else {
		l.first = cl.links.next
	}
	if cl.links.next != nil {
		cl.links.next.links.prev = cl.links.prev
	} else {
		l.last = cl.links.prev
	}
	cl.links = cellLinks{}
	l.len--
}

func (l *cellList) touch(cl *cell) {
	if l.first != cl {
		l.remove(cl)
		l.add(cl)
	}
}

// all lists every entity, in an order that depends on nothing but the inputs.
func (c *Core) all() []*cell {
	list := make([]*cell, 0, len(c.cells))
	for _, l := range []*cellList{&c.idle, &c.attached} {
		for cl := l.first; cl != nil; cl = cl.links.next {
			list = append(list, cl)
		}
	}
	return list
}

// listOf is the list that an entity is in.
func (c *Core) listOf(cl *cell) *cellList {
	if len(cl.sessions) > 0 {
		return &c.attached
	}
	return &c.idle
}

// used notes that an entity was asked for.
func (c *Core) used(cl *cell) {
	if len(cl.sessions) == 0 {
		c.idle.touch(cl)
	}
}

const (
	// evictScan bounds how many entities one Evict looks at.
	evictScan = 256
	// evictRest is how long the search rests when nobody can go.
	evictRest = 1000
	// leastIdle is the part of MaxHot that those without sessions may be in
	// any case: they get messages too, and would be loaded for each.
	leastIdle = 8
)

// maxIdle is how many entities without sessions may be in memory. Those with
// sessions stay, and are not looked at.
func (c *Core) maxIdle() int { return max(c.cfg.MaxHot-c.attached.len, c.cfg.MaxHot/leastIdle) }

// Evict puts the least recently used entities out of memory while there are
// too many. One that still owes something stays: unacknowledged messages,
// sessions, a commit on its way. One that lacks a snapshot gets it first.
func (c *Core) Evict(now im.Millis) {
	most := c.maxIdle()
	if c.idle.len <= most || now < c.evictAt {
		return
	}
	c.now = now
	cl := c.idle.last
	for range min(evictScan, c.idle.len) {
		if cl == nil || c.idle.len <= most {
			break
		}
		prev := cl.links.prev
		c.tryEvict(cl)
		cl = prev
	}
	if c.stayed >= c.idle.len {
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
	case !cl.ready || st.Outstanding > 0:
		// Out of the way of those that can go.
		c.idle.touch(cl)
		c.stayed++
		return
	case st.Dirty || st.Unsnapshotted > 0:
		c.do(cl, func(tx *entity.Tx) { cl.ent.Snapshot(tx) })
	default:
		c.forget(cl, nil)
		c.Stats.Evictions++
	}
	c.stayed = 0
}

// Flush writes snapshots of everything that lacks one, before a planned stop,
// so that the next start has nothing to replay.
func (c *Core) Flush(now im.Millis) {
	c.now = now
	for _, cl := range c.all() {
		if !cl.ready {
			continue
		}
		if st := cl.ent.Status(); st.Dirty || st.Unsnapshotted > 0 {
			c.do(cl, func(tx *entity.Tx) { cl.ent.Snapshot(tx) })
		}
	}
}
