//go:build linux

package evloop

import (
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestWheelAgainstAModel(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		const slots = 300
		tab := newTable()
		w := newWheel(tab)
		for range slots {
			tab.alloc(nil)
		}
		// due is what the wheel should know.
		due := map[int32]uint32{}
		now := uint32(0)
		for range 3000 {
			slot := int32(rnd.IntN(slots))
			switch rnd.IntN(4) {
			case 0, 1:
				at := now + uint32(rnd.IntN([]int{3, 200, wheelSlots, 3 * wheelSlots}[rnd.IntN(4)]))
				w.set(slot, at)
				due[slot] = min(max(at, now+1), now+wheelSlots-1)
			case 2:
				w.clear(slot)
				delete(due, slot)
			case 3:
				checkNext(t, w, due)
				to := now + uint32(rnd.IntN([]int{2, 50, 2 * wheelSlots}[rnd.IntN(3)]))
				fired := map[int32]bool{}
				w.advance(to, func(slot int32) {
					if fired[slot] || due[slot] == 0 || due[slot] > to {
						t.Fatalf("seed %d: slot %d, due at %d, fires by %d", seed, slot, due[slot], to)
					}
					fired[slot] = true
					delete(due, slot)
				})
				now = to
				for slot, at := range due {
					if at <= now {
						t.Fatalf("seed %d: slot %d, due at %d, has not fired by %d", seed, slot, at, now)
					}
				}
			}
		}
		checkNext(t, w, due)
	}
}

func checkNext(t *testing.T, w *wheel, due map[int32]uint32) {
	t.Helper()
	first := uint32(0)
	for _, at := range due {
		if first == 0 || at < first {
			first = at
		}
	}
	if tick, ok := w.next(); tick != first || ok != (len(due) > 0) {
		t.Fatalf("next is %d (%v) instead of %d", tick, ok, first)
	}
}

func TestWheelChangesWhileItFires(t *testing.T) {
	tab := newTable()
	w := newWheel(tab)
	for range 4 {
		tab.alloc(nil)
	}
	for slot := range int32(3) {
		w.set(slot, 5)
	}
	var fired []int32
	w.advance(5, func(slot int32) {
		fired = append(fired, slot)
		w.clear(1)
		w.set(slot, 5+wheelSlots)
		w.set(3, 0)
	})
	if len(fired) != 2 || fired[0] != 2 || fired[1] != 0 {
		t.Errorf("slots %v fired", fired)
	}
	if tick, _ := w.next(); tick != 6 {
		t.Errorf("next is %d", tick)
	}
}

func TestTimerFiresOnceAndNotEarly(t *testing.T) {
	fired := 0
	l := newHandLoop(t, Config{}, func(h *hooks) { h.timeout = func(*Conn) { fired++ } })
	c, _ := l.pair(t)
	for _, d := range []time.Duration{time.Millisecond, 150 * time.Millisecond, 10 * time.Second, 20 * time.Minute} {
		fired = 0
		c.SetTimer(d)
		for set := l.now; fired == 0; l.pass(90 * time.Millisecond) {
			if l.now.Sub(set) > d+3*tickLength+time.Second {
				t.Fatalf("a timer for %v has not fired", d)
			}
		}
		l.pass(time.Hour)
		if fired != 1 {
			t.Errorf("a timer for %v fired %d times", d, fired)
		}
	}
	c.SetTimer(time.Second)
	c.SetTimer(0)
	l.pass(time.Hour)
	if fired != 1 {
		t.Error("a timer fired that was taken back")
	}
}

func TestIdleIsPutOffByData(t *testing.T) {
	fired := 0
	consume := true
	l := newHandLoop(t, Config{}, func(h *hooks) {
		h.timeout = func(*Conn) { fired++ }
		h.data = func(_ *Conn, b []byte) int {
			if !consume {
				return 0
			}
			return len(b)
		}
	})
	c, peer := l.pair(t)
	c.SetIdle(time.Second)
	for range 50 {
		put(t, peer, []byte("x"))
		l.pass(900 * time.Millisecond)
	}
	if fired != 0 {
		t.Fatal("idle in spite of data")
	}
	if when := l.table.at(c.slot).when; when == 0 || when > l.tick+12 {
		t.Errorf("the wheel looks at tick %d, in %d", when, when-l.tick)
	}
	// Half a message is no sign of life.
	consume = false
	for range 3 {
		put(t, peer, []byte("x"))
		l.pass(500 * time.Millisecond)
	}
	if fired != 1 {
		t.Errorf("fired %d times", fired)
	}
	c.SetIdle(time.Second)
	l.pass(2 * time.Second)
	if fired != 2 {
		t.Error("idle did not fire again")
	}
}

func TestTimerSetEarlierThanBefore(t *testing.T) {
	fired := 0
	l := newHandLoop(t, Config{}, func(h *hooks) { h.timeout = func(*Conn) { fired++ } })
	c, _ := l.pair(t)
	c.SetTimer(time.Minute)
	c.SetTimer(time.Second)
	l.pass(2 * time.Second)
	if fired != 1 {
		t.Error("the earlier moment was not kept")
	}
}

func TestStallIsAPaceNotASign(t *testing.T) {
	for perSecond, want := range map[int]state{4 << 10: closed, 16 << 10: open} {
		l := newHandLoop(t, Config{StallTimeout: 10 * time.Second}, nil)
		c, peer := l.pair(t)
		if err := unix.SetsockoptInt(c.FD(), unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<10); err != nil {
			t.Fatal(err)
		}
		if err := c.Write(make([]byte, 2<<20)); err != nil {
			t.Fatal(err)
		}
		l.turn()
		queued := c.Queued()
		for range 60 {
			for got := 0; got < perSecond; got += 1 << 10 {
				_, _ = unix.Read(peer, make([]byte, 1<<10))
			}
			l.pass(time.Second)
		}
		if c.Queued() == queued {
			t.Error("nothing was read")
		}
		if c.state != want {
			t.Errorf("with %d bytes a second the state is %d", perSecond, c.state)
		}
		if want == closed && <-l.h.closed != ErrStalled {
			t.Error("closed for another reason")
		}
	}
}

func TestStallIsOverWhenTheQueueIsEmpty(t *testing.T) {
	l := newHandLoop(t, Config{StallTimeout: 10 * time.Second}, nil)
	c, peer := l.pair(t)
	if err := c.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	// Something waits all the while for the rest of a message.
	l.h.data = func(*Conn, []byte) int { return 0 }
	put(t, peer, []byte("x"))
	for l.turn(); c.Queued() > 0; l.turn() {
		take(t, peer)
	}
	c.SetTimer(time.Second)
	l.h.timeout = func(*Conn) {}
	l.pass(time.Minute)
	if c.state != open || c.busy == nil {
		t.Errorf("state %d, waiting %+v", c.state, c.busy)
	}
}

func TestDeadlineWithinWhatIsPastTheWheel(t *testing.T) {
	// A turn that comes very late sees all that has come up.
	fired := 0
	l := newHandLoop(t, Config{}, func(h *hooks) { h.timeout = func(*Conn) { fired++ } })
	for i := range 50 {
		c, _ := l.pair(t)
		c.SetTimer(time.Duration(i) * 10 * time.Second)
	}
	l.pass(24 * time.Hour)
	if fired != 49 {
		t.Errorf("%d of 49 timers fired", fired)
	}
}

// TestAlarm: the last one that was set rings, once, and not before its time.
func TestAlarm(t *testing.T) {
	r := newRig(t, "tcp", Config{Loops: 1}, nil)
	l := r.e.Loops()[0]
	rung := make(chan time.Time, 10)
	var at time.Time
	err := l.Post(func() {
		l.At(l.Now(), func() { t.Error("an alarm rings that was replaced") })
		at = time.Now().Add(20 * time.Millisecond)
		l.At(at, func() {
			rung <- l.Now()
			// A turn later, though it is time already.
			l.At(at, func() { rung <- l.Now() })
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	first, second := wait(t, rung, "alarm"), wait(t, rung, "second alarm")
	if first.Before(at) || !second.After(first) {
		t.Errorf("set for %v, it rings at %v and %v", at, first, second)
	}
}
