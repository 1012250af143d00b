package shard

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Nothing leaves before the commit is durable: no answer, no delivery, no
// link message, no ack; and what follows waits behind it.
func TestNothingLeavesBeforeCommit(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.attach(1, 1, 0)
	h.drain()
	h.send(1, 2, 1, 0)
	h.link(2, 1, 1)
	b := h.cut()
	h.send(1, 2, 1, 0)
	h.do("counters", im.User(1), &im.Counters{})
	h.link(2, 1, 1)
	h.attach(1, 2, 0)
	if b := h.core.Cut(); b != nil {
		t.Fatal("two batches in the store")
	}
	h.expect()
	h.apply(b)
	h.core.Done(h.now, b, nil)
	h.expect("reply send 1: seq 1 shown false", "deliver 1: 1..2", "link user/1 to user/2: 1", "ack user/1 to user/2: 1")
	b = h.cut()
	h.expect()
	if len(b.Changes.Changes) != 0 {
		t.Fatalf("there is something to commit: %+v", b.Changes.Changes)
	}
	h.core.Done(h.now, b, nil)
	h.expect("reply send 1: seq 1 shown false", "reply counters", "reply attach 2: head 2 cursor 0", "ack user/1 to user/2: 1")
	// With nothing in the store, what changes nothing leaves at once.
	h.do("counters", im.User(1), &im.Counters{})
	h.expect("reply counters")
}

// A cursor ack waits for nobody: it may be lost.
func TestAckAnswersAtOnce(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	s := h.attach(1, 1, 0)
	h.link(2, 1, 1)
	h.commit()
	h.drain()
	h.send(1, 2, 1, 0)
	s.ack(1)
	h.expect("reply ack")
}

// Entities do not wait for each other within a batch, and each keeps its
// order.
func TestOrderWithinBatch(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2, 3)
	h.send(1, 3, 1, 0)
	h.send(2, 3, 1, 0)
	h.send(1, 3, 2, 0)
	h.commit()
	h.expect("reply send 1: seq 1 shown false", "reply send 2: seq 2 shown false", "link user/1 to user/3: 1", "link user/1 to user/3: 2",
		"reply send 1: seq 1 shown false", "link user/2 to user/3: 1")
}

// A fenced slot takes down its own entities, with what was built on them, and
// no others.
func TestFencedSlotDropsItsOwn(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2, 3)
	h.attach(1, 1, 0)
	h.attach(2, 1, 0)
	h.drain()
	h.send(1, 3, 1, 0)
	h.send(2, 3, 1, 0)
	h.do("counters", im.User(3), &im.Counters{})
	h.drain()
	b := h.cut()
	h.send(1, 3, 2, 0)
	h.send(2, 3, 2, 0)
	h.do("parked", im.User(1), &im.Counters{})
	slot := im.User(1).Slot()
	kept := *b
	kept.Changes.Changes = nil
	for _, ch := range b.Changes.Changes {
		if ch.Addr.Slot() != slot {
			kept.Changes.Changes = append(kept.Changes.Changes, ch)
		}
	}
	h.apply(&kept)
	lost := h.core.Done(h.now, b, &store.SlotError{Slots: []im.Slot{slot}})
	if len(lost) != 1 || lost[0] != slot || h.core.Owns(slot) || !h.core.Owns(im.User(2).Slot()) {
		t.Fatalf("lost %v", lost)
	}
	h.expect("reply send 1: unavailable", "reply send 1: seq 1 shown false", "deliver 2: 1..1", "link user/2 to user/3: 1",
		"reply send 2: unavailable", "reply parked: unavailable", "kick 1: 106")
	h.commit()
	h.expect("reply send 2: seq 2 shown false", "deliver 2: 2..2", "link user/2 to user/3: 2")
	h.send(1, 3, 1, 0)
	h.link(3, 1, 1)
	h.expect("reply send 1: unavailable")
	// Under a new epoch the send that was refused is taken.
	h.core.Own(slot, 2)
	h.send(1, 3, 1, 0)
	h.finish()
	h.expect("reply send 1: seq 1 shown false", "link user/1 to user/3: 1")
}

// Of a commit whose fate is unknown nothing can be trusted.
func TestUnknownFateDropsAll(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2, 3)
	h.attach(3, 1, 0)
	h.drain()
	h.send(1, 2, 1, 0)
	b := h.cut()
	h.send(2, 1, 1, 0)
	h.do("load", im.User(9), &im.Counters{})
	lost := h.core.Done(h.now, b, errors.New("connection lost"))
	if len(lost) != im.Slots || h.core.Stats.Hot != 0 || h.core.Stats.CommitErrors != 1 {
		t.Fatalf("lost %d slots, %d hot", len(lost), h.core.Stats.Hot)
	}
	got := strings.Join(h.drain(), ", ")
	for _, want := range []string{"reply send 1: unavailable", "reply load: unavailable", "kick 1: 106"} {
		if !strings.Contains(got, want) {
			t.Fatalf("left the core: %s, without %s", got, want)
		}
	}
	// It did take effect: the next owner finds it, and the repeated send gets
	// its answer.
	h.apply(b)
	h.epoch = 2
	h.own()
	h.load()
	h.send(1, 2, 1, 0)
	h.finish()
	h.expect("reply send 1: seq 1 shown false")
}

// What was dropped while its commit was under way stays silent, whatever
// becomes of the commit.
func TestDropDuringCommit(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.attach(1, 1, 0)
	h.send(1, 2, 1, 0)
	h.send(2, 1, 1, 0)
	h.drain()
	b := h.cut()
	slot := im.User(1).Slot()
	h.core.Drop([]im.Slot{slot}, errNotOwner())
	h.expect("reply send 1: unavailable", "kick 1: 106")
	h.core.Own(slot, 2)
	h.send(1, 2, 1, 0)
	h.apply(b)
	h.core.Done(h.now, b, nil)
	h.expect("reply send 1: seq 1 shown false", "link user/2 to user/1: 1")
	h.finish()
	h.expect("reply send 1: seq 1 shown false")
}

// The answer to a load that was asked for under an earlier epoch is ignored.
func TestStaleLoad(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.core.DropAll(errNotOwner())
	h.own()
	h.do("first", im.User(1), &im.Counters{})
	stale := h.loads[0]
	h.loads = nil
	h.core.DropAll(errNotOwner())
	h.expect("reply first: unavailable")
	h.own()
	h.do("second", im.User(1), &im.Counters{})
	empty, err := entity.New(im.User(1))
	if err != nil {
		t.Fatal(err)
	}
	h.core.Loaded(h.now, stale.addr, stale.ticket, empty, nil)
	h.expect()
	h.load()
	h.expect("reply second")
	h.core.Loaded(h.now, stale.addr, stale.ticket, empty, nil)
	h.core.Loaded(h.now, im.User(77), 1, empty, nil)
	h.expect()
}

// What arrives during the load is applied after it, in order.
func TestParked(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.core.DropAll(errNotOwner())
	h.own()
	for cs := range im.ClientSeq(3) {
		h.send(1, 2, cs+1, 0)
		h.link(2, 1, im.LinkSeq(cs+1))
	}
	if len(h.loads) != 1 {
		t.Fatalf("loads %v", h.loads)
	}
	h.expect()
	h.finish()
	h.expect("reply send 1: seq 1 shown false", "reply send 2: seq 3 shown false", "reply send 3: seq 5 shown false",
		"link user/1 to user/2: 1", "ack user/1 to user/2: 3", "link user/1 to user/2: 2", "link user/1 to user/2: 3")
}

func TestNotServed(t *testing.T) {
	h := newHarness(t)
	h.core.DropAll(nil)
	h.do("counters", im.User(1), &im.Counters{})
	h.link(2, 1, 1)
	h.core.Wake(h.now, im.User(1))
	h.expect("reply counters: unavailable")
	h.own()
	h.do("nothing", im.Addr{Kind: 99}, &im.Counters{})
	h.core.Wake(h.now, im.Addr{Kind: 99})
	h.core.Handle(h.now, Input{To: im.User(1), Cmd: &im.Counters{}})
	h.expect("reply nothing: invalid")
	if h.core.Stats.Hot != 1 {
		t.Fatalf("%d hot", h.core.Stats.Hot)
	}
}

// With Confirm an answer that changes nothing asks the store whether the slot
// is still owned.
func TestConfirm(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.Confirm = true })
	h.befriend(1, 2)
	h.do("counters", im.User(1), &im.Counters{})
	h.expect()
	b := h.cut()
	ch := b.Changes.Changes
	if len(ch) != 1 || ch[0].Addr != im.User(1) || ch[0].Epoch != 1 || len(ch[0].Append)+len(ch[0].Put)+len(ch[0].Delete) != 0 {
		t.Fatalf("commits %+v", ch)
	}
	h.core.Done(h.now, b, nil)
	h.expect("reply counters")
	h.attach(1, 1, 0)
	h.expect()
	h.core.Done(h.now, h.cut(), &store.SlotError{Slots: []im.Slot{im.User(1).Slot()}})
	h.expect("reply attach 1: unavailable", "kick 1: 106")
}

func TestFull(t *testing.T) {
	h := newHarness(t)
	for u := range im.UserID(maxParts) {
		if h.core.Full() {
			t.Fatalf("full after %d entities", u)
		}
		h.do("create", im.User(u+1), &im.CreateUser{Name: fmt.Sprint("user", u)})
		h.load()
	}
	if !h.core.Full() {
		t.Fatal("not full")
	}
	h.commit()
	if h.core.Full() {
		t.Fatal("full after the commit")
	}
}

// A busy user is written as a whole every now and then, so that its log to
// replay stays short; acks and cursors within FlushAfter.
func TestSnapshots(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.SnapshotEvery, c.FlushAfter = 3, 100 })
	h.befriend(1, 2)
	records := func(b *Batch) (n int) {
		for _, ch := range b.Changes.Changes {
			n += len(ch.Put)
		}
		return n
	}
	for cs := range im.ClientSeq(3) {
		h.send(1, 2, cs+1, 0)
	}
	b := h.cut()
	if records(b) == 0 {
		t.Fatal("no snapshot after three entries")
	}
	h.apply(b)
	h.core.Done(h.now, b, nil)
	h.core.Handle(h.now, Input{To: im.User(1), Msg: &entity.Message{From: im.User(2), To: im.User(1), Ack: 2}})
	if b := h.core.Cut(); b != nil {
		t.Fatal("an ack is written at once")
	}
	h.now += 99
	h.core.Tick(h.now)
	if b := h.core.Cut(); b != nil {
		t.Fatal("an ack is written before its time")
	}
	h.now = h.core.NextTick()
	h.core.Tick(h.now)
	b = h.cut()
	if h.now != 1_000_100 || records(b) == 0 {
		t.Fatalf("at %d: %+v", h.now, b.Changes.Changes)
	}
	h.apply(b)
	h.core.Done(h.now, b, nil)
	h.send(1, 2, 4, 0)
	h.core.Flush(h.now)
	if b := h.cut(); records(b) == 0 {
		t.Fatal("no snapshot before the stop")
	}
}

// Retransmission: what is unacknowledged after a restart is read from the
// store and sent again until the ack comes.
func TestRetransmission(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.send(1, 2, 1, 0)
	h.send(1, 2, 2, 0)
	h.commit()
	if !h.disk[im.User(1)].pending {
		t.Fatal("not marked pending")
	}
	h.core.DropAll(nil)
	h.drain()
	h.own()
	h.core.Wake(h.now, im.User(1))
	h.load()
	for range 3 {
		h.now = h.core.NextTick()
		h.core.Tick(h.now)
		h.expect()
		h.readEntries()
		h.expect("link user/1 to user/2: 1", "link user/1 to user/2: 2")
	}
	h.core.Handle(h.now, Input{To: im.User(1), Msg: &entity.Message{From: im.User(2), To: im.User(1), Ack: 2}})
	h.now = h.core.NextTick()
	h.core.Tick(h.now)
	h.commit()
	if h.disk[im.User(1)].pending {
		t.Fatal("still marked pending")
	}
	// An answer to a read after the entity has gone finds nobody.
	h.core.DropAll(nil)
	h.core.EntriesRead(h.now, im.User(1), im.User(2), nil)
	h.expect()
}
