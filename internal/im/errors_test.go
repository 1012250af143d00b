package im

import (
	"errors"
	"fmt"
	"testing"
)

func TestErrorfKeepsTheCauseInside(t *testing.T) {
	cause := errors.New("/secret/path: no such file")
	err := Errorf(Unavailable, "the store cannot be read: %w", cause)
	if err.Detail != "the store cannot be read" {
		t.Errorf("clients would read %q", err.Detail)
	}
	if got, want := err.Error(), "unavailable: the store cannot be read: /secret/path: no such file"; got != want {
		t.Errorf("logs read %q, want %q", got, want)
	}
	if !errors.Is(err, cause) || KindOf(fmt.Errorf("more: %w", err)) != Unavailable {
		t.Error("cause or kind are lost")
	}
}

func TestKinds(t *testing.T) {
	for k := range errorKinds {
		if k.String() == "" {
			t.Errorf("kind %d has no name", k)
		}
		if !errors.Is(&Error{Kind: k, Detail: "x"}, &Error{Kind: k}) {
			t.Errorf("errors of kind %v are not recognized", k)
		}
	}
	if KindOf(nil) != KindUnspecified || KindOf(errors.New("x")) != Internal {
		t.Error("kinds of foreign errors")
	}
	if e := AsError(errors.New("/secret/path")); e.Kind != Internal || e.Detail != "internal error" {
		t.Errorf("a foreign error reads %q", e.Detail)
	}
}

// TestSlots pins the function that decides where stored data lives.
func TestSlots(t *testing.T) {
	for a, want := range map[Addr]Slot{
		User(1): 3879, User(2): 1489, NameAddr("Alice"): 2574, AllocatorAddr: 1481,
	} {
		if got := a.Slot(); got != want {
			t.Errorf("%v is in slot %d, not %d", a, got, want)
		}
	}
	if NameAddr("Alice") != NameAddr("aLICE") {
		t.Error("names differ by case")
	}
	var used [Slots]int
	for id := range UserID(Slots * 100) {
		used[User(id).Slot()]++
	}
	for slot, n := range used {
		if n < 50 || n > 160 {
			t.Errorf("slot %d has %d of 100 users", slot, n)
		}
	}
}
