package entity

import (
	"testing"

	"github.com/skein-im/skein/internal/im"
)

// promote lets copies that lack nothing go on in a generation.
func (f *fair) promote(g im.Generation) {
	f.generation = g
	for _, a := range f.all() {
		a.goOn(a.copied(), g)
	}
}

// settle lets time pass until everything is repeated and answered that may be.
func (f *fair) settle() {
	f.exchange()
	for range 6 {
		f.advance(10_000)
	}
}

// mustStop wants one end's link with another to have stopped, or not.
func (a *actor) mustStop(t *testing.T, peer im.Addr, stopped bool) {
	t.Helper()
	if n := a.ent.Status().Outstanding; stopped && n != 0 {
		t.Errorf("%v owes %d messages over a link that has stopped", a.addr, n)
	}
	a.restart()
	for _, l := range MoneyLinks(a.ent) {
		if l.Peer == peer && l.Stopped != stopped {
			t.Errorf("the link of %v with %v has stopped: %v", a.addr, peer, l.Stopped)
		}
	}
}

// Where nothing is lost, money goes on in another generation, what was there before
// and what is new.
func TestMoneyGoesOn(t *testing.T) {
	f := newFair(t, 3)
	env := f.send(100, 2, 2, 3)
	env.must(&im.Open{User: 2})
	f.settle()
	f.promote(70)
	env.must(&im.Open{User: 3})
	f.settle()
	env.must(&im.Open{User: 2})
	f.wantBalances(900, 1050, 1050)
	again := f.send(100, 2, 2, 3)
	f.settle()
	again.must(&im.Open{User: 2})
	again.must(&im.Open{User: 3})
	f.settle()
	f.wantBalances(800, 1100, 1100)
	f.topUp(1, 50)
	f.promote(71)
	f.settle()
	f.wantBalances(850, 1100, 1100)
	for _, id := range []im.UserID{1, 2, 3} {
		env.mustStop(t, im.User(id), false)
		again.mustStop(t, im.User(id), false)
	}
}

// An envelope that does not remember who has opened it gives that user nothing again.
func TestPurseLosesEnd(t *testing.T) {
	f := newFair(t, 3)
	env := f.send(100, 2, 2, 3)
	f.settle()
	copied := env.copied()
	env.must(&im.Open{User: 2})
	f.settle()
	f.wantBalances(900, 1050, 1000)
	f.generation = 70
	env.goOn(copied, 70)
	env.must(&im.Open{User: 2})
	f.settle()
	f.wantBalances(900, 1050, 1000)
	env.mustStop(t, im.User(2), true)
	f.user(2).mustStop(t, env.addr, true)
	env.must(&im.Open{User: 3})
	f.settle()
	env.mustStop(t, im.User(3), false)
	f.wantBalances(900, 1050, 1050)
}

// A wallet that does not remember what it has funded gets nothing back from it, and
// nobody gets anything out of it any more once that is known.
func TestFunderLosesEnd(t *testing.T) {
	f := newFair(t, 3)
	before := f.user(1).copied()
	key := f.key()
	c := &im.CreateEnvelope{Key: key, To: []im.UserID{2, 3}, Total: 100, Shares: 2}
	env := f.at(im.Envelope(f.user(1).must(c).(*im.EnvelopeCreated).Envelope))
	f.settle()
	f.user(1).goOn(before, 70)
	f.wantBalances(1000, 1000, 1000)
	env.now += im.DefaultLifetime
	env.advance(1)
	f.settle()
	f.wantBalances(1000, 1000, 1000)
	env.mustStop(t, im.User(1), true)

	f = newFair(t, 3)
	before = f.user(1).copied()
	env = f.at(im.Envelope(f.user(1).must(c).(*im.EnvelopeCreated).Envelope))
	f.settle()
	f.user(1).goOn(before, 70)
	f.user(1).must(c)
	f.settle()
	f.user(1).mustStop(t, env.addr, true)
	f.user(1).refuses(c, im.Unavailable)
	env.refuses(&im.Open{User: 2}, im.Unavailable)
}

// A wallet that does not remember what it has taken does not get it again.
func TestTakerLosesEnd(t *testing.T) {
	f := newFair(t, 2)
	id := im.Payment(f.user(1).must(&im.Withdraw{Key: f.key(), Cents: 100}).(*im.Withdrawal).Payment)
	f.settle()
	copied := f.user(1).copied()
	f.at(id).must(&im.Settle{Paid: false})
	f.settle()
	f.wantBalances(1000, 1000)
	f.user(1).goOn(copied, 70)
	f.wantBalances(900, 1000)
	f.user(1).receive(&Message{From: id, To: im.User(1), Seq: 2})
	f.settle()
	f.wantBalances(900, 1000)
	f.at(id).mustStop(t, im.User(1), true)
	f.at(id).refuses(&im.Settle{Paid: false}, im.Unavailable)
}
