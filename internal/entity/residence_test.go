package entity

import (
	"slices"
	"testing"

	"github.com/skein-im/skein/internal/im"
)

// carried moves what a user has at one actor to another, as a relay would.
func carried(t *testing.T, from, to *actor, version uint64) {
	t.Helper()
	arrival := to.must(&im.Arrive{From: "east", Version: version, First: 1}).(*im.Arrival)
	left := from.must(&im.Depart{To: "west", Version: version}).(*im.Departure)
	for seq := arrival.Next; seq <= left.Head; seq++ {
		to.must(&im.ImportLog{Version: version, First: seq, Entries: [][]byte{from.log[seq-1]}})
	}
	count := uint32(0)
	for _, key := range slices.Sorted(keysOf(from.records)) {
		if !StaysBehind(key) {
			to.must(&im.ImportRecords{Version: version, Records: []im.Record{{Key: key, Value: from.records[key]}}})
			count++
		}
	}
	if a := to.must(&im.Inhabit{Version: version, Head: left.Head, Records: count}).(*im.Arrival); !a.Settled {
		t.Fatalf("%+v", a)
	}
	from.must(&im.Depose{Version: version})
}

func keysOf(m map[string][]byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// A user who moves has the same log, links and devices there, and what was not
// acknowledged is sent from there.
func TestMove(t *testing.T) {
	here := newUserActor(t, 1, 2)
	there := newActor(t, im.User(1))
	sent := here.must(&im.Send{To: 2, Device: 1, ClientSeq: 1, Content: text("hello")}).(*im.Sent)
	here.out = nil
	carried(t, here, there, 2)

	if len(here.records) != 1 || here.records[residenceKey] == nil || here.pending {
		t.Errorf("what is left: %v, pending %v", here.records, here.pending)
	}
	again := there.must(&im.Send{To: 2, Device: 1, ClientSeq: 1, Content: text("hello")}).(*im.Sent)
	if *again != *sent {
		t.Errorf("the repeated send is answered %+v, at first %+v", again, sent)
	}
	if !there.pending {
		t.Error("nobody would wake the user to send what it owes")
	}
	there.restart()
	there.now += 60_000
	there.call(func(tx *Tx) { there.ent.Timer(tx) })
	if len(there.reads) != 1 || there.reads[0].Peer != im.User(2) {
		t.Fatalf("what is sent again: %+v", there.reads)
	}
}

// Between departure and the end nothing changes at the source, and nothing is
// acknowledged; after it, everybody is told where the user is.
func TestNothingHappensToWhoIsAway(t *testing.T) {
	u := newUserActor(t, 1, 2)
	u.must(&im.Depart{To: "west", Version: 2})
	u.out = nil
	before := len(u.log)
	incoming := &Message{From: im.User(2), To: im.User(1), Seq: 1, Body: Body{Kind: BodyMessage, PairID: 1, Content: text("hi")}}
	for _, state := range []string{"just now", "after a restart"} {
		if _, err := u.do(&im.Send{To: 2, Device: 1, ClientSeq: 1, Content: text("x")}); im.KindOf(err) != im.Unavailable {
			t.Errorf("%s a send is answered %v", state, err)
		}
		u.call(func(tx *Tx) { u.ent.Receive(tx, incoming) })
		if len(u.out) != 0 || len(u.log) != before {
			t.Errorf("%s: %d messages out, %d entries", state, len(u.out), len(u.log)-before)
		}
		u.restart()
	}
	u.now += 60_000
	u.call(func(tx *Tx) { u.ent.Timer(tx) })
	if len(u.out) != 1 || u.out[0].Body.Kind != BodyLeaving || u.out[0].Body.Home() != (im.Home{Region: "west", Version: 2}) {
		t.Fatalf("it does not ask to be carried on: %+v", u.out)
	}
	u.out = nil
	u.must(&im.Depose{Version: 2})
	u.restart()
	_, err := u.do(&im.ListDevices{})
	if e := im.AsError(err); e.Kind != im.Moved || e.At.Home != (im.Home{Region: "west", Version: 2}) {
		t.Errorf("a command is answered %v", err)
	}
	u.call(func(tx *Tx) { u.ent.Receive(tx, incoming) })
	if len(u.out) != 1 || u.out[0].Body.Kind != BodyMoved || u.out[0].To != im.User(2) {
		t.Errorf("the sender is told %+v", u.out)
	}
}

// Who is to arrive, and perhaps never does, is where they were until then.
func TestWhoIsToArriveIsElsewhere(t *testing.T) {
	u := newActor(t, im.User(1))
	u.must(&im.Arrive{From: "east", Version: 3, First: 1})
	u.restart()
	u.call(func(tx *Tx) {
		u.ent.Receive(tx, &Message{From: im.User(2), To: im.User(1), Seq: 1, Body: Body{Kind: BodyMessage, PairID: 1, Content: text("hi")}})
	})
	if len(u.out) != 1 || u.out[0].Body.Kind != BodyMoved || u.out[0].Body.Home() != (im.Home{Region: "east", Version: 2}) {
		t.Fatalf("the sender is told %+v", u.out)
	}
}

// Steps that come late, or for another move, are refused.
func TestMovesThatDoNotFit(t *testing.T) {
	u := newUserActor(t, 1, 2)
	refused := func(what string, kind im.ErrorKind, cmd im.Command) {
		t.Helper()
		if _, err := u.do(cmd); im.KindOf(err) != kind {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("deposing who has not departed", im.Conflict, &im.Depose{Version: 2})
	refused("arriving where one lives", im.Conflict, &im.Arrive{From: "west", Version: 2})
	refused("importing into who lives here", im.Conflict, &im.ImportLog{Version: 2, First: 1})
	u.must(&im.Depart{To: "west", Version: 2})
	refused("departing twice", im.Conflict, &im.Depart{To: "north", Version: 2})
	u.must(&im.Depart{To: "west", Version: 2})
	u.must(&im.Depose{Version: 2})
	refused("departing when gone", im.Moved, &im.Depart{To: "west", Version: 3})
	refused("coming back with an old version", im.Stale, &im.Arrive{From: "west", Version: 2})
	u.must(&im.Arrive{From: "west", Version: 3})
	refused("inhabiting without what was there", im.Conflict, &im.Inhabit{Version: 3, Head: 5, Records: 3})
	refused("records of another kind", im.Invalid, &im.ImportRecords{Version: 3, Records: []im.Record{{Key: residenceKey}}})
	ghost := newActor(t, im.User(9))
	if _, err := ghost.do(&im.Depart{To: "west", Version: 2}); im.KindOf(err) != im.NotFound {
		t.Errorf("nobody departs: %v", err)
	}
}

// A home goes forward only.
func TestHome(t *testing.T) {
	h := newActor(t, im.HomeAddr(5))
	if _, err := h.do(&im.GetHome{}); im.KindOf(err) != im.NotFound {
		t.Errorf("an unknown home: %v", err)
	}
	h.must(&im.SetHome{Home: im.Home{Region: "east", Version: 2}})
	h.restart()
	if got := *h.must(&im.SetHome{Home: im.Home{Region: "west", Version: 2}}).(*im.Home); got.Region != "east" {
		t.Errorf("%+v", got)
	}
	if got := *h.must(&im.SetHome{Home: im.Home{Region: "west", Version: 1}}).(*im.Home); got.Version != 2 {
		t.Errorf("%+v", got)
	}
	if _, err := h.do(&im.SetHome{Home: im.Home{Region: "a b", Version: 3}}); im.KindOf(err) != im.Invalid {
		t.Errorf("a region with a space: %v", err)
	}
}

// One who is nudged sends again at once.
func TestNudge(t *testing.T) {
	u := newUserActor(t, 1, 2)
	u.must(&im.Send{To: 2, Device: 1, ClientSeq: 1, Content: text("hello")})
	u.call(func(tx *Tx) {
		u.ent.Receive(tx, &Message{From: im.User(2), To: im.User(1), Body: Body{Kind: BodyNudge}})
	})
	if len(u.reads) != 1 || u.reads[0].Peer != im.User(2) || !slices.Equal(u.reads[0].Seqs, []im.Seq{1}) {
		t.Errorf("it reads %+v", u.reads)
	}
}
