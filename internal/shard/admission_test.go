package shard

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// Every input is said to have started once, when its entity is there or when
// it is refused.
func TestStartedOnce(t *testing.T) {
	var queued []im.Millis
	h := newHarness(t, func(c *Config) { c.Started = func(_ *Input, d im.Millis) { queued = append(queued, d) } })
	expect := func(what string, want ...im.Millis) {
		t.Helper()
		if !slices.Equal(queued, want) {
			t.Fatalf("%s: started after %v, want %v", what, queued, want)
		}
		queued = nil
	}
	submit := func(a im.Addr, cmd im.Command) {
		h.core.Handle(h.now+3, Input{To: a, Cmd: cmd, Queued: h.now})
	}
	submit(im.User(1), &im.ListDevices{})
	submit(im.User(1), &im.Detach{})
	expect("waiting for the entity")
	h.now += 50
	h.load()
	expect("loaded", 50, 50)
	submit(im.User(1), &im.Detach{})
	submit(im.Addr{Kind: 99}, &im.ListDevices{})
	expect("hot, and nonsense", 3, 3)
	h.core.Handle(h.now+3, Input{To: im.User(1), Msg: &entity.Message{From: im.User(2), To: im.User(1), Seq: 1}, Queued: h.now + 1})
	expect("a link message", 2)

	submit(im.User(2), &im.ListDevices{})
	load := h.loads[0]
	h.loads = nil
	h.core.Loaded(h.now, load.addr, load.ticket, nil, errors.New("disk trouble"))
	expect("a failed load", 0)
	submit(im.User(3), &im.ListDevices{})
	h.core.DropAll(nil)
	expect("dropped with its slot", 3)
	submit(im.User(1), &im.ListDevices{})
	expect("not owned", 3)
}

// What waits for loads is bounded in bytes too.
func TestParkedBytes(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxParkedBytes = 100_000 })
	body := text(strings.Repeat("x", 40_000))
	for n := range 3 {
		if h.core.Full() {
			t.Fatalf("full after %d", n)
		}
		h.do("send", im.User(1), &im.SendNumbered{To: 2, SendID: 1, Content: body})
	}
	if !h.core.Full() {
		t.Fatal("takes more")
	}
	h.load()
	if h.core.Full() || h.core.parkedBytes != 0 {
		t.Fatalf("%d bytes are left", h.core.parkedBytes)
	}
}

func TestQueueBytes(t *testing.T) {
	r := build(func(o *Options) { o.QueueBytes = 200_000; o.Control = admit.NewController(admit.DefaultConfig()) })
	cmd := &im.SendNumbered{To: 2, SendID: 1, Content: text(strings.Repeat("x", 60_000))}
	first, second := r.submit(im.User(1), cmd), r.submit(im.User(1), cmd)
	if err := <-r.submit(im.User(1), cmd); im.KindOf(err) != im.Busy {
		t.Fatalf("got %v", err)
	}
	if inputs, bytes := r.QueueLen(); inputs != 2 || bytes < 120_000 {
		t.Fatalf("%d inputs of %d bytes", inputs, bytes)
	}
	if st := r.opts.Control.Stats(); st.Queued != 2 {
		t.Fatalf("the controller knows of %d", st.Queued)
	}
	r.Stop()
	for _, ch := range []<-chan error{first, second} {
		if err := <-ch; im.KindOf(err) != im.Unavailable {
			t.Fatalf("got %v", err)
		}
	}
	if st := r.opts.Control.Stats(); st.Queued != 0 {
		t.Fatalf("the controller still knows of %d", st.Queued)
	}
}

// A user's long polls are bounded; other sessions are not touched by that.
func TestPollsAreBounded(t *testing.T) {
	h := newHarness(t)
	h.befriend(1, 2)
	poll := func() string {
		h.sessions++
		h.do("poll", im.User(1), &im.Attach{Device: 1, TokenHash: [32]byte{1}, Session: h.sessions, Poll: true, Sink: &sink{h: h, id: h.sessions}})
		return h.drain()[0]
	}
	for n := range maxPolls {
		if got := poll(); got != "reply poll: head 0 cursor 0" {
			t.Fatalf("poll %d: %s", n, got)
		}
	}
	if got := poll(); got != "reply poll: busy" {
		t.Fatal(got)
	}
	h.attach(1, 1, 0)
	h.expect("reply attach 66: head 0 cursor 0")
	h.do("detach", im.User(1), &im.Detach{Session: 5})
	h.drain()
	if got := poll(); got != "reply poll: head 0 cursor 0" {
		t.Fatal(got)
	}
}

func TestBatchLimit(t *testing.T) {
	l := batchLimit(maxParts)
	for range 20 {
		l.committed(int(l), time.Second)
	}
	if l != leastParts {
		t.Fatalf("after slow commits %d", l)
	}
	l.committed(leastParts-1, 0)
	l.committed(leastParts, 40*time.Millisecond)
	l.committed(10, time.Second)
	if l != leastParts {
		t.Fatalf("changed to %d by commits that say nothing", l)
	}
	for range 20 {
		l.committed(int(l), 10*time.Millisecond)
	}
	if l != maxParts {
		t.Fatalf("after fast commits %d", l)
	}
}

// overloaded is a shard whose store reads 2,000 entities a second, and what
// becomes of a load of commands for cold ones.
type overloaded struct {
	*running
	rnd     *rand.Rand
	user    im.UserID
	mu      sync.Mutex
	latency []time.Duration
	shed    atomic.Int64
	hint    atomic.Uint32
}

// offer offers a load for some time, waits for what was admitted, and returns
// how long that took, ascending.
func (o *overloaded) offer(perSecond float64, length time.Duration) []time.Duration {
	for end := time.Now().Add(length); time.Now().Before(end); {
		o.user++
		begun := time.Now()
		o.Submit(Input{To: im.User(o.user), Cmd: &im.Authenticate{}, Done: im.CompletionFunc(func(_ im.Command, _ im.Result, err error) {
			if im.KindOf(err) == im.Busy {
				o.shed.Add(1)
				o.hint.Store(im.AsError(err).RetryAfterMS)
				return
			}
			o.mu.Lock()
			defer o.mu.Unlock()
			o.latency = append(o.latency, time.Since(begun))
		})})
		time.Sleep(time.Duration(o.rnd.ExpFloat64() / perSecond * float64(time.Second)))
	}
	time.Sleep(time.Second)
	o.mu.Lock()
	defer o.mu.Unlock()
	latency := o.latency
	o.latency = nil
	slices.Sort(latency)
	return latency
}

// A shard under four times the load it can take does as much as it can, soon,
// and refuses the rest at once with a hint.
func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		control := admit.NewController(admit.DefaultConfig())
		r := build(func(o *Options) { o.Control = control; o.MaxHot = 1000 })
		r.store.loadTime = 2 * time.Millisecond
		r.Start()
		r.ownAll(1)
		stop := make(chan struct{})
		go func() {
			for begun := time.Now(); ; {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
					control.Tick(time.Since(begun))
				}
			}
		}()
		o := &overloaded{running: r, rnd: rand.New(rand.NewPCG(1, 2))}
		o.offer(1000, 2*time.Second)
		if n := o.shed.Load(); n != 0 {
			t.Errorf("%d were shed below the capacity", n)
		}
		latency := o.offer(8000, 5*time.Second)
		done := len(latency)
		if done < 8500 || done > 12_000 {
			t.Errorf("%d of 10,000 were done", done)
		}
		if p99 := latency[done*99/100]; p99 > 500*time.Millisecond {
			t.Errorf("p99 %v", p99)
		}
		if o.hint.Load() < 100 {
			t.Errorf("the hint is to retry after %d ms", o.hint.Load())
		}
		if st := control.Stats(); st.Queued != 0 || st.Shed[admit.Login] != uint64(o.shed.Load()) {
			t.Errorf("%+v, %d were shed", st, o.shed.Load())
		}
		close(stop)
		r.Stop()
	})
}
