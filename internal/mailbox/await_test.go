package mailbox

import (
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// all are all slots, and half the second half of them.
func allAndHalf() (all, half []im.Slot) {
	for s := range im.Slot(im.Slots) {
		all = append(all, s)
	}
	return all, all[im.Slots/2:]
}

// A node waits for another to hand over its slots; meanwhile that serves them, and
// nothing is taken from it by force.
func TestAwaitsHandOver(t *testing.T) {
	w := newTwins(t)
	w.assign(t, func(im.Slot) bool { return true })
	all, half := allAndHalf()
	w.b.Assign(half)
	awaited := func() bool {
		w.b.slots.mu.Lock()
		defer w.b.slots.mu.Unlock()
		for _, slot := range half {
			if w.b.slots.awaited[slot] == 0 {
				return false
			}
		}
		return true
	}
	deadline := testContext(t)
	for changed := w.b.slots.watch(); !awaited(); changed = w.b.slots.watch() {
		select {
		case <-changed:
		case <-deadline.Done():
			t.Fatal("it does not wait for the other node")
		}
	}
	if n := w.a.slots.count(); n != im.Slots {
		t.Errorf("%d slots are served meanwhile", n)
	}
	w.a.Assign(all[:im.Slots/2])
	for _, m := range []*Mailbox{w.a, w.b} {
		if err := m.Settled(testContext(t)); err != nil {
			t.Fatal(err)
		}
		if n := m.Stats().Fenced; n > 0 {
			t.Errorf("%d commits were fenced", n)
		}
	}
	_, epochs := w.b.slots.held()
	for i, e := range epochs {
		if e != 2 {
			t.Fatalf("slot %d was acquired %d times", half[i], e)
		}
	}
}

// A node that is there and hands nothing over is not waited for any longer.
func TestDoesNotAwaitForEver(t *testing.T) {
	w := newTwins(t)
	w.b.cfg.HandOver = 50 * time.Millisecond
	w.assign(t, func(im.Slot) bool { return true })
	_, half := allAndHalf()
	w.b.Assign(half)
	if err := w.b.Settled(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

// A slot counts as served when its shard has been told, and not before: who waits
// for that asks at once, and is refused by a shard that does not know. One that is
// lost again meanwhile is not served.
func TestSlotsAreServedOnceShardsKnow(t *testing.T) {
	s := newSlots(true)
	list, epochs := []im.Slot{4, 5}, []im.Epoch{1, 1}
	s.assign(list)
	s.plan(time.Now())
	s.acquired("here", list, epochs)
	if ok, _ := s.settled(); ok || s.here[4].Load() {
		t.Fatal("slots are served before their shards have them")
	}
	s.gone(list[1:], time.Time{}, starting, served)
	s.started(list)
	if !s.here[4].Load() || s.here[5].Load() {
		t.Fatal("of two slots, the one that was not lost is served")
	}
}
