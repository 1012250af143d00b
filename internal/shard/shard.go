package shard

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Options are what a Shard needs besides its Core's Config.
type Options struct {
	Config
	Store store.Store
	// Forward carries a link message towards its entity, or loses it.
	Forward func(m *entity.Message)
	// Lost is told, from the shard's goroutine, which slots the shard no
	// longer serves and why. It must not block.
	Lost func(slots []im.Slot, err error)
	// QueueSize bounds the queue, QueueBytes (0: not) what it holds.
	QueueSize  int
	QueueBytes int
	// Control decides which commands enter the queue; nil: all that there is
	// room for. Shards may share it.
	Control *admit.Controller
	// Readers bounds how many reads of the store run at once.
	Readers int
	// Pace is the least time from one commit to the next. The first after a
	// quiet moment leaves at once; under load, what comes meanwhile shares
	// the next one, which saves a sync each.
	Pace time.Duration
	Now  func() im.Millis
}

// Shard is a goroutine that runs a Core.
type Shard struct {
	opts Options
	core *Core

	mu     sync.Mutex
	queue  []Input
	bytes  int
	posts  []func(now im.Millis)
	closed bool
	wake   chan struct{}

	commits  chan *Batch
	finished chan commitResult
	stop     chan struct{}
	loops    sync.WaitGroup

	// reading counts the readers that are busy, backlog are the reads that
	// wait; both belong to the shard's goroutine.
	reading int
	backlog []readFunc
	// jobs has room for every reader, so handing one out does not block.
	jobs    chan []readFunc
	readers sync.WaitGroup

	statsMu sync.Mutex
	stats   Stats
	// complaints are about what cannot be read.
	complaints complaints
	outbox     outbox

	// Busy and Dropped count refused commands and dropped link messages.
	Busy, Dropped atomic.Uint64
}

type commitResult struct {
	batch *Batch
	took  time.Duration
	err   error
}

// New makes a Shard; Start starts it.
func New(opts Options) *Shard {
	s := &Shard{
		opts:     opts,
		wake:     make(chan struct{}, 1),
		commits:  make(chan *Batch, 1),
		finished: make(chan commitResult, 1),
		stop:     make(chan struct{}),
		jobs:     make(chan []readFunc, opts.Readers),
	}
	if opts.Control != nil {
		s.opts.Started = s.started
	}
	s.core = NewCore(s.opts.Config, s)
	return s
}

// Start runs the shard until Stop.
func (s *Shard) Start() {
	s.loops.Go(s.commitLoop)
	s.loops.Go(s.run)
	for range s.opts.Readers {
		s.readers.Go(s.readLoop)
	}
}

// Stop refuses new inputs, finishes those it has, writes snapshots and waits
// for all of it.
func (s *Shard) Stop() {
	s.mu.Lock()
	already := s.closed
	s.closed = true
	s.mu.Unlock()
	if !already {
		close(s.stop)
	}
	s.loops.Wait()
	s.readers.Wait()
	// Of a shard that was never started.
	inputs, _ := s.take(nil, nil)
	for _, in := range inputs {
		s.turnAway(&in, true)
	}
}

// Own makes the shard serve slots, and wakes the entities of them that have
// undelivered messages.
func (s *Shard) Own(slots []im.Slot, epochs []im.Epoch, pending []im.Addr) {
	s.post(func(now im.Millis) {
		s.core.OwnAll(slots, epochs)
		for _, a := range pending {
			s.core.Wake(now, a)
		}
	})
}

// Hurry says that slots are served again, here or elsewhere. See Core.Hurry.
func (s *Shard) Hurry(slots []im.Slot) {
	s.post(func(now im.Millis) { s.core.Hurry(now, slots) })
}

// Leave hands slots over to another node; done is called on the shard's
// goroutine when they are served here no longer. See Core.Leave.
func (s *Shard) Leave(slots []im.Slot, done func()) {
	s.post(func(now im.Millis) { s.core.Leave(now, slots, done) })
}

// Disown drops slots that another node has, unless they have been acquired
// since under other epochs than these. Lost is told.
func (s *Shard) Disown(slots []im.Slot, epochs []im.Epoch) {
	s.post(func(im.Millis) {
		if lost := s.core.Disown(slots, epochs); len(lost) > 0 {
			s.opts.Lost(lost, &store.SlotError{Slots: lost})
		}
	})
}

// Stats are the core's counters as of its last turn.
func (s *Shard) Stats() Stats {
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	st := s.stats
	st.OldestOwed = s.outbox.oldest(s.opts.Now())
	return st
}

// post runs a function on the shard's goroutine. Posts are answers to what
// the core asked for, so their number is bounded by it.
func (s *Shard) post(f func(now im.Millis)) {
	s.mu.Lock()
	s.posts = append(s.posts, f)
	s.mu.Unlock()
	s.nudge()
}

func (s *Shard) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take empties the queue into spare slices.
func (s *Shard) take(queue []Input, posts []func(im.Millis)) ([]Input, []func(im.Millis)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, p := s.queue, s.posts
	s.queue, s.bytes, s.posts = queue[:0], 0, posts[:0]
	return q, p
}

// takePosts is take for answers only.
func (s *Shard) takePosts(posts []func(im.Millis)) []func(im.Millis) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.posts
	s.posts = posts[:0]
	return p
}

// run is the shard's goroutine.
func (s *Shard) run() {
	defer close(s.commits)
	defer close(s.jobs)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	t := turn{shard: s, limit: maxParts}
	stop := s.stop
	for {
		select {
		case <-s.wake:
		case r := <-s.finished:
			t.finish(r)
		case <-timer.C:
		case <-stop:
			stop = nil
			t.stopping = true
		}
		if t.turn() {
			s.core.DropAll(errStopping)
			return
		}
		timer.Reset(t.sleep())
	}
}

// turn is the state of the shard's goroutine between its turns.
type turn struct {
	shard             *Shard
	inputs            []Input
	at                int
	posts             []func(im.Millis)
	busy              bool
	stopping, flushed bool
	limit             batchLimit
	// lastCut is when the last batch went to the store; hold is how long
	// the next one still waits for more to join it.
	lastCut time.Time
	hold    time.Duration
}

// sleep is until when the shard has nothing to do by itself.
func (t *turn) sleep() time.Duration {
	d := time.Hour
	if next := t.shard.core.NextTick(); next != 0 {
		d = time.Duration(max(1, next-t.shard.opts.Now())) * time.Millisecond
	}
	if t.hold > 0 {
		d = min(d, t.hold)
	}
	return d
}

// clockEvery is after how many inputs a turn looks at the clock again: a long
// one takes many milliseconds.
const clockEvery = 64

// turn applies what has arrived, up to a full batch, and sends the batch off.
// It returns true when the shard has stopped.
func (t *turn) turn() bool {
	s, now := t.shard, t.shard.opts.Now()
	t.take()
	for _, f := range t.posts {
		f(now)
	}
	for t.at < len(t.inputs) && !t.full() {
		if t.at%clockEvery == 0 {
			now = s.opts.Now()
		}
		s.core.Handle(now, t.inputs[t.at])
		t.at++
	}
	if next := s.core.NextTick(); next != 0 && next <= now {
		s.core.Tick(now)
	}
	if t.stopping && t.idle() && !t.flushed {
		t.flushed = true
		s.core.Flush(now)
	}
	s.core.Evict(now)
	t.cut(now)
	s.core.Stats.Parked = s.core.parked
	s.statsMu.Lock()
	s.stats, s.outbox = s.core.Stats, s.core.outbox
	s.statsMu.Unlock()
	return t.stopping && t.flushed && t.idle() && !t.busy
}

// take fetches what has arrived: answers always, because inputs may wait for
// them, and inputs when those before have been applied.
func (t *turn) take() {
	clear(t.posts)
	if t.at < len(t.inputs) {
		t.posts = t.shard.takePosts(t.posts)
		return
	}
	clear(t.inputs)
	t.inputs, t.posts = t.shard.take(t.inputs, t.posts)
	t.at = 0
}

// full: the batch being filled is to be given no more.
func (t *turn) full() bool {
	core := t.shard.core
	return core.Full() || len(core.fill.parts) >= int(t.limit)
}

// idle: everything that was queued has been applied.
func (t *turn) idle() bool {
	queued, _ := t.shard.QueueLen()
	return t.at == len(t.inputs) && queued == 0
}

func (t *turn) cut(now im.Millis) {
	s := t.shard
	t.hold = 0
	for !t.busy {
		if t.hold = s.opts.Pace - time.Since(t.lastCut); t.hold > 0 && !t.full() && !t.stopping {
			return
		}
		b := s.core.Cut()
		if b == nil {
			return
		}
		if len(b.Changes.Changes) > 0 {
			t.busy = true
			t.lastCut = time.Now()
			s.commits <- b
			return
		}
		s.core.Done(now, b, nil)
	}
}

func (t *turn) finish(r commitResult) {
	t.busy = false
	t.limit.committed(len(r.batch.inner.parts), r.took)
	s := t.shard
	if lost := s.core.Done(s.opts.Now(), r.batch, r.err); len(lost) > 0 {
		s.opts.Lost(lost, r.err)
	}
	// Inputs may wait for room in the batch.
	s.nudge()
}

func (s *Shard) commitLoop() {
	for b := range s.commits {
		// A commit is never abandoned half way: its fate must be known.
		begun := time.Now()
		err := s.opts.Store.Commit(context.Background(), &b.Changes)
		b.inner.committed(s.opts.Traces)
		s.finished <- commitResult{b, time.Since(begun), err}
	}
}

// Forward implements Host.
func (s *Shard) Forward(m *entity.Message) { s.opts.Forward(m) }
