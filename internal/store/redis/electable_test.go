package redis

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/store/redis/redistest"
	"github.com/skein-im/skein/internal/store/storetest"
)

const (
	tableOthers = "ee 10.0.0.1:7004@17004 master - 0 0 3 connected 5461-16383\n" +
		"ff 10.0.0.1:7005@17005 slave ee 0 0 3 connected\n" +
		"gg 10.0.0.1:7006@17006 slave ee 0 0 3 connected\n"
	tableSelf = "bb 10.0.0.1:7001@17001,,shard-id=x myself,master - 0 0 7 connected 0-5460\n"
	tableNext = "cc 10.0.0.1:7002@17002 slave bb 0 0 7 connected\n"
	tableDead = "aa 10.0.0.1:7000@17000 master,fail - 0 0 1 disconnected\n"

	infoHead = "# Replication\r\nrole:master\r\nconnected_slaves:1\r\nmaster_repl_offset:500\r\n"
	infoNext = "slave0:ip=10.0.0.1,port=7002,state=online,offset=500,lag=0\r\n"
)

// view is what a primary has said.
func view(t *testing.T, info, table string) *following {
	t.Helper()
	v := &following{acked: map[string]int64{}}
	if err := errors.Join(v.readInfo(info), v.readTable(table)); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWhoMustConfirm(t *testing.T) {
	for name, c := range map[string]struct {
		info, table string
		confirmed   bool
	}{
		"the former primary is dead":    {infoHead + infoNext, tableSelf + tableNext + tableDead + tableOthers, true},
		"the other replica lags behind": {infoHead + "slave0:ip=10.0.0.1,port=7002,state=online,offset=499,lag=1\r\n", tableSelf + tableNext + tableDead + tableOthers, false},
		"it is being copied to":         {infoHead + "slave0:ip=10.0.0.1,port=7002,state=wait_bgsave,offset=0,lag=0\r\n", tableSelf + tableNext + tableDead + tableOthers, false},
		"it is away":                    {infoHead, tableSelf + tableNext + tableDead + tableOthers, false},
		"the former primary only is connected, before the table knows": {
			infoHead + "slave0:ip=10.0.0.1,port=7000,state=online,offset=500,lag=0\r\n", tableSelf + tableNext + tableDead + tableOthers, false},
		"the former primary is connected, and behind": {
			infoHead + infoNext + "slave1:ip=10.0.0.1,port=7000,state=online,offset=7,lag=0\r\n", tableSelf + tableNext + tableDead + tableOthers, false},
		"the former primary is a replica, and not connected": {
			infoHead + infoNext, tableSelf + tableNext + "aa 10.0.0.1:7000@17000 slave bb 0 0 7 connected\n" + tableOthers, false},
		"the other replica still follows the dead one": {
			infoHead, tableSelf + "cc 10.0.0.1:7002@17002 slave aa 0 0 1 connected\n" + tableDead + tableOthers, false},
		"it does so by way of one that is no primary any more": {
			infoHead + "slave0:ip=10.0.0.1,port=7000,state=online,offset=500,lag=0\r\n",
			tableSelf + "cc 10.0.0.1:7002@17002 slave aa 0 0 1 connected\naa 10.0.0.1:7000@17000 slave bb 0 0 7 connected\n" + tableOthers, false},
		"a replica is dead":                         {infoHead + infoNext, tableSelf + tableNext + "dd 10.0.0.1:7003@17003 slave,fail bb 0 0 7 disconnected\n" + tableOthers, false},
		"a replica is missing in the table":         {infoHead + infoNext, tableSelf + tableNext + tableOthers, false},
		"the former primary is back, without slots": {infoHead + infoNext, tableSelf + tableNext + "aa 10.0.0.1:7000@17000 master - 0 0 1 connected\n" + tableOthers, false},
		"all are there, while another primary's replicas look for theirs": {
			infoHead + infoNext + "slave1:ip=10.0.0.1,port=7003,state=online,offset=500,lag=0\r\n",
			tableSelf + tableNext + "dd 10.0.0.1:7003@17003 slave bb 0 0 7 connected\n" +
				tableDead + "hh 10.0.0.1:7007@17007 slave aa 0 0 1 connected\n" + tableOthers, true},
		"it is no primary any more": {"role:slave\r\nmaster_repl_offset:500\r\n" + infoNext, tableSelf + tableNext + tableDead + tableOthers, false},
	} {
		if ok := view(t, c.info, c.table).confirmed(500, 2); ok != c.confirmed {
			t.Errorf("%s: confirmed %v", name, ok)
		}
	}
	for _, bad := range []string{"master_repl_offset:x", "slave0:ip=1.2.3.4,state=online"} {
		if err := (&following{acked: map[string]int64{}}).readInfo(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
	if err := (&following{}).readTable("aa bb"); err == nil {
		t.Error("nonsense is read")
	}
}

// TestHeirs: in a whole cluster nobody but its replicas are the heirs of a primary. Servers list
// themselves in any order, so which of them is read wrongly depends on their names:
// the first word of each table is looked at as well.
func TestHeirs(t *testing.T) {
	servers := cluster(t)
	healthy(t, servers)
	s := mustOpen(t, options(servers, ElectableReplicas))
	known := map[string]bool{}
	for _, server := range servers.Servers {
		known[server.ID] = true
	}
	for _, n := range s.topology.primaries() {
		table, err := report(n.do(t.Context(), "CLUSTER", "NODES"))
		if err != nil {
			t.Fatal(err)
		}
		if id, _, _ := strings.Cut(table, " "); !known[id] {
			t.Errorf("%s: the first server is %q", n.addr, id)
		}
		v, err := n.following(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// The table may not know all replicas yet that are connected.
		if replicas := slices.Collect(maps.Keys(v.acked)); slices.ContainsFunc(v.heirs, func(addr string) bool {
			return !slices.Contains(replicas, addr)
		}) {
			t.Errorf("%s: heirs %v, but the replicas are %v", n.addr, v.heirs, replicas)
		}
	}
}

// TestElectable: commits go on without the primary that died, but not without a
// replica, which might be promoted.
func TestElectable(t *testing.T) {
	servers := cluster(t)
	opts := options(servers, ElectableReplicas)
	sure, hasty := inTwo(t, opts)
	a := im.User(1)
	epoch := eventually(t, servers, hasty, a)
	primary := primaryOf(t, servers, opts.Prefix, a)
	away := replicaOf(t, servers, primary)
	away.Pause()
	t.Cleanup(away.Resume)
	var lacks *ReplicaError
	if err := hasty.Commit(t.Context(), storetest.One(a, epoch, 1, "one away")); !errors.As(err, &lacks) {
		t.Fatalf("commit without a replica: %v", err)
	}
	away.Resume()
	storetest.Acquire(t, sure, a)
	primary.Kill()
	awaitPromotion(t, servers, primary)
	epoch = storetest.Acquire(t, sure, a)
	if err := sure.Commit(t.Context(), storetest.One(a, epoch, 2, "without the dead one")); err != nil {
		t.Fatal(err)
	}
	epoch = eventually(t, servers, hasty, a)
	promoted := primaryOf(t, servers, opts.Prefix, a)
	last := replicaOf(t, servers, promoted)
	last.Pause()
	t.Cleanup(last.Resume)
	if err := hasty.Commit(t.Context(), storetest.One(a, epoch, 3, "alone")); !errors.As(err, &lacks) {
		t.Fatalf("commit to the last server: %v", err)
	}
	last.Resume()
	healthy(t, servers)
	epoch = storetest.Acquire(t, sure, a)
	if got := storetest.Texts(t, sure, a); len(got) != 3 {
		t.Fatalf("log %q", got)
	}
	if err := sure.Commit(t.Context(), storetest.One(a, epoch, 4, "whole")); err != nil {
		t.Fatal(err)
	}
}

// TestElectableNeedsElections: where a server with old data may be promoted, it is
// not enough that those confirm that could be otherwise.
func TestElectableNeedsElections(t *testing.T) {
	servers := cluster(t)
	set := func(factor string) {
		t.Helper()
		if _, err := servers.Servers[7].Do(context.Background(), "CONFIG", "SET", "cluster-replica-validity-factor", factor); err != nil {
			t.Fatal(err)
		}
	}
	set("0")
	defer set("10")
	if s, err := Open(t.Context(), options(servers, ElectableReplicas)); err == nil {
		s.Close()
		t.Error("the store was opened")
	}
	mustOpen(t, options(servers, AllReplicas))
}

// eventually acquires a slot as soon as the replicas of a server that was promoted
// follow it.
func eventually(t *testing.T, servers *redistest.Cluster, s *Store, a im.Addr) im.Epoch {
	t.Helper()
	ctx := patience.Context(t)
	for {
		epochs, err := s.Acquire(ctx, "test", []im.Slot{a.Slot()})
		if err == nil {
			return epochs[0]
		}
		if !errors.As(err, new(*ReplicaError)) || ctx.Err() != nil {
			t.Fatalf("%v\n%s", err, servers.Describe(t.Context()))
		}
	}
}

// TestElectableConfirm kills primaries right after one another, with a replica that
// is behind each time, and starts the dead ones again when commits have gone on
// without them.
func TestElectableConfirm(t *testing.T) {
	for trial := range trials() {
		servers := cluster(t)
		opts := options(servers, ElectableReplicas)
		c := startChat(t, opts, 3, 8)
		c.Await(50)
		victim := primaryOf(t, servers, opts.Prefix, c.Chatters[0].Addrs[0])
		behind := replicaOf(t, servers, victim)
		behind.Pause()
		awaitUnconfirmed(t, c)
		killed := time.Now()
		victim.Kill()
		behind.Resume()
		awaitPromotion(t, servers, victim)
		promoted := time.Since(killed)
		c.Await(20) // without the dead one
		without := time.Since(killed)
		var second *redistest.Server
		if trial%2 == 1 {
			// The next one dies while the first comes back.
			second = primaryOf(t, servers, opts.Prefix, c.Chatters[0].Addrs[0])
			if err := victim.Restart(); err != nil {
				t.Fatal(err)
			}
			second.Kill()
		}
		healthy(t, servers)
		c.Await(20)
		t.Logf("trial %d, two killed %v: %v, promotion after %v, commits of all after %v",
			trial, second != nil, c.End(), promoted.Round(time.Millisecond), without.Round(time.Millisecond))
	}
}
