package entity

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// stored is what an actor's store has.
type stored struct {
	records      map[string][]byte
	log, visible [][]byte
	trimmed      im.Seq
	pending      bool
}

// copied is what a standby has that is up to date.
func (a *actor) copied() stored {
	return stored{maps.Clone(a.records), slices.Clone(a.log), slices.Clone(a.visible), a.trimmed, a.pending}
}

// goOn lets a copy take the place of the store.
func (a *actor) goOn(s stored, g im.Generation) {
	a.t.Helper()
	a.records, a.log, a.visible, a.trimmed, a.pending = maps.Clone(s.records), slices.Clone(s.log), slices.Clone(s.visible), s.trimmed, s.pending
	a.generation, a.out = g, nil
	a.restart()
}

// rest lets everything arrive that is on its way, and be repeated that is due.
func rest(actors ...*actor) {
	for range 12 {
		exchange(actors...)
		for _, a := range actors {
			a.advance(10_000)
		}
	}
	exchange(actors...)
}

// says sends messages.
func (a *actor) says(to *actor, bodies ...string) {
	a.t.Helper()
	for _, body := range bodies {
		a.must(&im.Send{To: im.UserID(to.addr.ID), Device: 1, Content: text(body)})
	}
}

// heard are the bodies of what has come from a peer.
func (a *actor) heard(t *testing.T, from *actor) (bodies []string) {
	t.Helper()
	for i, value := range a.log {
		if im.Seq(i+1) <= a.trimmed {
			continue
		}
		var ev event
		if err := ev.decode(im.LogEntry{Seq: im.Seq(i + 1), Value: value}); err != nil {
			t.Fatal(err)
		}
		if e := ev.entry; e.Kind == wire.EntryMessage && !e.Outgoing && e.Peer == im.UserID(from.addr.ID) {
			bodies = append(bodies, string(e.Content.Body))
		}
	}
	return bodies
}

func (a *actor) mustHaveHeard(t *testing.T, from *actor, want ...string) {
	t.Helper()
	if got := a.heard(t, from); !slices.Equal(got, want) {
		t.Errorf("user %d has got %q of user %d, want %q", a.addr.ID, got, from.addr.ID, want)
	}
	if n := from.ent.Status().Outstanding; n != 0 {
		t.Errorf("user %d still owes %d messages", from.addr.ID, n)
	}
}

func twoFriends(t *testing.T) (a, b *actor) {
	t.Helper()
	return newUserActor(t, 1, 2), newUserActor(t, 2, 1)
}

// What a sender says whose store has lost the end is new, although its numbers are
// not.
func TestSenderLosesEnd(t *testing.T) {
	a, b := twoFriends(t)
	a.says(b, "1", "2")
	rest(a, b)
	copied := a.copied()
	a.says(b, "lost 3", "lost 4", "lost 5")
	rest(a, b)
	a.goOn(copied, 70)
	a.says(b, "3", "4")
	rest(a, b)
	b.restart()
	b.mustHaveHeard(t, a, "1", "2", "lost 3", "lost 4", "lost 5", "3", "4")
	if b.rewound != (Rewound{Unsaid: 3}) {
		t.Errorf("%+v", b.rewound)
	}
	a.says(b, "5")
	rest(a, b)
	b.mustHaveHeard(t, a, "1", "2", "lost 3", "lost 4", "lost 5", "3", "4", "5")
}

// What a receiver has lost that the sender's log still has is sent again, as soon as
// somebody uses the receiver, and before what follows.
func TestReceiverLosesEnd(t *testing.T) {
	for _, greets := range []bool{false, true} {
		t.Run(fmt.Sprint("greets ", greets), func(t *testing.T) {
			a, b := twoFriends(t)
			a.says(b, "1", "2")
			rest(a, b)
			copied := b.copied()
			a.says(b, "3", "4")
			a.receive(&Message{From: b.addr, To: a.addr, Seq: 1, Body: Body{Kind: BodyContactRemove}})
			a.receive(&Message{From: b.addr, To: a.addr, Seq: 2, Body: Body{Kind: BodyMessage}}) // is refused, in a message
			rest(a, b)
			counted := a.user().sendAckID
			b.goOn(copied, 70)
			a.must(&im.Provision{Friends: []im.UserID{2}})
			if greets {
				b.must(&im.Attach{Device: 1, TokenHash: [32]byte{1}})
				b.advance(1)
			} else {
				a.says(b, "5")
			}
			rest(a, b)
			a.restart()
			rest(a, b)
			want := []string{"1", "2", "3", "4", "5"}
			if greets {
				want = want[:4]
			}
			b.mustHaveHeard(t, a, want...)
			if a.rewound != (Rewound{Unsaid: 2, Again: 3}) {
				t.Errorf("%+v", a.rewound)
			}
			if n := a.user().sendAckID - counted; n != uint64(len(want)-4) {
				t.Errorf("%d messages are counted as acknowledged since", n)
			}
		})
	}
}

// Of what the sender's log has let go of, the receiver hears that it need not wait.
func TestReceiverLosesWhatNobodyHas(t *testing.T) {
	a, b := twoFriends(t)
	a.says(b, "1")
	rest(a, b)
	copied := b.copied()
	for n := range 20 {
		a.says(b, fmt.Sprint(n+2))
	}
	rest(a, b)
	for dev := range im.DeviceID(2) {
		a.must(&im.AckDelivered{Device: dev + 1, Seq: a.user().head})
	}
	a.retain = Retention{Entries: 4}
	a.snapshot()
	b.goOn(copied, 70)
	a.says(b, "last")
	rest(a, b)
	b.mustHaveHeard(t, a, "1", "18", "19", "20", "21", "last")
	if a.rewound != (Rewound{Again: 4, Gone: 16}) || b.rewound != (Rewound{Gone: 16}) {
		t.Errorf("%+v, %+v", a.rewound, b.rewound)
	}
}

// Both may be in a store that has lost the ends of slots, of one more than of
// another.
func TestBothLoseEnds(t *testing.T) {
	a, b := twoFriends(t)
	a.says(b, "1")
	b.says(a, "one")
	rest(a, b)
	ca, cb := a.copied(), b.copied()
	a.says(b, "lost")
	rest(a, b)
	b.says(a, "lost too")
	rest(a, b)
	a.goOn(ca, 70)
	b.goOn(cb, 70)
	b.says(a, "two")
	a.says(b, "2")
	rest(a, b)
	a.says(b, "3")
	rest(a, b)
	b.mustHaveHeard(t, a, "1", "2", "3")
	a.mustHaveHeard(t, b, "one", "two")
}

// A message from before the loss that comes late is not taken for one from after it,
// nor is one from a generation that was lost as well.
func TestLateMessagesOfLostLives(t *testing.T) {
	a, b := twoFriends(t)
	a.says(b, "1")
	rest(a, b)
	copied := a.copied()
	a.says(b, "2 of the first", "3 of the first")
	late := a.take()
	a.goOn(copied, 70)
	a.says(b, "2 of the second")
	late = append(late, a.take()...)
	a.goOn(copied, 71)
	a.says(b, "2")
	rest(a, b)
	for range 2 {
		for _, m := range late {
			b.receive(m)
			rest(a, b)
		}
	}
	a.says(b, "3")
	rest(a, b)
	b.mustHaveHeard(t, a, "1", "2", "3")
}

// Who was not heard of for some generations knows less than who was.
func TestSenderLosesEndTwice(t *testing.T) {
	a, b := twoFriends(t)
	a.says(b, "1", "2")
	rest(a, b)
	copied := a.copied()
	a.says(b, "lost 3", "lost 4", "lost 5", "lost 6")
	rest(a, b)
	a.goOn(copied, 70)
	a.says(b, "3", "4")
	copied = a.copied()
	a.goOn(copied, 71)
	a.says(b, "5")
	rest(a, b)
	b.mustHaveHeard(t, a, "1", "2", "lost 3", "lost 4", "lost 5", "lost 6", "3", "4", "5")
}

// A user who is not in the copy at all hears everything again, and refuses it.
func TestReceiverIsLost(t *testing.T) {
	a, b := twoFriends(t)
	a.says(b, "1", "2")
	rest(a, b)
	b.goOn(stored{records: map[string][]byte{}}, 70)
	a.says(b, "3")
	rest(a, b)
	if e := a.last(); e.Kind != wire.EntryRefused || e.Refusal != im.NotFound || a.ent.Status().Outstanding != 0 {
		t.Errorf("the sender hears %+v, and owes %d", e, a.ent.Status().Outstanding)
	}
}

// To a peer whose version knows of no generations, a user whose store has lost the end
// says nothing new until it does.
func TestPeerKnowsOfNoGenerations(t *testing.T) {
	a, b := twoFriends(t)
	a.says(b, "1")
	rest(a, b)
	copied := a.copied()
	a.says(b, "lost")
	rest(a, b)
	a.goOn(copied, 70)
	a.says(b, "2")
	for range 5 {
		a.advance(40_000)
		for _, m := range a.take() {
			m.Lineage = nil
			b.receive(m)
			for _, ack := range b.out {
				ack.Lineage = nil
				a.receive(ack)
			}
			b.out = nil
		}
	}
	if n := a.ent.Status().Outstanding; n != 1 {
		t.Fatalf("%d messages are unacknowledged", n)
	}
	rest(a, b)
	b.mustHaveHeard(t, a, "1", "lost", "2")
}

// What is not acknowledged is not let go of when a generation begins.
func TestUnacknowledgedIsKept(t *testing.T) {
	a, b := twoFriends(t)
	for n := range 10 {
		a.says(b, fmt.Sprint(n))
	}
	for dev := range im.DeviceID(2) {
		a.must(&im.AckDelivered{Device: dev + 1, Seq: a.user().head})
	}
	a.snapshot()
	a.retain = Retention{Entries: 2}
	a.goOn(a.copied(), 70)
	rest(a, b)
	b.mustHaveHeard(t, a, "0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
}

// In the first generation messages say nothing of it.
func TestFirstGenerationIsNotSaid(t *testing.T) {
	a, b := twoFriends(t)
	a.says(b, "1")
	for _, m := range append(a.out, b.out...) {
		if m.Lineage != nil {
			t.Errorf("%+v", m)
		}
	}
	rest(a, b)
	if a.user().pairs[b.addr].generations != nil {
		t.Error("the line has generations")
	}
}
