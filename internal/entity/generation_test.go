package entity

import (
	"testing"

	"github.com/skein-im/skein/internal/im"
)

// lateActor is a user with five entries, and what the store has of it.
func lateActor(t *testing.T) *actor {
	t.Helper()
	a := newUserActor(t, 1, 2)
	for n := range im.LinkSeq(5) {
		a.receive(chat(2, n+1))
	}
	return a
}

// lose lets the store take the place of one whose end it lacks.
func (a *actor) lose(entries int, g im.Generation) {
	a.log, a.visible, a.generation = a.log[:len(a.log)-entries], a.visible[:len(a.visible)-entries], g
	a.restart()
}

// comesBack attaches the first device, and wants to hear where it continues.
func (a *actor) comesBack(t *testing.T, cursor im.Seq, g im.Generation, from im.Seq, kept int) {
	t.Helper()
	at := a.must(&im.Attach{Device: 1, TokenHash: [32]byte{1}, Cursor: &cursor, Generation: &g}).(*im.Attached)
	if at.Cursor != from || at.Generation != a.generation || at.Kept == nil != (kept < 0) || kept >= 0 && *at.Kept != im.Seq(kept) {
		t.Fatalf("cursor %d of generation %d: %+v with %v kept; want to continue after %d with %d", cursor, g, at, at.Kept, from, kept)
	}
}

// Devices that have got entries which the store has lost begin again where the loss
// began, however far the timeline has grown meanwhile, and others where they were.
func TestLostEnd(t *testing.T) {
	a := lateActor(t)
	a.comesBack(t, 5, 0, 5, -1)
	a.lose(2, 70)
	a.comesBack(t, 5, 0, 3, 3)
	a.comesBack(t, 2, 0, 2, 3)
	for n := range im.LinkSeq(4) {
		a.receive(chat(2, n+4))
	}
	for range 2 {
		a.comesBack(t, 5, 0, 3, 3)
		a.comesBack(t, 6, 70, 6, -1)
		beyond, g := im.Seq(8), im.Generation(70)
		a.refuses(&im.Attach{Device: 1, TokenHash: [32]byte{1}, Cursor: &beyond, Generation: &g}, im.Invalid)
		// One that does not know of generations continues where it says.
		if at := a.must(&im.Attach{Device: 1, TokenHash: [32]byte{1}, Cursor: ptr(im.Seq(5))}).(*im.Attached); at.Cursor != 5 || at.Kept != nil {
			t.Fatalf("without a generation: %+v", at)
		}
		a.restart()
	}
	a.lose(3, 71)
	a.comesBack(t, 5, 0, 3, 3)
	a.comesBack(t, 6, 70, 4, 4)
	a.comesBack(t, 4, 71, 4, -1)
}

// The generation is noted with the first commit in it, before anything is appended.
func TestGenerationIsNotedFirst(t *testing.T) {
	a := lateActor(t)
	a.lose(2, 70)
	a.receive(chat(2, 4))
	a.restart() // without a snapshot of what came
	a.comesBack(t, 5, 0, 3, 3)
}

// A user who is made, or comes, in a generation is in it before a device hears of
// it.
func TestNewUserIsInTheGeneration(t *testing.T) {
	a := newActor(t, im.User(1))
	a.generation = 70
	a.must(&im.Provision{Friends: []im.UserID{2}, TokenHashes: [][32]byte{{1}}})
	a.comesBack(t, 0, 70, 0, -1)
	for n := range im.LinkSeq(3) {
		a.receive(chat(2, n+1))
	}
	a.restart()
	a.comesBack(t, 3, 70, 3, -1)
}

// Of many generations, those in the middle are forgotten: who comes from there
// begins where the first loss was.
func TestManyGenerations(t *testing.T) {
	a := lateActor(t)
	for g := im.Generation(1); g <= 20; g++ {
		a.lose(0, g)
		a.receive(chat(2, im.LinkSeq(5+g)))
	}
	if n := len(a.user().forks); n != maxForks {
		t.Fatalf("%d generations are remembered", n)
	}
	for range 2 {
		a.comesBack(t, 9, 0, 5, 5)
		a.comesBack(t, 9, 1, 5, 5)
		a.comesBack(t, 9, 5, 5, 5)
		a.comesBack(t, 30, 19, 24, 24)
		a.comesBack(t, 25, 20, 25, -1)
		a.restart()
	}
}

func ptr[T any](v T) *T { return &v }
