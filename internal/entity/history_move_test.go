package entity

import (
	"testing"

	"github.com/skein-im/skein/internal/im"
)

// carry brings log entries from one region to another, and returns which one the
// other wants next.
func carry(from, to *actor, version uint64, first, last im.Seq) im.Seq {
	from.t.Helper()
	piece := &im.ImportLog{Version: version, First: first, Entries: from.log[first-1 : last]}
	return to.must(piece).(*im.Arrival).Next
}

// settle ends a move: the user lives at to from then on.
func settle(from, to *actor, version uint64, next im.Seq) {
	from.t.Helper()
	from.must(&im.Depart{To: "there", Version: version})
	head := im.Seq(len(from.log))
	if next <= head {
		carry(from, to, version, next, head)
	}
	records := &im.ImportRecords{Version: version}
	for key, value := range from.records {
		if !StaysBehind(key) {
			records.Records = append(records.Records, im.Record{Key: key, Value: value})
		}
	}
	to.must(records)
	to.must(&im.Inhabit{Version: version, Head: head, Records: uint32(len(records.Records))})
	from.must(&im.Depose{Version: version})
}

// A user whose log has lost its beginning moves, while more of it is let go of,
// and comes back to a region that has kept less than is missing.
func TestTrimmedLogMoves(t *testing.T) {
	west := retained(t, Retention{Entries: 10})
	west.write(30, 0)
	east := newActor(t, im.User(1))
	east.retain = west.retain
	if next := east.must(&im.Arrive{From: "west", Version: 2, First: 21}).(*im.Arrival).Next; next != 21 {
		t.Fatalf("entry %d is wanted", next)
	}
	if next := carry(west, east, 2, 21, 24); next != 25 {
		t.Fatalf("entry %d is wanted", next)
	}
	west.write(30, 0)
	west.expectTrimmed(50)
	east.restart()
	if next := carry(west, east, 2, 51, 55); next != 56 {
		t.Fatalf("entry %d is wanted", next)
	}
	east.restart()
	settle(west, east, 2, 56)
	east.expectTrimmed(50)
	east.write(30, 0)
	east.restart()
	east.expectTrimmed(80)
	west.restart()
	if next := west.must(&im.Arrive{From: "east", Version: 3, First: 81}).(*im.Arrival).Next; next != 81 {
		t.Fatalf("entry %d is wanted", next)
	}
	settle(east, west, 3, 81)
	west.write(3, 0)
	west.restart()
	west.expectTrimmed(83)
}
