package cluster

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// die ends a node as SIGKILL does: its record stays, and nobody refreshes it.
func (w *watch) die() {
	w.once.Do(func() { close(w.stop) })
	<-w.done
}

// A node whose address refuses connections is missed before its record expires,
// but only if that is not refreshed either.
func TestNodeThatRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecords()
		a := join(t, r, node("a"))
		// Between two of a's looks: which of two at the same moment is first, nobody knows.
		time.Sleep(DefaultEvery / 2)
		b := join(t, r, node("b"))
		a.Refused("b", true)
		time.Sleep(time.Minute + DefaultEvery/2)
		synctest.Wait()
		if a.view() != "a b " {
			t.Fatalf("b refreshes its record, and a sees %s", a.view())
		}
		b.die()
		time.Sleep(DefaultEvery)
		synctest.Wait()
		if a.view() != "a b " {
			t.Fatalf("b has missed one turn, and a sees %s", a.view())
		}
		time.Sleep(a.silence() + hasteEvery - DefaultEvery)
		synctest.Wait()
		if a.view() != "a " {
			t.Errorf("b is dead, and a sees %s", a.view())
		}
		// Its next life counts at once.
		again := node("b")
		again.Started = 2
		b = join(t, r, again)
		time.Sleep(DefaultEvery)
		synctest.Wait()
		if a.view() != "a b " {
			t.Errorf("b is back, and a sees %s", a.view())
		}
		_, _ = a.Leave(t.Context()), b.Leave(t.Context())
	})
}

// A node that does not refresh its record, but does not refuse connections, has
// all its time; that it has expired is noticed at once.
func TestNodeThatIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecords()
		a, b := join(t, r, node("a")), join(t, r, node("b"))
		time.Sleep(10 * DefaultEvery)
		a.Refused("b", true)
		a.Refused("b", false)
		b.die()
		r.mu.Lock()
		left := time.Until(r.until["b"])
		r.mu.Unlock()
		time.Sleep(left - 1)
		synctest.Wait()
		if a.view() != "a b " {
			t.Errorf("b's record has not expired, and a sees %s", a.view())
		}
		time.Sleep(hasteEvery + 1)
		synctest.Wait()
		if a.view() != "a " {
			t.Errorf("b's record has expired, and a sees %s", a.view())
		}
		_ = a.Leave(t.Context())
	})
}

// While the store is away nobody can refresh a record: that says nothing about
// those who refuse connections.
func TestRefusedWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecords()
		a, b := join(t, r, node("a")), join(t, r, node("b"))
		time.Sleep(2 * DefaultEvery)
		a.Refused("b", true)
		r.breakDown(context.DeadlineExceeded)
		time.Sleep(2 * DefaultTTL)
		r.breakDown(nil)
		time.Sleep(2 * DefaultTTL)
		synctest.Wait()
		a.mu.Lock()
		views := len(a.views)
		a.mu.Unlock()
		if a.view() != "a b " || views != 2 {
			t.Errorf("a has seen %v", a.views)
		}
		_, _ = a.Leave(t.Context()), b.Leave(t.Context())
	})
}
