package redis

import (
	"strings"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/storetest"
)

// neighbour is another user of the same slot.
func neighbour(a im.Addr) im.Addr {
	id := im.UserID(1_000_000)
	for im.User(id).Slot() != a.Slot() {
		id++
	}
	return im.User(id)
}

// ballast gives a slot a log of so many entries of 350 bytes.
func ballast(t *testing.T, opts Options, a im.Addr, entries int) {
	t.Helper()
	s := mustOpen(t, opts)
	epoch := storetest.Acquire(t, s, a)
	text := []byte(strings.Repeat("x", 350))
	for first := 1; first <= entries; first += 1000 {
		c := store.Change{Addr: a, Epoch: epoch, First: im.Seq(first)}
		for range 1000 {
			c.Append = append(c.Append, text)
		}
		if err := s.Commit(t.Context(), &store.Batch{Changes: []store.Change{c}}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReshardLongLogs: slots with logs of some megabytes, which a server sends
// in one piece, move under load. Nothing is lost and no commit fails; how long
// they wait is how long the servers take for the longest log.
func TestReshardLongLogs(t *testing.T) {
	servers := cluster(t)
	opts := patient(options(servers, 1))
	k := newKeyspace(opts.Prefix)
	users := []im.Addr{im.User(1), im.User(2), im.User(3)}
	const entries = 20_000
	for _, a := range users {
		ballast(t, opts, neighbour(a), entries)
	}
	c := startChat(t, opts, 3, 8)
	c.Await(20)
	var longest time.Duration
	for round := range trials() * 2 {
		for _, a := range users {
			began := time.Now()
			to := primaryNumber(t, servers, round+1+int(a.ID))
			if err := servers.MoveSlot(t.Context(), k.places[a.Slot()], to); err != nil {
				t.Fatal(err)
			}
			longest = max(longest, time.Since(began))
			c.Await(2)
		}
	}
	r := c.End()
	if r.Recoveries > 0 {
		t.Errorf("%d commits failed", r.Recoveries)
	}
	t.Logf("logs of %d entries: %v, a slot moves within %v", entries, r, longest.Round(time.Millisecond))
	for _, a := range users {
		whole(t, opts, neighbour(a), entries)
	}
}

// whole fails unless a log is there from beginning to end.
func whole(t *testing.T, opts Options, a im.Addr, entries int) {
	t.Helper()
	es, err := mustOpen(t, opts).ReadLog(t.Context(), a, 1, 2*entries, 1<<30)
	if err != nil || len(es) != entries {
		t.Errorf("the log of %v has %d entries, %v; want %d", a, len(es), err, entries)
	}
}
