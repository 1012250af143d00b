package admit

import (
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// heeds is how late callers know the level: they do not look, or see it at
// once, or by answers from another machine.
var heeds = []time.Duration{0, 1, 50 * time.Millisecond}

// Whatever is offered, nearly as much is done as can be, and what is admitted
// is done soon; whether callers submit everything or heed the level, which
// they know late.
func TestGoodputUnderLoad(t *testing.T) {
	const capacity = 5000.0
	for _, heed := range heeds {
		for _, load := range []float64{0.5, 1, 2, 4} {
			s := newServer(uint64(load), capacity)
			s.heed = heed
			s.run(0.5*capacity, time.Second/2)
			s.run(load*capacity, 3*time.Second)
			goodput, p99 := s.goodput(3*time.Second), s.p99()
			if goodput < 0.88*min(1, load) || p99 > 350*time.Millisecond {
				t.Errorf("capacity %v, heed %v, load %v: goodput %.3f, p99 %v", capacity, heed, load, goodput, p99)
			}
		}
	}
}

// A load that comes from one moment to the next is in hand within a second.
func TestSuddenLoad(t *testing.T) {
	for seed := range uint64(2) {
		s := newServer(seed, 10_000)
		s.run(5000, 2*time.Second)
		s.run(40_000, time.Second)
		if g, p99 := s.goodput(time.Second), s.p99(); g < 0.85 || p99 > 400*time.Millisecond {
			t.Errorf("seed %d: first second: goodput %.3f, p99 %v", seed, g, p99)
		}
		for range 5 {
			s.run(40_000, time.Second)
			if g, p99 := s.goodput(time.Second), s.p99(); g < 0.85 || p99 > 250*time.Millisecond {
				t.Errorf("seed %d: later: goodput %.3f, p99 %v", seed, g, p99)
			}
		}
	}
}

// When the load goes away, so does the shedding.
func TestRelease(t *testing.T) {
	for _, heed := range heeds {
		for seed := range uint64(2) {
			s := newServer(seed, 5000)
			s.heed = heed
			s.run(20_000, 3*time.Second)
			s.run(2500, time.Second)
			s.run(2500, 5*time.Second)
			if len(s.shed) > 0 || s.ctl.Level() != im.AnyLevel {
				t.Errorf("heed %v, seed %d: %d users shed between 1 and 6 s after the load, level %d", heed, seed, len(s.shed), s.ctl.Level())
			}
		}
	}
}

// Without any request left, nothing stays shut.
func TestReleaseWhenIdle(t *testing.T) {
	s := newServer(1, 10_000)
	s.run(40_000, 2*time.Second)
	if s.ctl.Level() == im.AnyLevel {
		t.Fatal("not overloaded")
	}
	for len(s.queue) > 0 {
		s.process()
	}
	for end := s.now + 5*time.Second; s.now < end; s.now += 20 * time.Millisecond {
		s.ctl.Tick(s.now)
		if s.ctl.Level() == im.AnyLevel {
			return
		}
	}
	t.Fatalf("the level is still %d", s.ctl.Level())
}

// Callers that keep to the time they are given do not come back all at once,
// nor stay away longer than needed.
func TestPatientCallers(t *testing.T) {
	for _, heed := range heeds {
		s := newServer(1, 5000)
		s.patient, s.users, s.only, s.heed = true, 1000, Live, heed
		s.run(2500, time.Second)
		for _, length := range []time.Duration{time.Second, 4 * time.Second} {
			s.run(20_000, length)
			if g, p99 := s.goodput(length), s.p99(); g < 0.88 || p99 > 350*time.Millisecond {
				t.Errorf("heed %v, for %v: goodput %.3f, p99 %v", heed, length, g, p99)
			}
		}
	}
}

// As much is done where requests make further work that nobody admits, as
// messages between mailboxes are.
func TestFollowingWork(t *testing.T) {
	for seed := range uint64(2) {
		s := newServer(seed, 10_000)
		s.follow = 2
		s.run(5000, time.Second)
		s.run(40_000, 5*time.Second)
		if g, p99 := s.goodput(5*time.Second), s.p99(); g < 0.88 || p99 > 300*time.Millisecond {
			t.Errorf("seed %d: goodput %.3f, p99 %v", seed, g, p99)
		}
	}
}

// Where other programs take the processor away now and then, less is done, but
// not much less, and what is admitted is still done soon.
func TestUnevenServer(t *testing.T) {
	for _, heed := range heeds {
		for seed := range uint64(2) {
			s := newServer(seed, 8000)
			s.uneven, s.follow, s.heed = true, 2, heed
			s.run(4000, time.Second)
			s.run(32_000, 5*time.Second)
			if g, p99 := s.goodput(5*time.Second), s.p99(); g < 0.7 || p99 > 500*time.Millisecond {
				t.Errorf("heed %v, seed %d: goodput %.3f, p99 %v", heed, seed, g, p99)
			}
		}
	}
}

// A server that becomes four times slower sheds what it can no longer do, and
// no more, and takes it up again.
func TestSlowServer(t *testing.T) {
	for seed := range uint64(2) {
		s := newServer(seed, 10_000)
		s.run(8000, 2*time.Second)
		s.service *= 4
		s.run(8000, time.Second)
		s.run(8000, 5*time.Second)
		if g, p99 := s.goodput(5*time.Second), s.p99(); g < 0.88 || p99 > 450*time.Millisecond {
			t.Errorf("seed %d: slow: goodput %.3f, p99 %v", seed, g, p99)
		}
		s.service /= 4
		s.run(8000, 2*time.Second)
		s.run(8000, 5*time.Second)
		if g := s.goodput(5 * time.Second); g < 0.75 {
			t.Errorf("seed %d: fast again: goodput %.3f", seed, g)
		}
	}
}

// While nothing moves, no more is queued than can be done soon afterwards.
func TestStall(t *testing.T) {
	s := newServer(1, 10_000)
	s.run(20_000, 3*time.Second)
	s.stalled = s.now + 2*time.Second
	s.run(20_000, 2*time.Second)
	// A quarter of a second of work, and what is never shed.
	if n := len(s.queue); n > 10_000/4+2*2000+500 {
		t.Errorf("%d requests are queued", n)
	}
	s.run(20_000, time.Second)
	s.run(20_000, 5*time.Second)
	if g, p99 := s.goodput(5*time.Second), s.p99(); g < 0.88 || p99 > 300*time.Millisecond {
		t.Errorf("after the stall: goodput %.3f, p99 %v", g, p99)
	}
}

// A light load is not taken for overload where each request takes long.
func TestFewSlowRequests(t *testing.T) {
	for seed := range uint64(2) {
		s := newServer(seed, 100)
		s.run(50, 60*time.Second)
		if st := s.ctl.Stats(); st.Overloaded > 0 || len(s.shed) > 0 {
			t.Errorf("seed %d: %d windows overloaded, %d users shed", seed, st.Overloaded, len(s.shed))
		}
	}
}

// What frees resources is admitted always, and important classes before
// others; few users get some of their requests only.
func TestImportantFirst(t *testing.T) {
	s := newServer(1, 10_000)
	s.run(40_000, 5*time.Second)
	before := s.ctl.Stats()
	s.run(40_000, 5*time.Second)
	st := s.ctl.Stats()
	if st.Shed[Keep] != 0 {
		t.Errorf("%d requests of class keep were shed", st.Shed[Keep])
	}
	for _, c := range []Class{Login, Calls, Reads} {
		// 4,000 and 2,000 of these were offered a second.
		if n := st.Shed[c] - before.Shed[c]; n < 9000 {
			t.Errorf("%d requests of class %v were shed while sends were", n, c)
		}
	}
	if st.Shed[Live] == 0 {
		t.Error("the load was not high enough to shed sends")
	}
}

func TestRetryAfterGrowsWithTheLoad(t *testing.T) {
	s := newServer(1, 10_000)
	idle := s.ctl.RetryAfter(0)
	s.run(40_000, 5*time.Second)
	above := s.ctl.Level() + 1
	last := time.Duration(0)
	for _, l := range []im.Level{above, above + 100, above + 400, im.AnyLevel} {
		wait := s.ctl.RetryAfter(l)
		if wait < last || wait < minRetry || wait > maxRetry {
			t.Errorf("level %d waits %v after %v", l, wait, last)
		}
		last = wait
	}
	if s.ctl.RetryAfter(above) < 2*idle {
		t.Errorf("under a 4-fold load %v, without load %v", s.ctl.RetryAfter(above), idle)
	}
}

func TestWithdraw(t *testing.T) {
	c := NewController(DefaultConfig())
	for range 10 {
		if !c.Admit(0) {
			t.Fatal("refused")
		}
	}
	c.Observe(time.Millisecond)
	c.Withdraw()
	if st := c.Stats(); st.Queued != 8 || st.Admitted != 9 {
		t.Fatalf("%+v", st)
	}
}

// Without a threshold there is no overload.
func TestNoThreshold(t *testing.T) {
	c := NewController(Config{})
	for i := range 20 {
		c.Tick(time.Duration(i) * time.Second)
		for range 1000 {
			if !c.Admit(im.Level(levels - 1)) {
				t.Fatal("shed")
			}
		}
		c.Observe(time.Minute)
	}
	if c.Level() != im.AnyLevel || c.Stats().Windows != 0 {
		t.Fatalf("%+v", c.Stats())
	}
}

// A pause of the machine in a usual load costs few requests.
func TestPause(t *testing.T) {
	for seed := range uint64(2) {
		s := newServer(seed, 20_000)
		s.run(10_000, 3*time.Second)
		s.stalled = s.now + 120*time.Millisecond
		s.run(10_000, 2*time.Second)
		st := s.ctl.Stats()
		shed := uint64(0)
		for _, n := range st.Shed {
			shed += n
		}
		if shed > 1000 {
			t.Errorf("seed %d: %d of 20,000 requests were shed", seed, shed)
		}
	}
}

func BenchmarkAdmit(b *testing.B) {
	c := NewController(DefaultConfig())
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for user := im.UserID(0); pb.Next(); user++ {
			c.Admit(Priority(&im.Detach{}, user, 7))
		}
	})
}

func BenchmarkObserve(b *testing.B) {
	c := NewController(DefaultConfig())
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Observe(1)
		}
	})
}

func BenchmarkTick(b *testing.B) {
	c := NewController(DefaultConfig())
	now := time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		now += time.Second
		c.Admit(5)
		c.Tick(now)
	}
}
