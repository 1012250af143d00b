package redis

import (
	"errors"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/storetest"
)

// TestReplicasAway: with one replica away commits go on; with both away they
// are not acknowledged, nothing can be acquired, and nothing is read that may
// be lost; when one is back, the owner must acquire the slot again.
func TestReplicasAway(t *testing.T) {
	servers := cluster(t)
	opts := options(servers, 1)
	sure, hasty := inTwo(t, opts)
	_, other := inTwo(t, opts)
	ctx, a := t.Context(), im.User(1)
	epoch := storetest.Acquire(t, sure, a)
	primary := primaryOf(t, servers, opts.Prefix, a)
	first := replicaOf(t, servers, primary)
	first.Pause()
	t.Cleanup(first.Resume)
	if err := sure.Commit(ctx, storetest.One(a, epoch, 1, "one away")); err != nil {
		t.Fatal(err)
	}
	epoch = eventually(t, servers, hasty, a)
	second := replicaOf(t, servers, primary)
	second.Pause()
	t.Cleanup(second.Resume)

	var away *ReplicaError
	if err := hasty.Commit(ctx, storetest.One(a, epoch, 2, "both away")); !errors.As(err, &away) || away.Confirmed != 0 || away.Addr != primary.Addr {
		t.Fatalf("commit: %v", err)
	}
	if err := hasty.Commit(ctx, storetest.One(a, epoch, 3, "after doubt")); err == nil || errors.As(err, new(*store.SlotError)) {
		t.Fatalf("commit after one whose fate is unknown: %v", err)
	}
	for name, s := range map[string]*Store{"owner": hasty, "other": other} {
		if _, err := s.ReadLog(ctx, a, 1, 10, 1000); !errors.As(err, &away) {
			t.Errorf("%s read what may be lost: %v", name, err)
		}
	}
	if _, err := hasty.Acquire(ctx, "test", []im.Slot{a.Slot()}); !errors.As(err, &away) {
		t.Fatalf("acquire: %v", err)
	}
	if n := hasty.Metrics().Unconfirmed; n < 3 {
		t.Errorf("%d times unconfirmed", n)
	}

	second.Resume()
	epoch = storetest.Acquire(t, sure, a)
	if got := storetest.Texts(t, sure, a); len(got) != 2 {
		t.Fatalf("log %q", got)
	}
	if err := sure.Commit(ctx, storetest.One(a, epoch, 3, "back")); err != nil {
		t.Fatal(err)
	}
}

// TestConfirmNeedsReplicas: a commit that changes nothing says that the slot
// has no newer owner, and so does not trust a server that is cut off from its
// replicas.
func TestConfirmNeedsReplicas(t *testing.T) {
	servers := cluster(t)
	opts := options(servers, 1)
	sure, hasty := inTwo(t, opts)
	ctx, a := t.Context(), im.User(1)
	nothing := func(epoch im.Epoch) *store.Batch {
		return &store.Batch{Changes: []store.Change{{Addr: a, Epoch: epoch}}}
	}
	if err := sure.Commit(ctx, nothing(storetest.Acquire(t, sure, a))); err != nil {
		t.Fatal(err)
	}
	b := nothing(eventually(t, servers, hasty, a))
	primary := primaryOf(t, servers, opts.Prefix, a)
	for range 2 {
		r := replicaOf(t, servers, primary)
		r.Pause()
		defer r.Resume()
	}
	if err := hasty.Commit(ctx, b); !errors.As(err, new(*ReplicaError)) {
		t.Fatalf("commit: %v", err)
	}
}

// TestLostEntry: an owner whose acknowledged entry is gone is not let append
// after the hole.
func TestLostEntry(t *testing.T) {
	servers := single(t)
	opts := options(servers, 0)
	s := mustOpen(t, opts)
	ctx, a := t.Context(), im.User(1)
	epoch := storetest.Acquire(t, s, a)
	for i, text := range []string{"a", "b"} {
		if err := s.Commit(ctx, storetest.One(a, epoch, im.Seq(i+1), text)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := servers.Servers[0].Do(ctx, "RPOP", s.keys.log(a)); err != nil {
		t.Fatal(err)
	}
	b := storetest.One(a, epoch, 3, "c")
	b.Changes[0].Put = []store.Record{{Key: "k", Value: []byte("v")}}
	err := s.Commit(ctx, b)
	if err == nil || errors.As(err, new(*store.SlotError)) || s.Metrics().Holes != 1 {
		t.Fatalf("commit after a hole: %v", err)
	}
	// The same commit twice is one too: the first may be there.
	epoch = storetest.Acquire(t, s, a)
	if err := s.Commit(ctx, storetest.One(a, epoch, 1, "a")); err == nil {
		t.Fatal("an entry was written twice")
	}
	storetest.Acquire(t, s, a)
	e, err := s.Load(ctx, a, func([]store.Record) im.Seq { return 0 })
	if err != nil || len(e.Records) != 0 || len(e.Tail) != 1 {
		t.Fatalf("after refused commits: %v, %v", e, err)
	}
}

// TestLostAcquisition: should a failover lose an acquisition, the next owner
// gets the same epoch, and yet the first cannot write.
func TestLostAcquisition(t *testing.T) {
	servers := single(t)
	opts := options(servers, 0)
	s, other := mustOpen(t, opts), mustOpen(t, opts)
	ctx, a := t.Context(), im.User(1)
	storetest.Acquire(t, s, a)
	m, err := servers.Servers[0].Do(ctx, "GET", s.keys.epoch(a.Slot()))
	if err != nil {
		t.Fatal(err)
	}
	before, _ := m.ToString()
	lost := storetest.Acquire(t, s, a)
	if _, err := servers.Servers[0].Do(ctx, "SET", s.keys.epoch(a.Slot()), before); err != nil {
		t.Fatal(err)
	}
	epoch := storetest.Acquire(t, other, a)
	if lost != epoch {
		t.Fatalf("epochs %d and %d; the test wants them to be the same", lost, epoch)
	}
	if err := s.Commit(ctx, storetest.One(a, lost, 1, "zombie")); !errors.As(err, new(*store.SlotError)) {
		t.Fatalf("commit of an owner whose acquisition was lost: %v", err)
	}
	if err := other.Commit(ctx, storetest.One(a, epoch, 1, "owner")); err != nil {
		t.Fatal(err)
	}
	if again := storetest.Acquire(t, s, a); again <= epoch {
		t.Fatalf("epoch %d after %d", again, epoch)
	}
}
