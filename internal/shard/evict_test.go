package shard

import (
	"slices"
	"testing"

	"github.com/skein-im/skein/internal/im"
)

// hot lists who is in memory, last used first.
func (h *harness) hot() (list []im.UserID) {
	for _, cl := range h.core.all() {
		list = append(list, im.UserID(cl.addr.ID))
	}
	return list
}

func (h *harness) use(users ...im.UserID) {
	for _, u := range users {
		h.do("counters", im.User(u), &im.Counters{})
	}
	h.finish()
	h.drain()
}

func TestEvictLeastRecentlyUsed(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxHot = 2 })
	h.befriend(1, 2, 3, 4)
	h.use(3, 1, 4, 2, 1)
	if got := h.hot(); !slices.Equal(got, []im.UserID{1, 2, 4, 3}) {
		t.Fatalf("hot %v", got)
	}
	h.core.Evict(h.now)
	if got := h.hot(); !slices.Equal(got, []im.UserID{1, 2}) || h.core.Stats.Hot != 2 || h.core.Stats.Evictions != 2 {
		t.Fatalf("hot %v, %d, evicted %d", got, h.core.Stats.Hot, h.core.Stats.Evictions)
	}
	h.use(3)
	if got := h.hot(); !slices.Equal(got, []im.UserID{3, 1, 2}) {
		t.Fatalf("hot %v", got)
	}
}

// One that lacks a snapshot gets it first, and goes when that is durable.
func TestEvictWithSnapshot(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxHot = 0 })
	h.befriend(1, 2)
	h.link(2, 1, 1)
	h.commit()
	h.core.Evict(h.now)
	if got := h.hot(); !slices.Equal(got, []im.UserID{1}) {
		t.Fatalf("hot %v", got)
	}
	b := h.cut()
	h.core.Evict(h.now)
	if got := h.hot(); !slices.Equal(got, []im.UserID{1}) {
		t.Fatalf("put out before the snapshot is durable: hot %v", got)
	}
	h.apply(b)
	h.core.Done(h.now, b, nil)
	h.core.Evict(h.now)
	if got := h.hot(); len(got) != 0 {
		t.Fatalf("hot %v", got)
	}
	if s := h.disk[im.User(1)]; len(s.records["h"]) == 0 || s.pending {
		t.Fatalf("stored %+v", s)
	}
	h.drain()
	h.link(2, 1, 1)
	h.finish()
	h.expect("ack user/1 to user/2: 1")
}

// Who owes messages, or has devices connected, stays.
func TestEvictKeepsBusy(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxHot = 0 })
	h.befriend(1, 2, 3)
	h.send(1, 2, 1, 0)
	s := h.attach(2, 1, 0)
	h.finish()
	for range 3 {
		h.core.Evict(h.now)
		h.finish()
	}
	if got := h.hot(); len(got) != 2 || slices.Contains(got, 3) {
		t.Fatalf("hot %v", got)
	}
	h.do("detach", im.User(2), &im.Detach{Session: s.id})
	h.now += 10_000
	h.core.Evict(h.now)
	if got := h.hot(); !slices.Equal(got, []im.UserID{1}) {
		t.Fatalf("hot %v", got)
	}
}

// Those who have to stay, however long unused, do not keep others in memory.
func TestEvictPassesOverBusy(t *testing.T) {
	h := newHarness(t)
	const busy = 2 * evictScan
	var idle []im.UserID
	for u := range im.UserID(busy) {
		h.do("provision", im.User(u+1), &im.Provision{Friends: []im.UserID{9999}, TokenHashes: [][32]byte{{1}}})
		h.finish()
		h.send(u+1, 9999, 1, 0)
	}
	for u := range im.UserID(10) {
		idle = append(idle, busy+1+u)
	}
	h.befriend(idle...)
	h.core.cfg.MaxHot = busy
	for range 5 {
		h.core.Evict(h.now)
		h.finish()
	}
	if h.core.Stats.Hot != busy {
		t.Fatalf("%d hot, want %d", h.core.Stats.Hot, busy)
	}
	// When all have to stay, the search rests.
	h.core.cfg.MaxHot = 1
	for range 5 {
		h.core.Evict(h.now)
	}
	front := h.hot()[0]
	h.core.Evict(h.now)
	if h.hot()[0] != front {
		t.Fatal("the search does not rest")
	}
}

// Those with devices connected are not looked at, however many they are, and
// leave some room to others.
func TestEvictLeavesAttachedAlone(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxHot = 8 * leastIdle })
	const attached, idle = 3 * evictScan, 20
	var sinks []*sink
	for u := range im.UserID(attached + idle) {
		h.befriend(u + 1)
		if u < attached {
			sinks = append(sinks, h.attach(u+1, 1, 0))
		}
	}
	h.core.Evict(h.now)
	if hot := h.core.Stats.Hot; hot != attached+8 {
		t.Fatalf("%d hot, want %d", hot, attached+8)
	}
	// Once they have gone they are like others.
	for _, s := range sinks[:attached-50] {
		h.do("detach", im.User(s.user), &im.Detach{Session: s.id})
	}
	for range 5 {
		h.core.Evict(h.now)
	}
	if hot := h.core.Stats.Hot; hot != 8*leastIdle {
		t.Fatalf("%d hot, want %d", hot, 8*leastIdle)
	}
	h.core.DropAll(nil)
	if h.core.attached != (cellList{}) || h.core.idle != (cellList{}) {
		t.Fatal("entities are left in the lists")
	}
}
