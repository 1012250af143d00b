package entity

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/skein-im/skein/internal/im"
)

const (
	minute = im.Millis(60_000)
	day    = 24 * 60 * minute
)

// retained is a user with friends 2 and 3 whose log is kept as r says.
func retained(t tester, r Retention) *actor {
	a := newUserActor(t, 1, 2, 3)
	a.retain = r
	return a
}

// write sends messages that friend 2 takes and that both devices have, but for
// the last ones, and writes a snapshot.
func (a *actor) write(n, unseen int) {
	a.t.Helper()
	for range n {
		a.must(&im.Send{To: 2, Device: 1, Content: text("hello")})
	}
	a.receive(&Message{From: im.User(2), To: a.addr, Ack: a.user().pair(im.User(2)).out})
	for d := im.DeviceID(1); d <= 2; d++ {
		a.must(&im.AckDelivered{Device: d, Seq: im.Seq(len(a.log) - unseen)})
	}
	a.snapshot()
}

func (a *actor) expectTrimmed(want im.Seq) {
	a.t.Helper()
	if got := a.ent.Status().Trimmed; got != want || a.trimmed != want {
		a.t.Fatalf("%d entries are gone, in the store %d; want %d", got, a.trimmed, want)
	}
}

func TestRetainEntries(t *testing.T) {
	a := retained(t, Retention{Entries: 40})
	a.write(44, 0)
	a.expectTrimmed(0) // less than an eighth too many
	a.write(1, 0)
	a.expectTrimmed(5)
	a.restart()
	a.write(5, 0)
	a.expectTrimmed(10)
	a.write(100, 60)
	a.expectTrimmed(90)
	a.must(&im.Tidy{})
	a.expectTrimmed(90)
	a.write(3, 0)
	a.expectTrimmed(113)
	a.write(2, 0)
	a.expectTrimmed(113)
	a.must(&im.Tidy{})
	a.expectTrimmed(115)
}

func TestRetainAge(t *testing.T) {
	a := retained(t, Retention{Age: 16 * day})
	for range 40 {
		a.write(10, 0)
		a.now += day
	}
	// Ten entries a day; those of the last 15 days and of today are there.
	a.must(&im.Tidy{})
	a.expectTrimmed(250)
	if n := len(a.user().ages()); n > agesKept+2 {
		t.Fatalf("%d notes of ages", n)
	}
	a.restart()
	a.now += 100 * day
	a.must(&im.Tidy{})
	a.expectTrimmed(399) // the last one stays
}

// Turned on late, retention begins with what is there: it counts as new.
func TestRetentionTurnedOn(t *testing.T) {
	a := retained(t, Retention{})
	a.write(50, 0)
	a.now += 100 * day
	a.write(50, 0)
	a.expectTrimmed(0)
	a.retain.Age = 10 * day
	a.must(&im.Tidy{})
	a.now += 9 * day
	a.must(&im.Tidy{})
	a.expectTrimmed(0)
	a.now += day
	a.must(&im.Tidy{})
	a.expectTrimmed(99)
}

// What a device has not acknowledged stays until it has been away for too long.
func TestAwayDevice(t *testing.T) {
	for _, away := range []im.Millis{0, 30 * day} {
		a := retained(t, Retention{Entries: 10, Away: away})
		a.write(20, 15)
		a.expectTrimmed(5)
		for range 29 {
			a.now += day
			a.must(&im.Tidy{})
		}
		a.expectTrimmed(5)
		for range 3 {
			a.now += day
			a.must(&im.Tidy{})
		}
		if away == 0 {
			a.expectTrimmed(5)
			continue
		}
		a.expectTrimmed(10)
	}
}

// A revoked device holds nothing back; a new one everything there is.
func TestDevicesHoldBack(t *testing.T) {
	a := retained(t, Retention{Entries: 10, Away: 30 * day})
	a.write(20, 0)
	a.expectTrimmed(10)
	a.must(&im.CreateDevice{Name: "new", TokenHash: [32]byte{9}})
	a.write(20, 0)
	a.expectTrimmed(10)
	a.must(&im.RevokeDevice{Device: 3})
	a.must(&im.Tidy{})
	a.expectTrimmed(30)
	a.must(&im.RevokeDevice{Device: 1})
	a.must(&im.RevokeDevice{Device: 2})
	for range 20 {
		a.must(&im.SendNumbered{To: 2, SendID: a.user().sendID + 1, Content: text("hello")})
	}
	a.receive(&Message{From: im.User(2), To: a.addr, Ack: a.user().pair(im.User(2)).out})
	a.must(&im.Tidy{})
	a.expectTrimmed(30) // nobody has seen them
	for range 33 {
		a.now += day
		a.must(&im.Tidy{})
	}
	a.expectTrimmed(50)
}

// Messages without an ack stay, however old, and can be sent again.
func TestOutboxIsKept(t *testing.T) {
	a := retained(t, Retention{Entries: 1, Age: 1, Away: 1})
	a.write(10, 0)
	a.must(&im.Send{To: 3, Device: 1, Content: text("lost on the way")})
	a.write(10, 0)
	a.now += 100 * day
	a.must(&im.Tidy{})
	a.expectTrimmed(10)
	a.restart()
	a.out = nil
	a.advance(minute)
	if len(a.out) != 1 || string(a.out[0].Body.Content.Body) != "lost on the way" {
		t.Fatalf("sent again: %v", a.out)
	}
	a.receive(&Message{From: im.User(3), To: a.addr, Ack: 1})
	a.must(&im.Tidy{})
	a.expectTrimmed(20)
}

// Whatever was trimmed, the state in the store is that in memory, nothing goes
// that must stay, and nothing stays for long that may go.
func TestTrimmedReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newParty(t)
		p.a.retain = Retention{
			Entries: rapid.IntRange(0, 20).Draw(t, "entries"),
			Age:     im.Millis(rapid.IntRange(0, 60_000).Draw(t, "age")),
			Away:    im.Millis(rapid.IntRange(0, 60_000).Draw(t, "away")),
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			p.act()
			if rapid.IntRange(0, 9).Draw(t, "tidy") == 0 {
				p.a.do(&im.Tidy{})
			}
			checkKept(t, p.a)
			if live, stored := picture(p.a.user(), false), picture(p.a.load().(*user), false); live != stored {
				t.Fatalf("live:\n%s\nstored:\n%s", live, stored)
			}
		}
		p.a.snapshot()
		live, stored := p.a.user(), p.a.load().(*user)
		if a, b := fmt.Sprint(live.trimmed(), live.ages()), fmt.Sprint(stored.trimmed(), stored.ages()); a != b {
			t.Fatalf("live: %s\nstored: %s", a, b)
		}
	})
}

// checkKept fails when the store lacks what must be there.
func checkKept(t *rapid.T, a *actor) {
	u := a.load().(*user)
	if a.trimmed >= im.Seq(max(len(a.log), 1)) {
		t.Fatalf("all of %d entries are gone", len(a.log))
	}
	for _, p := range append(u.order, u.dealings()...) {
		for _, r := range p.refs {
			if r.seq() <= a.trimmed {
				t.Fatalf("entry %d is gone, with a message to %v", r.seq(), p.peer)
			}
		}
	}
}
