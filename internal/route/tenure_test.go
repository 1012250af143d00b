package route

import (
	"testing"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// ownedBy is what a node answers that does not serve a slot, but knows who does.
func ownedBy(node string, epoch im.Epoch) func(im.Command) (im.Result, error) {
	return func(im.Command) (im.Result, error) {
		return nil, &im.Error{Kind: im.Unavailable, Elsewhere: true, Owner: &im.Owner{Node: node, Epoch: epoch}}
	}
}

// An answer that names the owner corrects the route in one step, for what follows
// too.
func TestCorrectedInOneStep(t *testing.T) {
	w := newWorld(t)
	w.links["a"].answer = ownedBy("b", 5)
	w.m.Submit(im.User(1), &im.Counters{}, w.outcome("first"))
	w.m.Submit(im.User(1), &im.Counters{}, w.outcome("second"))
	w.want("a: *im.Counters", "b: *im.Counters", "first: unspecified", "b: *im.Counters", "second: unspecified")
	w.m.Forward(&entity.Message{To: im.User(1), Seq: 3})
	w.want("b: forward 3")
}

// An Attach is not sent on, because its session may have been detached: the next one
// goes to the right node.
func TestAttachIsCorrected(t *testing.T) {
	w := newWorld(t)
	w.links["a"].answer = ownedBy("b", 5)
	w.m.Submit(im.User(1), &im.Attach{Session: 1}, w.outcome("first"))
	w.m.Submit(im.User(1), &im.Attach{Session: 2}, w.outcome("second"))
	w.want("a: attach 1", "first: unavailable", "b: attach 2", "second: unspecified")
}

// A route does not go back to an older owner, whoever speaks of it, and goes on to
// every later one.
func TestLaterTenuresCount(t *testing.T) {
	w := newWorld(t)
	slot := im.User(2).Slot()
	learn := func(node string, epoch im.Epoch) { w.m.Learn(node, []im.Slot{slot}, []im.Epoch{epoch}) }
	where := func(want string) {
		t.Helper()
		w.m.Forward(&entity.Message{To: im.User(2), Seq: 1})
		w.want(want + ": forward 1")
	}
	where("a")
	learn("b", 5)
	where("b")
	learn("a", 4)
	where("b")
	// The table knows less.
	w.place("a", "a", "b")
	where("b")
	// b has handed over: who is next says the table, until somebody has acquired it.
	w.links["b"].answer = ownedBy("b", 5)
	w.m.Submit(im.User(2), &im.Counters{}, w.outcome("counters"))
	w.want("b: *im.Counters", "a: *im.Counters", "counters: unspecified")
	where("a")
	w.m.Leave("a", []im.Slot{slot}, []im.Epoch{4})
	learn("b", 6)
	where("b")
	w.m.Leave("b", []im.Slot{slot}, []im.Epoch{6})
	where("a")
	learn("b", 7)
	where("b")
	// Of a node that is gone nothing counts.
	w.place("a", "a")
	where("a")
}

// What waits goes to the new owner as soon as that says so.
func TestWhoWaitsHears(t *testing.T) {
	w := newWorld(t)
	w.links["a"].answer = func(im.Command) (im.Result, error) { return nil, errMoved }
	w.m.Submit(im.User(1), &im.Counters{}, w.outcome("counters"))
	w.want("a: *im.Counters")
	w.m.Learn("b", []im.Slot{im.User(1).Slot()}, []im.Epoch{2})
	w.pass(0)
	w.want("b: *im.Counters", "counters: unspecified")
}

// Nodes that send a command back and forth do so only a few times.
func TestBackAndForth(t *testing.T) {
	w := newWorld(t)
	epoch := im.Epoch(1)
	for _, pair := range [][2]string{{"a", "b"}, {"b", "a"}} {
		w.links[pair[0]].answer = func(im.Command) (im.Result, error) {
			epoch++
			return ownedBy(pair[1], epoch)(nil)
		}
	}
	w.m.Submit(im.User(1), &im.Counters{}, w.outcome("counters"))
	if st := w.m.Stats(); st.Corrected != maxCorrections || st.Waiting != 1 {
		t.Errorf("%+v", st)
	}
}
