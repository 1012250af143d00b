package shard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// running is a shard on a store in memory, which sends link messages to
// itself.
type running struct {
	*Shard
	store *memory
	lost  atomic.Int64
}

func start(t *testing.T, adjust ...func(*Options)) *running {
	t.Helper()
	r := build(adjust...)
	r.Start()
	t.Cleanup(r.Stop)
	r.ownAll(1)
	return r
}

func build(adjust ...func(*Options)) *running {
	r := &running{store: newMemory()}
	opts := Options{
		Config: testConfig(), Store: r.store, QueueSize: 1 << 16, Readers: 4,
		Now:     func() im.Millis { return im.Millis(time.Now().UnixMilli()) },
		Forward: func(m *entity.Message) { r.Submit(Input{To: m.To, Msg: m}) },
		Lost:    func(slots []im.Slot, _ error) { r.lost.Add(int64(len(slots))) },
	}
	for _, f := range adjust {
		f(&opts)
	}
	r.Shard = New(opts)
	return r
}

func (r *running) ownAll(epoch im.Epoch, pending ...im.Addr) {
	var slots []im.Slot
	var epochs []im.Epoch
	for s := range im.Slot(im.Slots) {
		slots, epochs = append(slots, s), append(epochs, epoch)
	}
	r.Own(slots, epochs, pending)
}

// submit submits a command and returns where its outcome will be.
func (r *running) submit(to im.Addr, cmd im.Command) <-chan error {
	ch := make(chan error, 2)
	r.Submit(Input{To: to, Cmd: cmd, Done: im.CompletionFunc(func(_ im.Command, _ im.Result, err error) { ch <- err })})
	return ch
}

func (r *running) ask(t *testing.T, to im.Addr, cmd im.Command) im.Result {
	t.Helper()
	type outcome struct {
		res im.Result
		err error
	}
	ch := make(chan outcome, 1)
	r.Submit(Input{To: to, Cmd: cmd, Done: im.CompletionFunc(func(_ im.Command, res im.Result, err error) { ch <- outcome{res, err} })})
	o := <-ch
	if o.err != nil {
		t.Fatalf("%v: %T: %v", to, cmd, o.err)
	}
	return o.res
}

func (r *running) provision(t *testing.T, users ...im.UserID) {
	t.Helper()
	for _, u := range users {
		var friends []im.UserID
		for _, f := range users {
			if f != u {
				friends = append(friends, f)
			}
		}
		r.ask(t, im.User(u), &im.Provision{Friends: friends, TokenHashes: [][32]byte{{1}}})
	}
}

func (r *running) counters(t *testing.T, u im.UserID) *im.CountersInfo {
	t.Helper()
	return r.ask(t, im.User(u), &im.Counters{}).(*im.CountersInfo)
}

// Messages of many senders at once arrive, each once and in order.
func TestConcurrentSenders(t *testing.T) {
	r := start(t, func(o *Options) { o.MaxHot, o.SnapshotEvery, o.MaxBatchBytes = 3, 5, 2000 })
	users := []im.UserID{1, 2, 3, 4, 5, 6}
	r.provision(t, users...)
	const each = 50
	var all sync.WaitGroup
	for _, u := range users {
		all.Go(func() {
			for cs := range im.ClientSeq(each) {
				to := users[(int(u)+int(cs))%len(users)]
				if to == u {
					to = users[int(u)%len(users)]
				}
				err := <-r.submit(im.User(u), &im.Send{To: to, Device: 1, ClientSeq: cs + 1, Content: text(fmt.Sprint(u, cs))})
				if err != nil {
					t.Errorf("user %d, client_seq %d: %v", u, cs+1, err)
				}
			}
		})
	}
	all.Wait()
	r.settle(t, users)
	sent, received := uint64(0), uint64(0)
	for _, u := range users {
		c := r.counters(t, u)
		sent, received = sent+c.SendID, received+c.RecvID
	}
	if want := uint64(len(users) * each); sent != want || received != want {
		t.Fatalf("%d sent, %d received, want %d", sent, received, want)
	}
}

// settle waits until every message is acknowledged.
func (r *running) settle(t *testing.T, users []im.UserID) {
	t.Helper()
	for _, u := range users {
		for c := r.counters(t, u); c.SendAckID != c.SendID; c = r.counters(t, u) {
		}
	}
}

// The queue takes commands up to half its size, link messages up to all of
// it, and ends of sessions always; what it does not take is counted.
func TestQueueBounds(t *testing.T) {
	r := build(func(o *Options) { o.QueueSize = 8 })
	var waiting []<-chan error
	for range 4 {
		waiting = append(waiting, r.submit(im.User(1), &im.ListDevices{}))
	}
	if err := <-r.submit(im.User(1), &im.ListDevices{}); im.KindOf(err) != im.Busy || im.AsError(err).RetryAfterMS == 0 {
		t.Fatalf("got %v", err)
	}
	for range 5 {
		r.Submit(Input{To: im.User(1), Msg: &entity.Message{From: im.User(2), To: im.User(1), Seq: 1}})
	}
	waiting = append(waiting, r.submit(im.User(1), &im.Detach{}))
	if n, _ := r.QueueLen(); n != 9 || r.Busy.Load() != 1 || r.Dropped.Load() != 1 {
		t.Fatalf("queue %d, busy %d, dropped %d", n, r.Busy.Load(), r.Dropped.Load())
	}
	// It was never started: what it has taken is refused in the end.
	r.Stop()
	for i, ch := range waiting {
		if err := <-ch; im.KindOf(err) != im.Unavailable {
			t.Fatalf("command %d: %v", i, err)
		}
	}
	if err := <-r.submit(im.User(1), &im.ListDevices{}); im.KindOf(err) != im.Unavailable {
		t.Fatalf("after the stop: %v", err)
	}
}

// Everything submitted is completed, once, whenever the stop comes.
func TestStopCompletesEverything(t *testing.T) {
	for round := range 20 {
		r := build(func(o *Options) { o.QueueSize = 64 })
		r.Start()
		r.ownAll(1)
		r.provision(t, 1, 2, 3)
		var submitted, completed, twice atomic.Int64
		var all sync.WaitGroup
		begun := make(chan struct{}, 3)
		for u := range im.UserID(3) {
			all.Go(func() {
				for cs := range im.ClientSeq(200) {
					if cs == im.ClientSeq(10*round) {
						begun <- struct{}{}
					}
					var done atomic.Bool
					submitted.Add(1)
					r.Submit(Input{To: im.User(u + 1), Cmd: &im.Send{To: (u+1)%3 + 1, Device: 1, ClientSeq: cs + 1, Content: text("x")},
						Done: im.CompletionFunc(func(im.Command, im.Result, error) {
							if done.Swap(true) {
								twice.Add(1)
							}
							completed.Add(1)
						})})
				}
			})
		}
		<-begun
		r.Stop()
		all.Wait()
		if completed.Load() != submitted.Load() || twice.Load() != 0 {
			t.Fatalf("round %d: %d submitted, %d completed, %d twice", round, submitted.Load(), completed.Load(), twice.Load())
		}
		r.Stop()
	}
}

// A stop finishes what was taken and writes snapshots, so that the next start
// has nothing to replay.
func TestStopWritesSnapshots(t *testing.T) {
	r := start(t)
	r.provision(t, 1, 2)
	r.store.commits.close()
	sent := r.submit(im.User(1), &im.Send{To: 2, Device: 1, ClientSeq: 1, Content: text("x")})
	stopped := make(chan struct{})
	go func() {
		r.Stop()
		close(stopped)
	}()
	r.store.commits.open()
	<-stopped
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	e, err := r.store.Load(context.Background(), im.User(1), func(recs []im.Record) im.Seq {
		ent, err := entity.New(im.User(1))
		if err != nil {
			t.Fatal(err)
		}
		seq, err := ent.Restore(recs)
		if err != nil {
			t.Fatal(err)
		}
		return seq
	})
	if err != nil || len(e.Tail) != 0 {
		t.Fatalf("%d entries are left to replay (%v)", len(e.Tail), err)
	}
}

// Commands that wait for an entity that cannot be read yet are told so at the
// stop, which waits for the read.
func TestStopDuringLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := build()
		r.Start()
		r.ownAll(1)
		r.store.loads.close()
		waiting := r.submit(im.User(1), &im.ListDevices{})
		synctest.Wait()
		stopped := make(chan struct{})
		go func() {
			r.Stop()
			close(stopped)
		}()
		if err := <-waiting; im.KindOf(err) != im.Unavailable {
			t.Fatalf("got %v", err)
		}
		synctest.Wait()
		select {
		case <-stopped:
			t.Fatal("the stop does not wait for the read")
		default:
		}
		r.store.loads.open()
		<-stopped
	})
}

// No more than Readers reads run at once, and inputs that wait for them keep
// to their bound; all of it goes on when the store does.
func TestReadsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := build(func(o *Options) { o.MaxParked = 30 })
		r.Start()
		r.ownAll(1)
		r.store.loads.close()
		var waiting []<-chan error
		for u := range im.UserID(100) {
			waiting = append(waiting, r.submit(im.User(u+1), &im.ListDevices{}))
		}
		synctest.Wait()
		if r.store.most != r.opts.Readers {
			t.Fatalf("%d reads at once, want %d", r.store.most, r.opts.Readers)
		}
		if hot := r.Stats().Hot; hot != 30 {
			t.Fatalf("%d entities are being loaded, want 30", hot)
		}
		r.store.loads.open()
		for i, ch := range waiting {
			if err := <-ch; im.KindOf(err) != im.NotFound {
				t.Fatalf("command %d: %v", i, err)
			}
		}
		r.Stop()
	})
}

// A lost ack is made good by time alone: the message is sent again, and the
// mark in the store goes away.
func TestTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dropped atomic.Int64
		r := build()
		forward := r.opts.Forward
		r.opts.Forward = func(m *entity.Message) {
			if dropped.Add(1) > 3 {
				forward(m)
			}
		}
		r.Start()
		r.ownAll(1)
		r.provision(t, 1, 2)
		if err := <-r.submit(im.User(1), &im.Send{To: 2, Device: 1, ClientSeq: 1, Content: text("x")}); err != nil {
			t.Fatal(err)
		}
		if !r.store.pending(im.User(1)) {
			t.Fatal("not marked pending")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if r.store.pending(im.User(1)) {
			t.Fatal("still marked pending")
		}
		if c := r.counters(t, 2); c.RecvID != 1 {
			t.Fatalf("counters %+v", c)
		}
		r.Stop()
	})
}

// After a commit whose fate is unknown every slot is reported lost, and the
// shard serves again when it is given them back.
func TestLost(t *testing.T) {
	r := start(t)
	r.provision(t, 1, 2)
	r.store.mu.Lock()
	r.store.fail = errors.New("connection lost")
	r.store.mu.Unlock()
	cmd := &im.Send{To: 2, Device: 1, ClientSeq: 1, Content: text("x")}
	if err := <-r.submit(im.User(1), cmd); im.KindOf(err) != im.Unavailable {
		t.Fatalf("got %v", err)
	}
	if err := <-r.submit(im.User(1), cmd); im.KindOf(err) != im.Unavailable || r.lost.Load() != im.Slots {
		t.Fatalf("got %v; %d slots lost", err, r.lost.Load())
	}
	r.ownAll(2)
	if err := <-r.submit(im.User(1), cmd); err != nil {
		t.Fatal(err)
	}
	r.settle(t, []im.UserID{1, 2})
}

// Entities that owe messages are woken with their slots.
func TestPendingAreWoken(t *testing.T) {
	r := build(func(o *Options) { o.Forward = func(*entity.Message) {} })
	r.Start()
	r.ownAll(1)
	r.provision(t, 1, 2)
	if err := <-r.submit(im.User(1), &im.Send{To: 2, Device: 1, ClientSeq: 1, Content: text("x")}); err != nil {
		t.Fatal(err)
	}
	r.Stop()

	synctest.Test(t, func(t *testing.T) {
		next := build()
		next.store = r.store
		next.opts.Store = r.store
		next.Start()
		next.ownAll(2, im.User(1))
		time.Sleep(time.Minute)
		if c := next.counters(t, 2); c.RecvID != 1 {
			t.Fatalf("counters %+v", c)
		}
		next.Stop()
	})
}
