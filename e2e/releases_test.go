package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/skein-im/skein/client"
	"github.com/skein-im/skein/internal/releases"
	"github.com/skein-im/skein/internal/store/redis/redistest"
)

// TestStoresOfReleases: what earlier releases have stored is there, in order,
// and goes on: tokens, cursors, numbers of sends, friends, requests, money.
func TestStoresOfReleases(t *testing.T) {
	t.Parallel()
	all, err := releases.All("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		for _, name := range []string{"stopped", "killed"} {
			t.Run(r.Name+" "+together+", "+name, func(t *testing.T) {
				t.Parallel()
				facts, err := r.Facts()
				if err != nil {
					t.Fatal(err)
				}
				data := filepath.Join(t.TempDir(), "data")
				if err := r.Restore(name, data); err != nil {
					t.Fatal(err)
				}
				goOn(t, inOne(t, data, setup{}), facts, name == "stopped")
			})
		}
		if r.Has("redis") {
			t.Run(r.Name+" "+apart, func(t *testing.T) {
				t.Parallel()
				goOnApart(t, overKeys, r)
			})
		}
		if r.Has("postgres") {
			t.Run(r.Name+" "+apartPostgres, func(t *testing.T) {
				t.Parallel()
				goOnApart(t, overTables, r)
			})
		}
	}
}

// overKeys are nodes over what a release has left in Redis.
func overKeys(t *testing.T, r releases.Release) (*nodes, releases.Facts) {
	c, redis := ownRedis(t)
	var keys []redistest.Key
	if err := r.JSON("redis", &keys); err != nil {
		t.Fatal(err)
	}
	if err := redis.Load(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	facts, err := r.NodesFacts()
	if err != nil {
		t.Fatal(err)
	}
	return c, facts
}

// overTables are nodes over what a release has left in PostgreSQL.
func overTables(t *testing.T, r releases.Release) (*nodes, releases.Facts) {
	c, server := ownPostgres(t)
	dump, err := r.Statements("postgres")
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Load(t.Context(), dump); err != nil {
		t.Fatal(err)
	}
	facts, err := r.PostgresFacts()
	if err != nil {
		t.Fatal(err)
	}
	return c, facts
}

// goOnApart is goOn over a shared store.
func goOnApart(t *testing.T, over func(*testing.T, releases.Release) (*nodes, releases.Facts), r releases.Release) {
	c, facts := over(t, r)
	p := overStore(t, c, setup{})
	if st := c.status(); st.Policy.Canary.Percent != 30 || len(st.Policy.Pins) != 1 {
		t.Errorf("the operator's policy is %+v", st.Policy)
	}
	goOn(t, p, facts, false)
}

// goOn goes on where a release has ended. exact: it has ended properly.
func goOn(t *testing.T, s *product, facts releases.Facts, exact bool) {
	w := s.world()
	for i, u := range facts.Users {
		checkTimeline(t, u, timeline(t, w.api(u.Tokens[0])))
		checkCursor(t, u, w.api(u.Tokens[1]), exact)
		balance, err := w.api(u.Tokens[0]).Balance(testContext(t))
		// The first user gets back what is not taken in time.
		if err != nil || int64(balance) != u.Balance && (i > 0 || int64(balance) < u.Balance) {
			t.Errorf("%s has %d cents, %v; it was %d", u.Name, balance, err, u.Balance)
		}
	}
	repeatUnheard(t, w, facts)
	acceptLate(t, w, facts)
	openLate(t, w, facts)
	if _, err := w.api("").Login(testContext(t), facts.Users[1].Name, "correct horse", "today"); err != nil {
		t.Errorf("the old password: %v", err)
	}
	s.stop(t)
	out, err := s.audit()
	if err != nil || !strings.Contains(out, "Every cent is accounted for.") || !strings.Contains(out, "came in                         10000 cents") {
		t.Errorf("the audit says %q, %v", out, err)
	}
	s.restart()
	s.stop(t)
}

// checkTimeline: all old entries are there as they were; more may follow.
func checkTimeline(t *testing.T, u releases.User, got []client.Entry) {
	t.Helper()
	if len(got) < len(u.Timeline) || len(u.Timeline) == 0 {
		t.Fatalf("%s has %d entries of %d", u.Name, len(got), len(u.Timeline))
	}
	for i, b := range u.Timeline {
		is, err := json.Marshal(got[i])
		if err != nil {
			t.Fatal(err)
		}
		if got[i].Seq != client.Seq(i+1) || !sameFields(t, b, is) {
			t.Fatalf("entry %d of %s is %s; it was %s", i+1, u.Name, is, b)
		}
	}
}

// sameFields: all that was said is said, maybe with more.
func sameFields(t *testing.T, was, is []byte) bool {
	t.Helper()
	var old, now map[string]any
	if err := errors.Join(json.Unmarshal(was, &old), json.Unmarshal(is, &now)); err != nil {
		t.Fatal(err)
	}
	for name, value := range old {
		if !reflect.DeepEqual(now[name], value) {
			return false
		}
	}
	return len(old) > 0
}

// checkCursor: the second device gets what it has not stored. Of what it said in
// the last seconds before a crash nothing may be known.
func checkCursor(t *testing.T, u releases.User, api *client.API, exact bool) {
	t.Helper()
	list, _, err := api.Sync(testContext(t), nil, 1, 0)
	if err != nil || len(list) == 0 || uint64(list[0].Seq) > u.Cursor+1 || exact && uint64(list[0].Seq) <= u.Cursor {
		t.Errorf("the second device of %s, which has %d, gets %+v, %v", u.Name, u.Cursor, list, err)
	}
}

// repeatUnheard sends again what the device does not know to be stored.
func repeatUnheard(t *testing.T, w *world, facts releases.Facts) {
	t.Helper()
	f, api := facts.Unheard, w.api(facts.Users[0].Tokens[1])
	to := client.UserID(facts.Users[1].ID)
	before := len(timeline(t, api))
	got, err := api.Send(testContext(t), to, client.ClientSeq(f.ClientSeq), client.Text(f.Text))
	if err != nil || uint64(got.Seq) != f.Seq {
		t.Errorf("the send again: %+v, %v; it was entry %d", got, err, f.Seq)
	}
	if after := len(timeline(t, api)); after != before {
		t.Errorf("the send again makes %d entries of %d", after, before)
	}
	if _, err := api.Send(testContext(t), to, client.ClientSeq(f.ClientSeq+1), client.Text("next")); err != nil {
		t.Errorf("the next send: %v", err)
	}
}

// acceptLate accepts the request that waits, and writes.
func acceptLate(t *testing.T, w *world, facts releases.Facts) {
	t.Helper()
	ann, carol := facts.Users[0], facts.Users[2]
	if _, err := w.api(ann.Tokens[0]).AcceptContact(testContext(t), client.UserID(carol.ID)); err != nil {
		t.Fatal(err)
	}
	u := &user{w: w, name: carol.Name}
	cc := u.dial(t, "tcp://"+w.Link, carol.Tokens[0])
	nextContact(t, cc, client.ContactAccepted)
	ac := u.dial(t, "tcp://"+w.Link, ann.Tokens[0])
	if _, err := ac.SendText(testContext(t), client.UserID(carol.ID), "welcome"); err != nil {
		t.Fatal(err)
	}
	if e := next(t, cc, client.Message); string(e.Content.Body) != "welcome" {
		t.Fatalf("carol gets %+v", e)
	}
}

// openLate opens the envelope that waits, if its time has not passed.
func openLate(t *testing.T, w *world, facts releases.Facts) {
	t.Helper()
	cents, err := w.api(facts.Users[1].Tokens[0]).OpenEnvelope(testContext(t), facts.Unopened.ID)
	if client.KindOf(err) != client.Expired && (err != nil || int64(cents) != facts.Unopened.Cents) {
		t.Errorf("the envelope: %d cents, %v", cents, err)
	}
}

// TestOlderRefuses: what this version has written is marked, so that a version
// that does not understand it leaves it alone; what it only looked at is not.
func TestOlderRefuses(t *testing.T) {
	t.Parallel()
	all, err := releases.All("..")
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	if err := all[0].Restore("stopped", data); err != nil {
		t.Fatal(err)
	}
	format := func() string {
		b, err := os.ReadFile(filepath.Join(data, "SKEIN-FORMAT"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	old := format()
	if _, err := run(t, "", "audit", "--data", data); err != nil || format() != old {
		t.Errorf("after an audit the format is %q, it was %q; %v", format(), old, err)
	}
	start(t, data).stop(t)
	if old != "skein pebble 1 ready\n" || format() != "skein pebble 2 ready\n" {
		t.Errorf("after serving, the format is %q; it was %q", format(), old)
	}
}
