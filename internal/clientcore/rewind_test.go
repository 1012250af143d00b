package clientcore

import (
	"testing"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

func ptr[T any](v T) *T { return &v }

// hello is what the core says first.
func hello(t *testing.T, c *Core[string]) *skeinv1.Hello {
	t.Helper()
	b, err := c.AppendHello(nil, &skeinv1.Hello{})
	if err != nil {
		t.Fatal(err)
	}
	_, payload, _, err := wire.Parse(b, 1<<20)
	m := new(skeinv1.Hello)
	if err == nil {
		err = wire.UnmarshalMessage(payload, m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A server that has lost what had come says how far it goes, and what follows is
// new.
func TestServerLosesItsEnd(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{Head: 5, Generation: ptr(im.Generation(0))})
	deliver(t, c, 1, 2, 3, 4, 5)
	c.Taken(4)
	c.Disconnected()
	if m := hello(t, c); m.GetCursor() != 4 || m.Generation == nil || m.GetGeneration() != 0 {
		t.Fatalf("hello says %v", m)
	}
	if lost := c.Welcome(Welcome{User: self, Head: 3, Cursor: 3, Generation: ptr(im.Generation(70)), Kept: ptr(im.Seq(3))}); lost != 2 {
		t.Fatalf("%d entries are lost", lost)
	}
	wantSeqs(t, deliver(t, c, 4, 5, 6), 4, 5, 6)
	if cursor, _ := c.Cursor(); cursor != 3 || c.Head() != 6 || c.Received() != 6 {
		t.Fatalf("taken %d, received %d of %d", cursor, c.Received(), c.Head())
	}
	want(t, written(t, c))
	c.Taken(6)
	want(t, describe(t, c.AppendAck(nil)), "ack 6")
	st := c.Export()
	if st.Generation == nil || *st.Generation != 70 {
		t.Fatalf("the state is %+v", st)
	}
	if m := hello(t, New[string](Config{}, st)); m.GetGeneration() != 70 {
		t.Fatalf("hello after a restart says %v", m)
	}
}

// A device that has nothing of what was lost goes on, with what waits for its
// application.
func TestServerLosesWhatHasNotCome(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{Head: 9, Generation: ptr(im.Generation(0))})
	deliver(t, c, 1, 2, 3)
	c.Taken(1)
	c.Disconnected()
	if lost := c.Welcome(Welcome{User: self, Head: 5, Cursor: 1, Generation: ptr(im.Generation(70)), Kept: ptr(im.Seq(5))}); lost != 0 {
		t.Fatalf("%d entries are lost", lost)
	}
	wantSeqs(t, deliver(t, c, 2, 3, 4, 5), 4, 5)
	if c.Head() != 5 {
		t.Fatalf("the timeline ends with %d", c.Head())
	}
}

// What the application does not get is lost likewise.
func TestServerLosesEntriesThatShowNothing(t *testing.T) {
	c := connected(t, Config{}, State{}, Welcome{Head: 9, Generation: ptr(im.Generation(0))})
	deliver(t, c, 1)
	mustSend(t, c, "a", "b", "c")
	written(t, c)
	for n := range 3 {
		answer(t, c, wire.SendAck{ClientSeq: im.ClientSeq(n + 1), Seq: im.Seq(n + 2), InTimeline: true})
	}
	c.Disconnected()
	if lost := c.Welcome(Welcome{User: self, Head: 3, Cursor: 0, ClientSeq: 2, Generation: ptr(im.Generation(70)), Kept: ptr(im.Seq(3))}); lost != 1 {
		t.Fatalf("%d entries are lost", lost)
	}
	deliver(t, c, 4)
	c.Taken(1)
	if cursor, _ := c.Cursor(); cursor != 3 {
		t.Fatalf("taken %d", cursor)
	}
	mustSend(t, c, "d")
	want(t, written(t, c), "3:d")
}
