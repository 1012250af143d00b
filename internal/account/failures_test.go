package account

import (
	"fmt"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
)

func TestFailuresWait(t *testing.T) {
	now := time.Unix(1000, 0)
	f := newFailures(3, 10*time.Second, 10)
	for i := range 3 {
		if w := f.wait("a", now); w != 0 {
			t.Fatalf("after %d failures: wait %v", i, w)
		}
		f.charge("a", now)
	}
	if w := f.wait("a", now); w != 10*time.Second {
		t.Errorf("after 3 failures: wait %v, want 10s", w)
	}
	if w := f.wait("b", now); w != 0 {
		t.Errorf("another key waits %v", w)
	}
	if w := f.wait("a", now.Add(9*time.Second)); w != time.Second {
		t.Errorf("9 s later: wait %v, want 1s", w)
	}
	if w := f.wait("a", now.Add(10*time.Second)); w != 0 {
		t.Errorf("10 s later: wait %v", w)
	}
}

// Attempts that run at the same time all pass the check before any fails.
func TestFailuresGoIntoDebt(t *testing.T) {
	now := time.Unix(1000, 0)
	f := newFailures(1, time.Second, 10)
	for range 5 {
		f.charge("a", now)
	}
	if w := f.wait("a", now); w != 5*time.Second {
		t.Errorf("five failures where one was free: wait %v, want 5s", w)
	}
}

func TestFailuresAreBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	f := newFailures(1, time.Hour, 3)
	for _, key := range []string{"a", "b", "c", "a", "d"} {
		f.charge(key, now)
	}
	if len(f.entries) != 3 || f.recent.Len() != 3 {
		t.Errorf("%d keys and %d entries, want 3", len(f.entries), f.recent.Len())
	}
	for key, limited := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if got := f.wait(key, now) > 0; got != limited {
			t.Errorf("%s waits: %v, want %v", key, got, limited)
		}
	}
}

func TestAddressKey(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7":                  "192.0.2.7",
		"192.0.2.7:4711":             "192.0.2.7",
		"[::ffff:192.0.2.7]:1":       "192.0.2.7",
		"2001:db8:1:2:3:4:5:6":       "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::1]:443": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:443":         "fe80::/64",
		"user/7":                     "user/7",
		"":                           "",
	} {
		if got := addressKey(remote); got != want {
			t.Errorf("addressKey(%q) = %q, want %q", remote, got, want)
		}
	}
}

func TestLoginFailuresKeyNames(t *testing.T) {
	now := time.Unix(1000, 0)
	l := newLoginFailures()
	for i := range NameFailures {
		l.charge(&Credentials{Name: "Bob", Remote: fmt.Sprintf("192.0.2.%d:1", i)}, now)
	}
	if err := l.check(&Credentials{Name: "bOB", Remote: "198.51.100.1:1"}, now); im.KindOf(err) != im.Busy {
		t.Errorf("the same name in other letters: %v, want busy", err)
	}
}
