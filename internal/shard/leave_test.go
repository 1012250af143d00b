package shard

import (
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// What has been taken for slots is finished before they are handed over, with
// snapshots; what comes meanwhile is sent elsewhere, except for goodbyes.
func TestLeaveFinishesFirst(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	a := h.attach(1, 1, 0)
	h.attach(1, 2, 0)
	h.drain()
	h.send(1, 2, 1, 0)
	b := h.cut()
	h.send(1, 2, 2, 0)
	h.core.Leave(h.now, []im.Slot{im.User(1).Slot()}, func() { h.note("left") })
	h.send(1, 2, 3, 0)
	h.do("detach", im.User(1), &im.Detach{Session: a.id})
	h.expect("reply send 3: unavailable", "reply detach")
	h.apply(b)
	h.core.Done(h.now, b, nil)
	h.expect("reply send 1: seq 1 shown false", "deliver 2: 1..1", "link user/1 to user/2: 1")
	h.commit()
	h.expect("reply send 2: seq 2 shown false", "deliver 2: 2..2", "link user/1 to user/2: 2", "kick 2: 106", "left")
	if h.core.Owns(im.User(1).Slot()) || !h.core.Owns(im.User(2).Slot()) {
		t.Error("one slot was to be left")
	}
	ent, err := LoadEntity(h.stored(im.User(1)), im.User(1))
	if err != nil {
		t.Fatal(err)
	}
	if st := ent.Status(); st.Unsnapshotted != 0 || st.Head != 2 {
		t.Errorf("the next owner finds %+v", st)
	}
}

// Slots that have nothing under way are handed over at once; those lost in the
// middle of it, or acquired again, are left alone.
func TestLeaveEnds(t *testing.T) {
	slot := im.User(1).Slot()
	leave := func(h *harness) { h.core.Leave(h.now, []im.Slot{slot}, func() { h.note("left") }) }
	t.Run("nothing under way", func(t *testing.T) {
		h := newHarness(t)
		leave(h)
		h.expect("left")
	})
	t.Run("fenced", func(t *testing.T) {
		h := newHarness(t)
		h.befriend(1, 2)
		h.send(1, 2, 1, 0)
		leave(h)
		h.core.Done(h.now, h.cut(), &store.SlotError{Slots: []im.Slot{slot}})
		h.expect("reply send 1: unavailable", "left")
	})
	t.Run("dropped", func(t *testing.T) {
		h := newHarness(t)
		h.befriend(1, 2)
		b := func() *Batch { h.send(2, 1, 1, 0); return h.cut() }()
		h.send(1, 2, 1, 0)
		leave(h)
		h.core.Drop([]im.Slot{slot}, errNotOwner())
		h.expect("reply send 1: unavailable")
		h.apply(b)
		h.core.Done(h.now, b, nil)
		h.expect("reply send 1: seq 1 shown false", "link user/2 to user/1: 1", "left")
	})
	t.Run("acquired again", func(t *testing.T) {
		h := newHarness(t)
		h.befriend(1, 2)
		h.send(1, 2, 1, 0)
		leave(h)
		b := h.cut()
		h.core.Own(slot, 9)
		h.apply(b)
		h.core.Done(h.now, b, nil)
		if h.core.epochs[slot] != 9 || h.core.leaving[slot] {
			t.Error("the slot was left after it had been acquired again")
		}
	})
}

// Disown drops what is owned under the epochs that were found to be old.
func TestDisown(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.attach(1, 1, 0)
	h.drain()
	one, two := im.User(1).Slot(), im.User(2).Slot()
	lost := h.core.Disown([]im.Slot{one, two}, []im.Epoch{h.epoch, h.epoch + 1})
	h.expect("kick 1: 106")
	if len(lost) != 1 || lost[0] != one || !h.core.Owns(two) {
		t.Errorf("lost %v", lost)
	}
}

// A peer that can be reached again need not be waited for.
func TestHurry(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2, 3)
	h.send(1, 2, 1, 0)
	h.send(1, 3, 2, 0)
	h.commit()
	for range 4 {
		h.now = h.core.NextTick()
		h.core.Tick(h.now)
		h.finish()
	}
	h.drain()
	patient := h.core.NextTick() - h.now
	if patient < 1000 {
		t.Fatalf("the next try comes after %d ms already", patient)
	}
	h.core.Hurry(h.now, []im.Slot{im.User(2).Slot()})
	if next := h.core.NextTick() - h.now; next > 300 {
		t.Fatalf("the next try comes after %d ms", next)
	}
	h.now = h.core.NextTick()
	h.core.Tick(h.now)
	h.finish()
	h.expect("link user/1 to user/2: 1")
}

// What was sent once only may have gone to a node that was dead already.
func TestHurryWhatWasSentOnce(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	h.send(1, 2, 1, 0)
	h.commit()
	h.drain()
	h.core.Hurry(h.now, []im.Slot{im.User(2).Slot()})
	h.now = h.core.NextTick()
	h.core.Tick(h.now)
	h.finish()
	h.expect("link user/1 to user/2: 1")
}

// When a node can be reached again, what waits for it goes out a part at a time.
func TestHurryAFewAtATime(t *testing.T) {
	h := newHarness(t)
	const users = 2*hurryBurst + 10
	for u := im.UserID(10); u < 10+users; u++ {
		h.befriend(u, 2)
		h.send(u, 2, 1, 0)
	}
	h.commit()
	h.drain()
	begun := h.now
	h.core.Hurry(h.now, []im.Slot{im.User(2).Slot()})
	sent := 0
	for h.now-begun < 3*hurryEvery {
		h.now++
		h.core.Tick(h.now)
		h.finish()
		sent += len(h.drain())
		if most := hurryBurst * (1 + int(h.now-begun)/hurryEvery); sent > most {
			t.Fatalf("%d links were hurried within %d ms, over %d", sent, h.now-begun, most)
		}
	}
	if sent != users {
		t.Errorf("%d of %d links were hurried", sent, users)
	}
}
