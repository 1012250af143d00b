package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/storetest"
)

// TestLostEntry: when an acknowledged entry is gone, or there is one that the owner
// does not know, the owner's next append is refused instead of leaving a hole.
func TestLostEntry(t *testing.T) {
	t.Parallel()
	servers := single(t)
	opts := options(servers.URL())
	for name, change := range map[string]string{
		"lost":   "DELETE FROM %s.entries WHERE seq = 2",
		"all":    "DELETE FROM %s.entries",
		"one on": "INSERT INTO %[1]s.entries SELECT slot, kind, id, 3, '' FROM %[1]s.entries WHERE seq = 2",
	} {
		opts.Schema += "x"
		s := mustOpen(t, opts)
		a := im.User(1)
		epoch := storetest.Acquire(t, s, a)
		for seq := im.Seq(1); seq <= 2; seq++ {
			if err := s.Commit(t.Context(), storetest.One(a, epoch, seq, "x")); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := servers.Query(t.Context(), fmt.Sprintf(change, opts.Schema)); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(t.Context(), storetest.One(a, epoch, 3, "y")); err == nil || errors.As(err, new(*store.SlotError)) {
			t.Errorf("%s: %v", name, err)
		}
		if n := s.Metrics().Holes; n != 1 {
			t.Errorf("%s: %d holes were counted", name, n)
		}
	}
}

// TestStuckSession: a session that has the lock of a former owner and does nothing
// with it is ended by who acquires the slots.
func TestStuckSession(t *testing.T) {
	t.Parallel()
	servers := single(t)
	opts := options(servers.URL())
	s, thief := mustOpen(t, opts), mustOpen(t, opts)
	a := im.User(1)
	storetest.Acquire(t, s, a)
	ctx := t.Context()
	stuck, err := pgconn.Connect(ctx, servers.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close(context.Background())
	lock := "BEGIN; SELECT pg_advisory_xact_lock_shared(" + strconv.FormatUint(s.writer, 10) + ")"
	if _, err := stuck.Exec(ctx, lock).ReadAll(); err != nil {
		t.Fatal(err)
	}
	storetest.Acquire(t, thief, a)
	if _, err := stuck.Exec(ctx, "COMMIT").ReadAll(); err == nil {
		t.Error("the session that was in the way goes on")
	}
	if err := s.Commit(ctx, storetest.One(a, 1, 1, "x")); !errors.As(err, new(*store.SlotError)) {
		t.Errorf("commit of the former owner: %v", err)
	}
}

// TestTrimmedRoomIsUsed: a log to which is appended and which is trimmed takes no
// more room in the end than early on, provided that vacuum comes by.
func TestTrimmedRoomIsUsed(t *testing.T) {
	t.Parallel()
	servers := single(t)
	opts := options(servers.URL())
	s := mustOpen(t, opts)
	epochs := storetest.AcquireAll(t, s)
	size := func() int {
		if _, err := servers.Query(t.Context(), fmt.Sprintf("VACUUM %s.entries", opts.Schema)); err != nil {
			t.Fatal(err)
		}
		got, err := servers.Query(t.Context(), fmt.Sprintf("SELECT pg_total_relation_size('%s.entries')", opts.Schema))
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(got[0])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const users, batch = 20, 20
	early, seq := 0, im.Seq(1)
	for round := range 24 {
		var b store.Batch
		for id := range im.UserID(users) {
			a := im.User(id + 1)
			c := store.Change{Addr: a, Epoch: epochs[a.Slot()], First: seq, Trim: max(seq, batch) - batch}
			for range batch {
				c.Append = append(c.Append, bytes.Repeat([]byte("x"), 350))
			}
			b.Changes = append(b.Changes, c)
		}
		if err := s.Commit(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		seq += batch
		if round%4 == 3 {
			size := size()
			if round == 7 {
				early = size
			}
			if round > 7 && size > early*3/2 {
				t.Fatalf("the table has grown from %d to %d bytes", early, size)
			}
		}
	}
}

// FuzzSlots: what a server answers is an array of slots, or refused.
func FuzzSlots(f *testing.F) {
	var a array
	f.Add(a.param(oidInt2))
	a.int2(7)
	a.int2(4095)
	f.Add(a.param(oidInt2))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		slots, err := readSlots(b)
		if err != nil {
			return
		}
		var again array
		for _, s := range slots {
			again.int2(uint16(s))
		}
		if len(slots) > 0 && len(again.param(oidInt2)) != len(b) {
			t.Fatalf("%x was read as %v", b, slots)
		}
	})
}
