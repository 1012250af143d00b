package patience

import (
	"context"
	"fmt"
	"runtime/debug"
	"testing"
	"time"
)

// Limit is how long a test waits for one thing.
const Limit = 4 * time.Minute

// The time between two questions of Until grows from one to the other: what is asked
// may be a process that has enough to do.
const (
	firstPause = time.Millisecond
	mostPause  = 100 * time.Millisecond
)

// Context ends with the test, or after the limit, and then says so.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeoutCause(context.Background(), Limit, fmt.Errorf("the test has waited for %v", Limit))
	t.Cleanup(cancel)
	return ctx
}

// Receive returns what comes from a channel, or ends the test.
func Receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	timer := time.NewTimer(Limit)
	defer timer.Stop()
	select {
	case v := <-from:
		return v
	case <-timer.C:
		t.Fatalf("%s: it does not come in %v", what, Limit)
		panic("unreachable")
	}
}

// Bound bounds a wait that can not be ended from outside, like that for a sync.Cond,
// until done is called: it ends all tests of the package, with what was waited for and
// what all goroutines are at.
func Bound(what string) (done func() bool) { return bound(Limit, what) }

func bound(limit time.Duration, what string) (done func() bool) {
	return time.AfterFunc(limit, func() {
		debug.SetTraceback("all")
		panic(fmt.Sprintf("waited %v in vain for %s", limit, what))
	}).Stop
}

// Until asks until the answer is yes, or ends the test with what was seen last. It is for
// what nobody tells; what can be waited for is waited for.
func Until(t testing.TB, what string, ask func() (ok bool, seen any)) {
	t.Helper()
	pause, deadline := firstPause, time.Now().Add(Limit)
	for ; ; pause = min(2*pause, mostPause) {
		ok, seen := ask()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in %v; last seen: %v", what, Limit, seen)
		}
		time.Sleep(pause)
	}
}
