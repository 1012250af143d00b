package mailbox

import (
	"slices"
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
	// It knows the owner of what it waits for.
	awaited := func() bool {
		return !slices.ContainsFunc(half, func(s im.Slot) bool { return w.b.slots.OwnerOf(s) == nil })
	}
	deadline := testContext(t)
	for changed := w.b.slots.Watch(); !awaited(); changed = w.b.slots.Watch() {
		select {
		case <-changed:
		case <-deadline.Done():
			t.Fatal("it does not wait for the other node")
		}
	}
	if n := w.a.slots.Count(); n != im.Slots {
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
	_, epochs := w.b.slots.Held()
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
