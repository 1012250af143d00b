package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// records are a store's, on virtual time.
type records struct {
	mu     sync.Mutex
	kept   map[string]store.Member
	until  map[string]time.Time
	broken error
}

func newRecords() *records {
	return &records{kept: map[string]store.Member{}, until: map[string]time.Time{}}
}

func (r *records) PutMember(_ context.Context, m store.Member, ttl time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken == nil {
		r.kept[m.Node], r.until[m.Node] = m, time.Now().Add(ttl)
	}
	return r.broken
}

func (r *records) DeleteMember(_ context.Context, node string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.kept, node)
	return r.broken
}

func (r *records) Members(context.Context) ([]store.Member, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []store.Member
	for node, m := range r.kept {
		if time.Now().Before(r.until[node]) {
			list = append(list, m)
		}
	}
	return list, r.broken
}

func (r *records) breakDown(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = err
}

// crowd is a store at which several nodes arrive at the same moment: what they read
// first is what was there before any of them.
type crowd struct {
	*records
	arrived sync.WaitGroup
	first   sync.Map
}

func (c *crowd) as(node string) Records { return &member{c, node} }

type member struct {
	*crowd
	node string
}

func (m *member) Members(ctx context.Context) ([]store.Member, error) {
	list, err := m.records.Members(ctx)
	if _, again := m.first.LoadOrStore(m.node, true); !again {
		m.arrived.Done()
		m.arrived.Wait()
	}
	return list, err
}

// Of nodes that join at the same moment, one at least knows of all: so not all of them
// begin to acquire everything.
func TestJoinAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{records: newRecords()}
		c.arrived.Add(2)
		var both [2]*watch
		var started sync.WaitGroup
		for i, name := range []string{"a", "b"} {
			started.Go(func() { both[i] = join(t, c.as(name), node(name)) })
		}
		started.Wait()
		seen := 0
		for _, w := range both {
			w.mu.Lock()
			if len(w.views[0]) == 2 {
				seen++
			}
			w.mu.Unlock()
		}
		if seen == 0 {
			t.Error("each believes to be alone")
		}
		_, _ = both[0].Leave(t.Context()), both[1].Leave(t.Context())
	})
}

// watch is a node whose view of the others is recorded.
type watch struct {
	*Membership
	mu    sync.Mutex
	views [][]string
}

func join(t *testing.T, r Records, self Member) *watch {
	t.Helper()
	w := &watch{}
	w.Membership = New(Config{Records: r, Self: self, Logger: slog.New(slog.DiscardHandler), Changed: func(members []Member, table *Table) {
		var names []string
		for _, m := range members {
			names = append(names, m.Node)
		}
		slices.Sort(names)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.views = append(w.views, names)
	}})
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *watch) view() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.views) == 0 {
		return ""
	}
	s := ""
	for _, n := range w.views[len(w.views)-1] {
		s += n + " "
	}
	return s
}

func node(name string) Member { return Member{Node: name, State: Up, Roles: "x:1"} }

func TestMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecords()
		a, b := join(t, r, node("a")), join(t, r, node("b"))
		eye := join(t, r, Member{})
		time.Sleep(2 * DefaultEvery)
		synctest.Wait()
		for name, w := range map[string]*watch{"a": a, "b": b, "a node that only looks": eye} {
			if w.view() != "a b " {
				t.Errorf("%s sees %s", name, w.view())
			}
		}
		// One that leaves is gone for the others within one look.
		if err := b.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(DefaultEvery)
		synctest.Wait()
		if a.view() != "a " {
			t.Errorf("after b left, a sees %s", a.view())
		}
		_, table := eye.Members()
		if n := len(table.SlotsOf("a")); n != im.Slots {
			t.Errorf("a has %d slots", n)
		}
		_ = a.Leave(t.Context())
		_ = eye.Leave(t.Context())
	})
}

func TestMemberThatDiesExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecords()
		a := join(t, r, node("a"))
		dead, err := (&Member{Node: "b", State: Up, Roles: "x:1"}).record()
		if err != nil {
			t.Fatal(err)
		}
		_ = r.PutMember(t.Context(), dead, DefaultTTL)
		time.Sleep(DefaultEvery)
		synctest.Wait()
		if a.view() != "a b " {
			t.Fatalf("a sees %s", a.view())
		}
		time.Sleep(DefaultTTL)
		synctest.Wait()
		if a.view() != "a " {
			t.Errorf("after b died, a sees %s", a.view())
		}
		_ = a.Leave(t.Context())
	})
}

// While the store is away, the last known members count.
func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecords()
		a, b := join(t, r, node("a")), join(t, r, node("b"))
		time.Sleep(2 * DefaultEvery)
		synctest.Wait()
		r.breakDown(errors.New("away"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if a.view() != "a b " {
			t.Errorf("a sees %s", a.view())
		}
		r.breakDown(nil)
		time.Sleep(2 * DefaultEvery)
		synctest.Wait()
		if members, _ := a.Members(); len(members) != 2 {
			t.Errorf("a sees %v", members)
		}
		_, _ = a.Leave(t.Context()), b.Leave(t.Context())
	})
}

// What a node says of itself reaches the others; how many links it has is no
// reason to place slots anew.
func TestUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecords()
		a, b := join(t, r, node("a")), join(t, r, node("b"))
		time.Sleep(2 * DefaultEvery)
		synctest.Wait()
		changes := len(a.views)
		b.Update(func(m *Member) { m.Links = 7 })
		time.Sleep(2 * DefaultEvery)
		synctest.Wait()
		if len(a.views) != changes {
			t.Error("a heard of a change in the placement")
		}
		b.Update(func(m *Member) { m.State = Draining })
		time.Sleep(DefaultEvery)
		synctest.Wait()
		if _, table := a.Members(); len(table.SlotsOf("b")) != 0 {
			t.Error("b drains and has slots")
		}
		_, _ = a.Leave(t.Context()), b.Leave(t.Context())
	})
}

func TestUselessRecordsAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecords()
		_ = r.PutMember(t.Context(), store.Member{Node: "x", Value: []byte("{")}, time.Hour)
		_ = r.PutMember(t.Context(), store.Member{Node: "y", Value: []byte(`{"node":"z"}`)}, time.Hour)
		_ = r.PutMember(t.Context(), store.Member{Node: "w", Value: make([]byte, maxRecord+1)}, time.Hour)
		a := join(t, r, node("a"))
		if a.view() != "a " {
			t.Errorf("a sees %s", a.view())
		}
		_ = a.Leave(t.Context())
	})
}

// Of two processes with one name, the one that joined earlier is told, once, and
// does not touch the record any more.
func TestSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecords()
		told := 0
		old := New(Config{Records: r, Self: Member{Node: "a", Started: 1, State: Up, Roles: "old:1"}, Logger: slog.New(slog.DiscardHandler),
			Superseded: func(error) { told++ }})
		if err := old.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		again := join(t, r, Member{Node: "a", Started: 2, State: Up, Roles: "new:1"})
		time.Sleep(10 * DefaultEvery)
		synctest.Wait()
		if told != 1 {
			t.Errorf("the older one was told %d times", told)
		}
		_ = old.Leave(t.Context())
		if members, _ := again.Members(); len(members) != 1 || members[0].Roles != "new:1" {
			t.Errorf("there are %+v", members)
		}
		if list, _ := r.Members(t.Context()); len(list) != 1 {
			t.Errorf("the record that is left is %v", list)
		}
		_ = again.Leave(t.Context())
	})
}

// After the store was away, those who could not refresh their records either are
// not missed at once; and a node knows that its own may have expired.
func TestStoreAwayForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecords()
		lapsed := 0
		w := &watch{}
		a := New(Config{Records: r, Self: node("a"), Logger: slog.New(slog.DiscardHandler), Lapsed: func() { lapsed++ },
			Changed: func(members []Member, _ *Table) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.views = append(w.views, make([]string, len(members)))
			}})
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := join(t, r, node("b"))
		time.Sleep(2 * DefaultEvery)
		synctest.Wait()
		r.breakDown(errors.New("away"))
		time.Sleep(2 * DefaultTTL)
		// b comes back a second later than a.
		_ = b.Leave(t.Context())
		r.breakDown(nil)
		time.Sleep(time.Second)
		again := join(t, r, node("b"))
		time.Sleep(DefaultTTL)
		synctest.Wait()
		if lapsed != 1 {
			t.Errorf("a was told %d times that its record had expired", lapsed)
		}
		for _, v := range w.views[1:] {
			if len(v) != 2 {
				t.Errorf("a saw %d nodes", len(v))
			}
		}
		_ = again.Leave(t.Context())
		time.Sleep(2 * DefaultEvery)
		synctest.Wait()
		if members, _ := a.Members(); len(members) != 1 {
			t.Errorf("after b has left, a sees %v", members)
		}
		_ = a.Leave(t.Context())
	})
}

// Sync returns when others' changes have been seen; Refresh may be called at any
// rate.
func TestSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecords()
		a, b := join(t, r, node("a")), join(t, r, node("b"))
		b.Update(func(m *Member) { m.State = Draining })
		if err := b.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			a.Refresh()
		}
		if err := a.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, table := a.Members(); len(table.SlotsOf("b")) != 0 {
			t.Error("b drains and has slots")
		}
		_, _ = a.Leave(t.Context()), b.Leave(t.Context())
		if err := a.Sync(t.Context()); err == nil {
			t.Error("a node that has left looks at records")
		}
	})
}

// Records that are of no use are read again all the time: what is wrong with one is
// logged once, and again when it changes.
func TestUselessRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecords()
		var out strings.Builder
		a := New(Config{Records: r, Self: node("a"), Logger: slog.New(slog.NewTextHandler(&out, nil))})
		bad := func(value string, times int) {
			t.Helper()
			out.Reset()
			if err := r.PutMember(t.Context(), store.Member{Node: "b", Value: []byte(value)}, time.Hour); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * DefaultEvery)
			synctest.Wait()
			if got := strings.Count(out.String(), "node=b"); got != times {
				t.Errorf("%q: %d lines are logged, not %d:\n%s", value, got, times, out.String())
			}
		}
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		bad("x", 1)
		bad("x", 0)
		bad(`{"node":"c"}`, 1)
		if n := a.Useless(); n < 40 {
			t.Errorf("%d are counted", n)
		}
		before := a.Useless()
		bad(`{"node":"b"}`, 1)
		if n := a.Useless(); n > before+1 {
			t.Errorf("%d are counted of a good one", n-before)
		}
		_ = a.Leave(t.Context())
	})
}
