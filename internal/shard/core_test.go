package shard

import (
	"errors"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/im"
)

// What was dropped with its slots must not keep the next batch full.
func TestBatchHasRoomAfterDrop(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxBatchBytes = 100 })
	h.befriend(1, 2)
	h.send(1, 2, 1, 0)
	b := h.cut()
	h.send(1, 2, 2, 0)
	h.send(1, 2, 3, 0)
	if !h.core.Full() {
		t.Fatal("the batch has room")
	}
	h.core.Done(h.now, b, errors.New("fate unknown"))
	h.expect("reply send 1: unavailable", "reply send 2: unavailable", "reply send 3: unavailable")
	if h.core.Full() {
		t.Fatal("the batch is full of what was dropped")
	}
}

// Records count towards a batch's size as log entries do.
func TestRecordsFillBatch(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxBatchBytes = 100 })
	h.befriend(1, 2)
	h.do("early", im.User(1), &im.SendNumbered{To: 2, SendID: 2, Content: text(strings.Repeat("x", 100))})
	if !h.core.Full() {
		t.Fatal("the batch has room")
	}
}

// An entity that owes messages is loaded again after a failure, though nobody
// asks for it.
func TestWokenEntityIsLoadedAgain(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.send(1, 2, 1, 0)
	h.commit()
	h.core.DropAll(nil)
	h.drain()
	h.own()
	h.core.Wake(h.now, im.User(1))
	h.send(1, 2, 1, 0)
	for range 3 {
		load := h.loads[0]
		h.loads = nil
		h.core.Loaded(h.now, load.addr, load.ticket, nil, errors.New("disk trouble"))
		if next := h.core.NextTick(); next <= h.now {
			t.Fatalf("tries again at %d, now is %d", next, h.now)
		}
		h.now = h.core.NextTick()
		h.core.Tick(h.now)
		if len(h.loads) != 1 {
			t.Fatalf("loads %v", h.loads)
		}
	}
	h.expect("reply send 1: unavailable")
	h.load()
	h.now = h.core.NextTick()
	h.core.Tick(h.now)
	h.readEntries()
	h.expect("link user/1 to user/2: 1")
}

// Others are forgotten: whoever asks next loads them.
func TestFailedLoadIsForgotten(t *testing.T) {
	h := newHarness(t)
	h.do("counters", im.User(1), &im.Counters{})
	load := h.loads[0]
	h.loads = nil
	h.core.Loaded(h.now, load.addr, load.ticket, nil, errors.New("disk trouble"))
	h.expect("reply counters: unavailable")
	if h.core.Stats.Hot != 0 || h.core.NextTick() != 0 {
		t.Fatalf("hot %d, next tick %d", h.core.Stats.Hot, h.core.NextTick())
	}
	h.do("counters", im.User(1), &im.Counters{})
	h.finish()
	h.expect("reply counters: not_found")
}

// A slot that was another node's meanwhile starts from the store.
func TestOwnUnderNewEpoch(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.send(1, 2, 1, 0)
	h.commit()
	h.send(1, 2, 2, 0)
	h.drain()
	h.epoch = 3
	h.own()
	h.expect("reply send 2: unavailable")
	if got := h.hot(); len(got) != 0 {
		t.Fatalf("hot %v", got)
	}
	h.send(1, 2, 2, 0)
	h.load()
	if ch := h.cut().Changes.Changes; len(ch) != 1 || ch[0].Epoch != 3 {
		t.Fatalf("changes %+v", ch)
	}
	h.own()
	if got := h.hot(); len(got) == 0 {
		t.Fatal("the same epoch again makes the slot start over")
	}
}
