package redis

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/redis/redistest"
)

// manyKeys gives users records and logs, past the engine, because there are many.
func manyKeys(t *testing.T, s *Store, server *redistest.Server, users int) map[im.Slot][]im.Addr {
	t.Helper()
	want := map[im.Slot][]im.Addr{}
	const script = `for i = 1, #ARGV, 3 do
  redis.call('RPUSH', ARGV[i] .. ARGV[i + 1], '0', 'x') redis.call('HSET', ARGV[i] .. ARGV[i + 2], 'h', 'y')
end
return 1`
	args := []string{"EVAL", script, "0"}
	for id := im.UserID(1); id <= im.UserID(users); id++ {
		a := im.User(id)
		want[a.Slot()] = append(want[a.Slot()], a)
		tag := s.keys.tags[a.Slot()]
		args = append(args, tag, strings.TrimPrefix(s.keys.log(a), tag), strings.TrimPrefix(s.keys.records(a), tag))
		if len(args) > 6000 || int(id) == users {
			if _, err := server.Do(t.Context(), args...); err != nil {
				t.Fatal(err)
			}
			args = args[:3]
		}
	}
	return want
}

// scanCalls is how often a server was asked for the next keys.
func scanCalls(t *testing.T, server *redistest.Server) int {
	t.Helper()
	text, err := server.Info(context.Background(), "cmdstat_scan")
	if err != nil {
		t.Fatal(err)
	}
	number, _, _ := strings.Cut(strings.TrimPrefix(text, "calls="), ",")
	n, _ := strconv.Atoi(number)
	return n
}

// A server alone is looked at once for all slots, and once for each part of them
// if there is more than may be held at a time.
func TestListAlone(t *testing.T) {
	servers := single(t)
	server := servers.Servers[0]
	opts := options(servers, 0)
	s := mustOpen(t, opts)
	const users = 60_000
	want := manyKeys(t, s, server, users)
	if _, err := server.Do(t.Context(), "SET", opts.Prefix+"{s0001}r:nonsense", "z"); err != nil {
		t.Fatal(err)
	}
	// Another test's keys may be there, too.
	keys, err := server.Do(t.Context(), "DBSIZE")
	if err != nil {
		t.Fatal(err)
	}
	all, _ := keys.ToInt64()
	once := int(all)/1000 + 1
	for _, c := range []struct{ held, most int }{{maxListed, 2 * once}, {int(all) / 3, 5 * once}} {
		s.maxListed = c.held
		before := scanCalls(t, server)
		next := im.Slot(0)
		if err := s.List(t.Context(), store.AllSlots(), func(slot im.Slot, held []im.Addr) error {
			if slot != next || !slices.Equal(held, want[slot]) {
				t.Fatalf("slot %d: %v; want %d with %v", slot, held, next, want[slot])
			}
			next++
			return nil
		}); err != nil || next != im.Slots {
			t.Fatalf("%d slots were listed: %v", next, err)
		}
		if calls := scanCalls(t, server) - before; calls > c.most {
			t.Errorf("%d questions for all of %d keys, %d held at a time; at most %d are right", calls, all, c.held, c.most)
		}
	}
}

// Whoever has seen enough stops it.
func TestListStops(t *testing.T) {
	servers := single(t)
	s := mustOpen(t, options(servers, 0))
	enough := errors.New("enough")
	seen := 0
	err := s.List(t.Context(), []im.Slot{7, 3, 5}, func(im.Slot, []im.Addr) error {
		if seen++; seen == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || seen != 2 {
		t.Fatalf("%d visits, %v", seen, err)
	}
	if err := s.List(t.Context(), []im.Slot{im.Slots}, nil); im.KindOf(err) != im.Invalid {
		t.Fatalf("a slot that there is not: %v", err)
	}
}
