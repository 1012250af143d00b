package mailbox

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/memstore"
)

// twins are two nodes on one store, each the other's elsewhere.
type twins struct {
	store *memstore.Store
	a, b  *Mailbox
}

func newTwins(t *testing.T) *twins {
	w := &twins{store: memstore.New(time.Now)}
	w.a = w.open(t, "a", func() *Mailbox { return w.b })
	w.b = w.open(t, "b", func() *Mailbox { return w.a })
	for _, m := range []*Mailbox{w.a, w.b} {
		if err := m.Start(testContext(t)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Stop)
	}
	return w
}

func (w *twins) open(t *testing.T, name string, other func() *Mailbox) *Mailbox {
	cfg := DefaultConfig()
	cfg.Node, cfg.Shared, cfg.Logger = name, true, slog.New(slog.DiscardHandler)
	cfg.Admission.Threshold = 0
	cfg.AuditEvery = time.Hour
	var m *Mailbox
	cfg.Elsewhere = func(msg *entity.Message) bool {
		if m.Serves(msg.To) {
			return false
		}
		other().Receive(msg)
		return true
	}
	cfg.Acquired = func(list []im.Slot, epochs []im.Epoch) { other().AcquiredElsewhere(name, list, epochs) }
	cfg.Hands = func(node string) bool { return node == "a" || node == "b" }
	cfg.HandOver = time.Hour
	cfg.Left = func(list []im.Slot, epochs []im.Epoch) { other().Released(list, epochs) }
	m = New(cfg, w.store)
	return m
}

// assign gives every slot to one of the nodes, and waits until it is so.
func (w *twins) assign(t *testing.T, toA func(s im.Slot) bool) {
	t.Helper()
	var a, b []im.Slot
	for s := range im.Slot(im.Slots) {
		if toA(s) {
			a = append(a, s)
		} else {
			b = append(b, s)
		}
	}
	w.a.Assign(a)
	w.b.Assign(b)
	for _, m := range []*Mailbox{w.a, w.b} {
		if err := m.Settled(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// of is the node that serves an entity.
func (w *twins) of(a im.Addr) *Mailbox {
	if w.a.Serves(a) {
		return w.a
	}
	return w.b
}

// Two users of two nodes write to each other; then their slots change places, with
// nothing lost, and sessions are kicked.
func TestSlotsMove(t *testing.T) {
	w := newTwins(t)
	alice, bob := im.User(1), im.User(2)
	first := func(s im.Slot) bool { return s != bob.Slot() }
	w.assign(t, first)
	if !w.a.Serves(alice) || !w.b.Serves(bob) || w.a.Serves(bob) {
		t.Fatal("the slots are not where they were assigned")
	}
	provision(t, w.a, 1, 2)
	provision(t, w.b, 2, 1)
	inbox := attach(t, w.b, 2, 22, nil)
	send := func(n im.ClientSeq) {
		t.Helper()
		res, err := im.Do(testContext(t), w.of(alice), alice, &im.Send{To: 2, Device: 1, ClientSeq: n, Content: text("hello")})
		if err != nil || res.(*im.Sent).ClientSeq != n {
			t.Fatalf("%+v, %v", res, err)
		}
	}
	send(1)
	if e := inbox.next(t); e.PairID != 1 {
		t.Fatalf("%+v", e)
	}
	w.assign(t, func(s im.Slot) bool { return !first(s) })
	if code := <-inbox.kicked; code != im.CloseUnavailable {
		t.Errorf("kicked with %d", code)
	}
	if _, err := im.Do(testContext(t), w.a, alice, &im.Counters{Device: 1}); !im.IsElsewhere(err) {
		t.Errorf("who was the owner says %v", err)
	}
	send(1)
	send(2)
	cursor := im.Seq(1)
	again := attach(t, w.a, 2, 23, &cursor)
	if e := again.next(t); e.PairID != 2 {
		t.Fatalf("%+v", e)
	}
}

// A node whose slots another one has acquired finds out, though it has nothing to
// commit, and takes back what is assigned to it.
func TestAudit(t *testing.T) {
	w := newTwins(t)
	w.assign(t, func(im.Slot) bool { return true })
	slots := []im.Slot{5, 6, 4000}
	epochs, err := w.store.Acquire(t.Context(), "thief", slots)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range slots {
		if w.store.Epoch(s) == 0 || !w.a.slots.Serves(s) {
			t.Fatal("the node knows too early")
		}
	}
	w.a.Audit()
	w.takesBack(t, slots[2], epochs[2])
}

// A node that is told that another one serves what is its own does not wait for the
// next audit.
func TestAcquiredElsewhere(t *testing.T) {
	w := newTwins(t)
	w.assign(t, func(im.Slot) bool { return true })
	slots := []im.Slot{4000}
	epochs, err := w.store.Acquire(t.Context(), "other", slots)
	if err != nil {
		t.Fatal(err)
	}
	w.a.AcquiredElsewhere("other", slots, epochs)
	w.takesBack(t, slots[0], epochs[0])
}

// takesBack waits until one of the twins serves all slots, and this one under a
// later epoch.
func (w *twins) takesBack(t *testing.T, slot im.Slot, after im.Epoch) {
	t.Helper()
	deadline := testContext(t)
	for ok := false; !ok; {
		changed := w.a.slots.Watch()
		if held, now := w.a.slots.Held(); len(held) == im.Slots {
			ok = now[slices.Index(held, slot)] > after
		}
		if !ok {
			select {
			case <-changed:
			case <-deadline.Done():
				t.Fatal("the slots are not taken back")
			}
		}
	}
	if n := w.a.Stats().Unserved; n != 0 {
		t.Errorf("%d slots are not served", n)
	}
}

// A link message for a slot of another node is counted, and not taken.
func TestStray(t *testing.T) {
	w := newTwins(t)
	w.assign(t, func(im.Slot) bool { return true })
	w.b.Receive(&entity.Message{From: im.User(1), To: im.User(2), Seq: 1})
	if st := w.b.Stats(); st.Stray != 1 || st.Messages != 0 {
		t.Errorf("%+v", st)
	}
}
