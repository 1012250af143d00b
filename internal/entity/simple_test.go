package entity

import (
	"testing"

	"github.com/skein-im/skein/internal/im"
)

func TestNames(t *testing.T) {
	a := newActor(t, im.NameAddr("Alice"))
	a.refuses(&im.LookupName{Name: "alice"}, im.NotFound)
	a.refuses(&im.BindName{Name: "a b", User: 7}, im.Invalid)
	want := im.NameInfo{Name: "Alice", User: 7, PasswordHash: "hash"}
	if got := a.must(&im.BindName{Name: "Alice", User: 7, PasswordHash: "hash"}); *got.(*im.NameInfo) != want {
		t.Fatalf("got %+v", got)
	}
	for range 2 {
		// The first binding holds, in any case of letters.
		for _, cmd := range []im.Command{
			&im.LookupName{Name: "aLICE"}, &im.BindName{Name: "ALICE", User: 8}, &im.BindName{Name: "Alice", User: 7, PasswordHash: "other"},
		} {
			if got := a.must(cmd); *got.(*im.NameInfo) != want {
				t.Fatalf("%+v: got %+v", cmd, got)
			}
		}
		// Another name whose hash is the same has its own binding.
		a.refuses(&im.LookupName{Name: "bob"}, im.NotFound)
		a.restart()
	}
	a.must(&im.BindName{Name: "bob", User: 9})
	a.restart()
	if got := a.must(&im.LookupName{Name: "bob"}); got.(*im.NameInfo).User != 9 {
		t.Fatalf("got %+v", got)
	}
	if got := a.must(&im.LookupName{Name: "alice"}); *got.(*im.NameInfo) != want {
		t.Fatalf("got %+v", got)
	}
	a.refuses(&im.Counters{}, im.Unimplemented)
}

// What a caller does with an answer does not change the table.
func TestNameAnswersAreCopies(t *testing.T) {
	a := newActor(t, im.NameAddr("alice"))
	for _, cmd := range []im.Command{&im.BindName{Name: "alice", User: 7}, &im.LookupName{Name: "alice"}, &im.BindName{Name: "alice", User: 8}} {
		a.must(cmd).(*im.NameInfo).User = 99
	}
	if got := a.must(&im.LookupName{Name: "alice"}); got.(*im.NameInfo).User != 7 {
		t.Fatalf("got %+v", got)
	}
}

func TestAllocator(t *testing.T) {
	a := newActor(t, im.AllocatorAddr)
	next := im.FirstRegisteredUser
	for _, n := range []uint32{1, 5, maxBlock, 1} {
		got := a.must(&im.AllocateUsers{Count: n}).(*im.Allocated)
		if got.First != next || got.Count != n {
			t.Fatalf("got %+v, want first %d", got, next)
		}
		next += im.UserID(n)
		a.restart()
	}
	a.refuses(&im.AllocateUsers{}, im.Invalid)
	a.refuses(&im.AllocateUsers{Count: maxBlock + 1}, im.Invalid)
	a.ent.(*allocator).next = maxUserID - 10
	a.refuses(&im.AllocateUsers{Count: 11}, im.TooLarge)
	if got := a.must(&im.AllocateUsers{Count: 10}).(*im.Allocated); got.First != maxUserID-10 {
		t.Fatalf("got %+v", got)
	}
	a.refuses(&im.AllocateUsers{Count: 1}, im.TooLarge)
	a.refuses(&im.LookupName{}, im.Unimplemented)
}

// What a store has given out whose end is lost is not given out again.
func TestAllocatorLosesEnd(t *testing.T) {
	a := newActor(t, im.AllocatorAddr)
	next := func() im.UserID {
		first := a.must(&im.AllocateUsers{Count: 10}).(*im.Allocated).First
		a.restart()
		return first
	}
	next()
	copied := a.copied()
	lost := next()
	a.goOn(copied, 70)
	if first := next(); first < lost+10 {
		t.Errorf("%d is given out after %d", first, lost)
	} else if second := next(); second != first+10 {
		t.Errorf("%d is given out after %d", second, first)
	}
}

// Entities without a log have none to replay, and no use for messages.
func TestRecordsOnly(t *testing.T) {
	for _, addr := range []im.Addr{im.AllocatorAddr, im.NameAddr("x")} {
		a := newActor(t, addr)
		if err := a.ent.Replay(im.LogEntry{Seq: 1}); err == nil {
			t.Fatalf("%v replays an entry", addr)
		}
		a.receive(&Message{From: im.User(1), To: addr, Seq: 1})
		a.call(a.ent.Timer)
		a.snapshot()
		if len(a.out)+len(a.records) > 0 || a.ent.Status() != (Status{}) {
			t.Fatalf("%v has done something", addr)
		}
		if _, err := a.ent.Restore([]im.Record{{Key: "x", Value: []byte{0xff}}}); im.KindOf(err) != im.Internal {
			t.Fatalf("%v reads a damaged record: %v", addr, err)
		}
	}
}

func TestNew(t *testing.T) {
	for k := range im.Kind(10) {
		_, err := New(im.Addr{Kind: k, ID: 1})
		if (err == nil) != Exists(k) {
			t.Errorf("kind %v: %v, exists %v", k, err, Exists(k))
		}
	}
}
