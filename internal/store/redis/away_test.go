package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/redis/redistest"
	"github.com/skein-im/skein/internal/store/storetest"
)

// partCluster is three primaries without replicas, which go on without one of them,
// and the one that has neither the members nor user 1.
func partCluster(t *testing.T) (servers *redistest.Cluster, spare *redistest.Server) {
	t.Helper()
	single(t) // or skip
	servers, err := redistest.StartCluster(3, 0, append(redistest.ClusterSettings(), "--cluster-require-full-coverage", "no")...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Stop(); err != nil {
			t.Error(err)
		}
	})
	return servers, spareOf(t, servers)
}

// spareOf is a primary that has neither the members nor user 1.
func spareOf(t *testing.T, servers *redistest.Cluster) *redistest.Server {
	t.Helper()
	owner := func(place uint16) *redistest.Server {
		s, err := servers.Owner(t.Context(), place)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	members, user := owner(place(membersTag)), owner(newKeyspace("").places[im.User(1).Slot()])
	for slot := uint16(0); slot < redisSlots; slot += redisSlots / 8 {
		if s := owner(slot); s != members && s != user {
			return s
		}
	}
	t.Fatal("every primary is needed")
	return nil
}

// logged collects what is logged.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take returns what was logged since the last time.
func (l *logged) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// slotAt is a slot that a server has.
func slotAt(t *testing.T, s *Store, addr string) im.Slot {
	t.Helper()
	for slot := range im.Slot(im.Slots) {
		if s.Place(slot) == addr {
			return slot
		}
	}
	t.Fatalf("no slot is at %s", addr)
	return 0
}

// TestServerAway: a store opens while one of the servers is away, serves what the
// others have, and looks at that one's settings before anything is acknowledged
// over it.
func TestServerAway(t *testing.T) {
	var out logged
	servers, victim := partCluster(t)
	opts := impatient(Options{Addresses: servers.Addrs(), Logger: slog.New(slog.NewTextHandler(&out, nil))})
	makeUnfit(t, victim)
	victim.Pause()
	s := mustOpen(t, opts)
	if got := out.take(); !strings.Contains(got, victim.Addr) || !strings.Contains(got, "could not be looked at") {
		t.Errorf("the log does not say who is away: %q", got)
	}
	commitTo(t, s, im.User(1))
	away := slotAt(t, s, victim.Addr)
	acquire := func() error {
		_, err := s.Acquire(t.Context(), "test", []im.Slot{away})
		return err
	}
	if err := acquire(); err == nil || !strings.Contains(err.Error(), victim.Addr) {
		t.Errorf("a slot of the server that is away: %v", err)
	}
	if err := acquire(); err == nil || !strings.Contains(err.Error(), "has been away") {
		t.Errorf("somebody who comes later waits as well: %v", err)
	}
	victim.Resume()
	awaitAcquire(t, s, away, func(err error) bool { return strings.Contains(fmt.Sprint(err), "noeviction") })
	if got := out.take(); strings.Count(got, "allkeys-lru") != 1 {
		t.Errorf("the log does not say once what is wrong: %q", got)
	}
	if _, err := victim.Do(t.Context(), "CONFIG", "SET", "maxmemory-policy", "noeviction"); err != nil {
		t.Fatal(err)
	}
	if err := acquire(); err != nil {
		t.Errorf("a server that is mended: %v", err)
	}
	if got := out.take(); !strings.Contains(got, "appendfsync is everysec") || !strings.Contains(got, "is used from now on") {
		t.Errorf("the log does not say what is at risk: %q", got)
	}
	forgotten(t, servers, victim, opts)
}

// impatient are options for servers that do not answer soon.
func impatient(o Options) Options {
	o.DialTimeout, o.ReplyTimeout, o.ReplicaTimeout, o.Timeout = 300*time.Millisecond, time.Second, time.Second, time.Second
	return o
}

// makeUnfit gives a server settings that are not good enough.
func makeUnfit(t *testing.T, s *redistest.Server) {
	t.Helper()
	for _, set := range [][]string{{"maxmemory", "100mb"}, {"maxmemory-policy", "allkeys-lru"}, {"appendfsync", "everysec"}} {
		if _, err := s.Do(t.Context(), "CONFIG", "SET", set[0], set[1]); err != nil {
			t.Fatal(err)
		}
	}
}

// commitTo acquires an entity's slot and appends to its log.
func commitTo(t *testing.T, s *Store, a im.Addr) {
	t.Helper()
	awaitAcquire(t, s, a.Slot(), func(err error) bool { return err == nil })
	if err := s.Commit(t.Context(), storetest.One(a, storetest.Acquire(t, s, a), im.Seq(len(storetest.Texts(t, s, a))+1), "x")); err != nil {
		t.Error(err)
	}
}

// forgotten: the same where the cluster has been told to forget the server, so that
// nobody has its slots.
func forgotten(t *testing.T, servers *redistest.Cluster, victim *redistest.Server, opts Options) {
	t.Helper()
	victim.Kill()
	var there []string
	for _, srv := range servers.Servers {
		if srv == victim {
			continue
		}
		there = append(there, srv.Addr)
		if _, err := srv.Do(t.Context(), "CLUSTER", "FORGET", victim.ID); err != nil {
			t.Fatal(err)
		}
	}
	opts.Addresses = there
	s := mustOpen(t, opts)
	commitTo(t, s, im.User(1))
	parts := store.ByPlace(s, store.AllSlots())
	if len(parts) != 3 || len(parts[nobody]) < im.Slots/4 {
		t.Fatalf("slots are at %d places, %d at none", len(parts), len(parts[nobody]))
	}
	if _, err := s.Owners(t.Context(), parts[nobody][:1]); err == nil || !strings.Contains(err.Error(), nobody) {
		t.Errorf("a slot that no server has: %v", err)
	}
}

// TestNobodyThere: where no server answers that is needed, the error says that
// waiting may help.
func TestNobodyThere(t *testing.T) {
	srv := server(t)
	opts := impatient(Options{Addresses: []string{srv.Addr}, Logger: quiet()})
	open := func() error {
		s, err := Open(t.Context(), opts)
		if err == nil {
			_ = s.Close()
		}
		return err
	}
	srv.Pause()
	if err := open(); !errors.Is(err, store.ErrAway) {
		t.Errorf("a server that hangs: %v", err)
	}
	srv.Resume()
	opts.Replicas = 1
	if err := open(); !errors.Is(err, store.ErrAway) {
		t.Errorf("a server without replicas: %v", err)
	}
	opts.Replicas, opts.Username, opts.Password = 0, "nobody", "wrong"
	if err := open(); err == nil || errors.Is(err, store.ErrAway) {
		t.Errorf("a wrong password: %v", err)
	}
	opts.Username, opts.Password = "", ""
	srv.Kill()
	if err := open(); !errors.Is(err, store.ErrAway) {
		t.Errorf("a server that is dead: %v", err)
	}
}

// TestElectionsLater: a server that could be promoted with old data, and was away
// when the store was opened, is found when it is back.
func TestElectionsLater(t *testing.T) {
	servers := cluster(t)
	replica := replicaOf(t, servers, spareOf(t, servers))
	set := func(factor string) {
		t.Helper()
		if _, err := replica.Do(context.Background(), "CONFIG", "SET", "cluster-replica-validity-factor", factor); err != nil {
			t.Fatal(err)
		}
	}
	set("0")
	defer set("10")
	opts := impatient(options(servers, ElectableReplicas))
	replica.Pause()
	defer replica.Resume()
	s := mustOpen(t, opts)
	replica.Resume()
	awaitAcquire(t, s, im.User(1).Slot(), func(err error) bool { return err != nil && strings.Contains(err.Error(), "validity-factor") })
	set("10")
	awaitAcquire(t, s, im.User(1).Slot(), func(err error) bool { return err == nil })
}

// awaitAcquire acquires a slot until that ends in a certain way.
func awaitAcquire(t *testing.T, s *Store, slot im.Slot, enough func(error) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := s.Acquire(ctx, "test", []im.Slot{slot})
		if enough(err) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("acquire still ends with %v", err)
		}
	}
}

// TestStartedAgainUnfit: a server that is started again with other settings is looked
// at again.
func TestStartedAgainUnfit(t *testing.T) {
	srv := server(t)
	s := mustOpen(t, impatient(Options{Addresses: []string{srv.Addr}, Logger: quiet()}))
	commitTo(t, s, im.User(1))
	srv.Kill()
	if err := srv.Restart(); err != nil {
		t.Fatal(err)
	}
	makeUnfit(t, srv)
	awaitAcquire(t, s, im.User(1).Slot(), func(err error) bool { return strings.Contains(fmt.Sprint(err), "noeviction") })
}
