package e2e

import (
	"fmt"
	"testing"

	"github.com/skein-im/skein/client"
)

// An asynchronous standby lacks what its region did last. Devices hear of it, those
// that were there and those that come back later, and everything that is said
// afterwards arrives.
func TestAsyncStandbyLacksTheEnd(t *testing.T) {
	t.Parallel()
	s := startSite(t, "async")
	alice, bob := newUser(t, worldOf(s.region), "alice"), newUser(t, worldOf(s.region), "bob")
	addr := "tcp://" + s.region.Link
	away, _ := bob.login(t)
	polls, _ := bob.login(t)
	poller := worldOf(s.region).api(polls)
	ac, bc, later := alice.dial(t, addr, alice.token), bob.dial(t, addr, bob.token), bob.dial(t, addr, away)
	makeFriends(t, alice, bob, ac, bc)
	say := func(text string) {
		t.Helper()
		if _, err := ac.SendText(testContext(t), bob.id, text); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(c *client.Client, text string) {
		t.Helper()
		if e := next(t, c, client.Message); string(e.Content.Body) != text {
			t.Fatalf("%q arrives instead of %q", e.Content.Body, text)
		}
	}
	say("kept")
	hear(bc, "kept")
	hear(later, "kept")
	for metric(t, s.region, "skein_standby_behind_commits") > 0 {
	}
	s.standby.kill()
	for n := range 5 {
		say(fmt.Sprint("lost ", n))
		hear(bc, fmt.Sprint("lost ", n))
		hear(later, fmt.Sprint("lost ", n))
	}
	cursor, generation := uint64(later.Cursor()), later.Generation()
	polled, err := poller.SyncIn(testContext(t), nil, &cursor, 0, 0)
	if err != nil || polled.Rewound != nil || uint64(polled.Head) < cursor {
		t.Fatalf("%+v, %v", polled, err)
	}
	later.Close()
	at := s.region.fixed()
	s.region.kill()
	s.promote(t, at)
	next(t, ac, client.Rewound)
	next(t, bc, client.Rewound)
	for n := range 10 {
		say(fmt.Sprint("after ", n))
		hear(bc, fmt.Sprint("after ", n))
	}
	back, err := client.Dial(testContext(t), client.Options{Addr: addr, Token: away, Cursor: &cursor, Generation: generation})
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if e := next(t, back, client.Rewound); uint64(e.Seq) >= cursor {
		t.Errorf("entries up to %d are kept, of those up to %d that the device has", e.Seq, cursor)
	}
	for n := range 10 {
		hear(back, fmt.Sprint("after ", n))
	}
	if polled, err = poller.SyncIn(testContext(t), polled.Generation, &cursor, 1, 0); err != nil || polled.Rewound == nil ||
		uint64(*polled.Rewound) >= cursor || len(polled.Entries) != 1 || string(polled.Entries[0].Content.Body) != "after 0" {
		t.Errorf("over HTTP comes %+v, %v", polled, err)
	}
	s.region.stop(t)
}
