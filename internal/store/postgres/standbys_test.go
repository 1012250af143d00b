package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/postgres/pgtest"
	"github.com/skein-im/skein/internal/store/storetest"
)

// pauseStandbys pauses some, and returns what resumes them.
func pauseStandbys(t *testing.T, standbys ...*pgtest.Server) (resume func()) {
	resume = func() {
		for _, b := range standbys {
			if b.Down() {
				b.Resume()
			}
		}
	}
	t.Cleanup(resume)
	for _, b := range standbys {
		b.Pause()
	}
	return resume
}

// TestStandbysAway: with one standby away commits go on; with both away they are
// not acknowledged, nothing can be acquired, and nothing is read that may be
// lost, though the server itself shows it; when they are back, the owner must
// acquire the slot again.
func TestStandbysAway(t *testing.T) {
	servers := cluster(t)
	opts := options(pgtest.URL(servers.Servers...))
	opts.ReplyTimeout = 300 * time.Millisecond
	s, other := mustOpen(t, opts), mustOpen(t, opts)
	ctx, a := t.Context(), im.User(1)
	epoch := storetest.Acquire(t, s, a)
	pauseStandbys(t, servers.Standbys()[0])
	if err := s.Commit(ctx, storetest.One(a, epoch, 1, "one away")); err != nil {
		t.Fatal(err)
	}
	resume := pauseStandbys(t, servers.Standbys()...)
	var away *StandbyError
	if err := s.Commit(ctx, storetest.One(a, epoch, 2, "both away")); !errors.As(err, &away) {
		t.Fatalf("commit: %v", err)
	}
	if seen, err := servers.Primary.Query(ctx, fmt.Sprintf("SELECT count(*) FROM %s.entries", opts.Schema)); err != nil || seen[0] != "2" {
		t.Fatalf("the server shows %v entries, %v: not what is to be tested", seen, err)
	}
	if err := s.Commit(ctx, storetest.One(a, epoch, 3, "after doubt")); err == nil || errors.As(err, new(*store.SlotError)) {
		t.Fatalf("commit after one whose fate is unknown: %v", err)
	}
	for name, s := range map[string]*Store{"owner": s, "other": other} {
		if _, err := s.ReadLog(ctx, a, 1, 10, 1000); !errors.As(err, &away) {
			t.Errorf("%s read what may be lost: %v", name, err)
		}
	}
	if _, err := s.Acquire(ctx, "test", []im.Slot{a.Slot()}); !errors.As(err, &away) {
		t.Fatalf("acquire: %v", err)
	}
	if err := s.Commit(ctx, &store.Batch{Changes: []store.Change{{Addr: im.User(2), Epoch: 1}}}); !errors.As(err, new(*store.SlotError)) {
		t.Errorf("commit for a slot that was never acquired: %v", err)
	}
	if n := s.Metrics().Unconfirmed; n < 3 {
		t.Errorf("%d times unconfirmed", n)
	}
	resume()
	storetest.Acquire(t, s, a)
	if got := storetest.Texts(t, s, a); len(got) != 2 {
		t.Errorf("log %q", got)
	}
}

// TestEmptyCommitIsConfirmed: a commit that changes nothing says that the slot is
// still owned, so it waits for standbys too.
func TestEmptyCommitIsConfirmed(t *testing.T) {
	servers := cluster(t)
	opts := options(pgtest.URL(servers.Servers...))
	opts.ReplyTimeout = 300 * time.Millisecond
	s := mustOpen(t, opts)
	a := im.User(1)
	b := &store.Batch{Changes: []store.Change{{Addr: a, Epoch: storetest.Acquire(t, s, a), Delete: []string{"not there"}}}}
	if err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	pauseStandbys(t, servers.Standbys()...)
	if err := s.Commit(t.Context(), b); !errors.As(err, new(*StandbyError)) {
		t.Fatalf("commit: %v", err)
	}
}

// TestNoLongerSynchronous: a server that does not wait for standbys any more, as
// some managers make it when none is there, acknowledges nothing.
func TestNoLongerSynchronous(t *testing.T) {
	servers := cluster(t)
	opts := options(pgtest.URL(servers.Servers...))
	s := mustOpen(t, opts)
	a := im.User(1)
	epoch := storetest.Acquire(t, s, a)
	names, err := servers.Primary.Query(t.Context(), "SHOW synchronous_standby_names")
	if err != nil {
		t.Fatal(err)
	}
	set := func(value string) {
		if err := servers.Primary.Set(context.Background(), "synchronous_standby_names", value); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { set(names[0]) })
	set("")
	// Sessions hear of it soon.
	for seq := im.Seq(1); err == nil; seq++ {
		err = s.Commit(t.Context(), storetest.One(a, epoch, seq, "x"))
	}
	if !errors.As(err, new(*StandbyError)) {
		t.Fatalf("commit: %v", err)
	}
	set(names[0])
	patience.Until(t, "an acquisition that standbys confirm", func() (bool, any) {
		_, err := s.Acquire(t.Context(), "test", []im.Slot{a.Slot()})
		return err == nil, describe(opts.URL)
	})
}

// TestCrashWhileWaiting: a primary that crashes while a commit waits for standbys,
// and is started again, shows what no standby has. It is not read until one has.
func TestCrashWhileWaiting(t *testing.T) {
	servers := cluster(t)
	opts := options(pgtest.URL(servers.Servers...))
	opts.ReplyTimeout, opts.Timeout = 500*time.Millisecond, 20*time.Second
	s, other := mustOpen(t, opts), mustOpen(t, opts)
	ctx, a := t.Context(), im.User(1)
	epoch := storetest.Acquire(t, s, a)
	resume := pauseStandbys(t, servers.Standbys()...)
	committed := make(chan error, 1)
	go func() { committed <- s.Commit(ctx, storetest.One(a, epoch, 1, "x")) }()
	waiting := "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
	patience.Until(t, "a commit that waits for standbys", func() (bool, any) {
		n, err := servers.Primary.Query(ctx, waiting)
		if err != nil {
			t.Fatal(err)
		}
		return n[0] != "0", describe(opts.URL)
	})
	servers.Primary.Kill()
	if err := servers.Primary.Restart(); err != nil {
		t.Fatal(err)
	}
	if seen, err := servers.Primary.Query(ctx, fmt.Sprintf("SELECT count(*) FROM %s.entries", opts.Schema)); err != nil || seen[0] != "1" {
		t.Fatalf("the server shows %v entries, %v: not what is to be tested", seen, err)
	}
	if err := <-committed; err == nil {
		t.Fatal("the commit was acknowledged")
	}
	for name, s := range map[string]*Store{"owner": s, "other": other} {
		if es, err := s.ReadLog(ctx, a, 1, 10, 1000); err == nil {
			t.Errorf("%s read what may be lost: %v", name, es)
		}
	}
	resume()
	if err := servers.AwaitFollowing(ctx); err != nil {
		t.Fatal(err)
	}
	storetest.Acquire(t, s, a)
	if got := storetest.Texts(t, other, a); len(got) != 1 {
		t.Errorf("log %q", got)
	}
}

// TestDescribe: a test that waits in vain says who follows whom.
func TestDescribe(t *testing.T) {
	servers := cluster(t)
	text := describe(pgtest.URL(servers.Servers...))()
	for _, b := range servers.Standbys() {
		if !strings.Contains(text, "standby "+b.Name+" streaming") {
			t.Errorf("%s is not in\n%s", b.Name, text)
		}
	}
}
