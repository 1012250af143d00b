package redis

import (
	"errors"
	"slices"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/storetest"
)

// TestAllReplicas: every replica must confirm, one that is away too; a server
// that was promoted has one too few until the old primary is back.
func TestAllReplicas(t *testing.T) {
	servers := cluster(t)
	opts := options(servers, AllReplicas)
	sure, hasty := inTwo(t, opts)
	ctx, a := t.Context(), im.User(1)
	epoch := eventually(t, servers, hasty, a)
	primary := primaryOf(t, servers, opts.Prefix, a)
	away := replicaOf(t, servers, primary)
	away.Pause()
	t.Cleanup(away.Resume)
	var lacks *ReplicaError
	if err := hasty.Commit(ctx, storetest.One(a, epoch, 1, "one away")); !errors.As(err, &lacks) || lacks.Confirmed > 1 || lacks.Wanted != 2 {
		t.Fatalf("commit: %v", err)
	}
	away.Resume()
	storetest.Acquire(t, sure, a)
	if got := storetest.Texts(t, sure, a); !slices.Equal(got, []string{"one away"}) {
		t.Fatalf("log %q", got)
	}
	primary.Kill()
	awaitPromotion(t, servers, primary)
	if _, err := hasty.Acquire(ctx, "test", []im.Slot{a.Slot()}); !errors.As(err, &lacks) || lacks.Wanted != 2 {
		t.Fatalf("acquire: %v", err)
	}
	healthy(t, servers)
	epoch = storetest.Acquire(t, sure, a)
	if err := sure.Commit(ctx, storetest.One(a, epoch, 2, "whole")); err != nil {
		t.Fatal(err)
	}
}

// TestReplicasThatJoin: a store that was opened before a replica was there finds
// out, and has it confirm.
func TestReplicasThatJoin(t *testing.T) {
	servers := cluster(t)
	opts := options(servers, AllReplicas)
	s := mustOpen(t, opts)
	s.topology.replicas.Store(1)
	s.topology.counted.Store(0)
	storetest.Acquire(t, s, im.User(1))
	if n := s.wanted(); n != 2 {
		t.Fatalf("%d replicas have to confirm", n)
	}
}

func TestMostReplicas(t *testing.T) {
	text := "aa 10.0.0.1:7000@17000,one.example myself,master - 0 0 1 connected 0-5460\n" +
		"bb :7001@17001 slave,fail aa 0 0 1 disconnected\n" +
		"cc ::1:7002@17002,,shard-id=x slave aa 0 0 1 connected\n" +
		"dd 10.0.0.1:7003@17003 slave ee 0 0 1 connected\n"
	if most, err := mostReplicas(text); most != 2 || err != nil {
		t.Fatalf("%d, %v", most, err)
	}
	if most, err := mostReplicas("aa 10.0.0.1:7000@17000 master - 0 0 1 connected 0-16383\n"); most != 0 || err != nil {
		t.Fatalf("%d, %v", most, err)
	}
	if _, err := mostReplicas("aa bb"); err == nil {
		t.Fatal("nonsense is read")
	}
}
