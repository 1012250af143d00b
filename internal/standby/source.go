package standby

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Engine is the store whose commits are sent.
type Engine interface {
	store.Store
	store.Lister
}

// Place implements store.Placer.
func (s *Source) Place(slot im.Slot) string { return store.PlaceOf(s.Engine, slot) }

// Config is what a Source needs.
type Config struct {
	Engine Engine
	// Region and Node are told to the Follower.
	Region, Node string
	// Dial connects to the Follower.
	Dial func(ctx context.Context) (net.Conn, error)
	// Snapshot says up to where an entity's records include its log.
	Snapshot func(a im.Addr, recs []store.Record) (im.Seq, error)
	// Sync makes commits wait for the copy, at most Patience (0: 10 s); what
	// has waited in vain counts as unknown.
	Sync     bool
	Patience time.Duration
	// MaxQueuedBytes bounds what waits for the copy; 0: 64 MiB.
	MaxQueuedBytes int
	Logger         *slog.Logger
}

// Defaults of Config.
const (
	defaultPatience = 10 * time.Second
	defaultQueued   = 64 << 20
)

// Source is a store whose commits go to a Follower too.
type Source struct {
	Engine
	cfg Config

	mu    sync.Mutex
	slots [im.Slots]slot
	// ready are slots with something for the writer or a copier to do, each
	// once; wake says that there are some.
	ready  []im.Slot
	wake   chan struct{}
	queued int
	// moved is closed, and made anew, when copies have come further.
	moved chan struct{}
	// cause is why there is no link; nil: there is one.
	cause error
	stats Stats

	stop context.CancelFunc
	done chan struct{}
}

var _ store.Store = (*Source)(nil)

// phase is what is known of a slot's copy over the link there is.
type phase uint8

const (
	// unasked: nothing, and asked: the question is on its way.
	unasked phase = iota
	asked
	// behind: it has to be made anew, and copying: that is being done.
	behind
	copying
	// following: it is whole once it has come to position.
	following
)

// slot is what a Source knows of one.
type slot struct {
	// epoch is that under which the slot is owned; 0: it is another node's. After a
	// commit of which nothing is known, the slot is to be acquired again; until
	// then position is that of the last commit that is known.
	epoch im.Epoch
	phase phase
	// listed: it is among the ready ones.
	listed bool
	// position is the number of the last commit, copied that of the last that
	// the copy had when it was whole.
	position, copied uint64
	// queue are the commits up to position that the copy is not known to have;
	// the first sent of them are on their way.
	queue []queued
	sent  int
	bytes int
	// wants brings the answers to what a copier asks.
	wants chan []im.Seq
}

// queued is a commit's part for a slot, as a frame.
type queued struct {
	frame []byte
	at    time.Time
}

// NewSource makes a Source; it connects in the background until Close.
func NewSource(cfg Config) *Source {
	s := newSource(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go s.run(ctx)
	return s
}

// newSource does not connect yet.
func newSource(cfg Config) *Source {
	cfg.Patience = cmp.Or(cfg.Patience, defaultPatience)
	cfg.MaxQueuedBytes = cmp.Or(cfg.MaxQueuedBytes, defaultQueued)
	return &Source{
		Engine: cfg.Engine, cfg: cfg, done: make(chan struct{}),
		wake: make(chan struct{}, 1), moved: make(chan struct{}),
		cause: errors.New("not connected yet"),
	}
}

// Acquire implements store.Store.
func (s *Source) Acquire(ctx context.Context, owner string, slots []im.Slot) ([]im.Epoch, error) {
	epochs, err := s.Engine.Acquire(ctx, owner, slots)
	if err != nil {
		return nil, err
	}
	found, err := s.begin(ctx, slots, epochs)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	for i, slot := range slots {
		s.ownLocked(slot, epochs[i], found[i].number)
	}
	s.mu.Unlock()
	s.nudge()
	if s.cfg.Sync {
		if err := s.wait(ctx, slots, nil); err != nil {
			return nil, err
		}
	}
	return epochs, nil
}

// begin reads where slots stand, and notes that their commits are numbered under
// the new epochs. An owner before this one that did not do so may have written
// what no number tells of: then the slot gets one that no copy can have.
func (s *Source) begin(ctx context.Context, slots []im.Slot, epochs []im.Epoch) ([]position, error) {
	found := make([]position, len(slots))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(positionReads)
	for i, slot := range slots {
		group.Go(func() (err error) {
			found[i], err = readPosition(gctx, s.Engine, slot)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var b store.Batch
	for i := range found {
		if found[i].epoch+1 != uint64(epochs[i]) {
			found[i].number++
		}
		found[i].epoch = uint64(epochs[i])
		b.Changes = append(b.Changes, store.Change{Addr: positions()[slots[i]], Epoch: epochs[i], Put: found[i].records()})
	}
	// Of a slot that has a newer owner already, commits will be refused.
	var fenced *store.SlotError
	if err := s.Engine.Commit(ctx, &b); err != nil && !errors.As(err, &fenced) {
		return nil, err
	}
	return found, nil
}

// ownLocked begins with what the engine says of a slot. What was queued goes on
// if it leads there.
func (s *Source) ownLocked(at im.Slot, epoch im.Epoch, number uint64) {
	sl := &s.slots[at]
	if sl.position != number {
		s.dropLocked(sl)
		sl.position = number
	}
	if sl.phase != copying {
		sl.phase = unasked
	}
	sl.epoch = epoch
	s.readyLocked(at)
}

// dropLocked empties a slot's queue. The caller sees to the phase: a copy that has
// followed so far cannot be continued.
func (s *Source) dropLocked(sl *slot) {
	s.queued -= sl.bytes
	sl.queue, sl.sent, sl.bytes = nil, 0, 0
}

// yieldLocked: a slot has a newer owner, who sees to its copy.
func (s *Source) yieldLocked(at im.Slot) {
	sl := &s.slots[at]
	s.dropLocked(sl)
	sl.epoch, sl.phase = 0, unasked
}

// covered: the queue has everything after a number.
func (sl *slot) covered(after uint64) bool {
	return after <= sl.position && sl.position-after <= uint64(len(sl.queue))
}

// tookLocked lets go of what the copy has.
func (s *Source) tookLocked(sl *slot, upTo uint64) {
	first := sl.position - uint64(len(sl.queue)) + 1
	if upTo < first {
		return
	}
	n := min(int(upTo-first)+1, len(sl.queue))
	for _, q := range sl.queue[:n] {
		sl.bytes -= len(q.frame)
		s.queued -= len(q.frame)
	}
	clear(sl.queue[:n])
	sl.queue, sl.sent = sl.queue[n:], max(0, sl.sent-n)
	if len(sl.queue) == 0 {
		sl.queue = nil
	}
}

// readyLocked lists a slot for the writer.
func (s *Source) readyLocked(at im.Slot) {
	if sl := &s.slots[at]; !sl.listed {
		sl.listed = true
		s.ready = append(s.ready, at)
	}
}

func (s *Source) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// wait returns when the copies of slots have commits up to some numbers; nil: what
// has been committed by now.
func (s *Source) wait(ctx context.Context, slots []im.Slot, upTo []uint64) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Patience)
	defer cancel()
	for {
		s.mu.Lock()
		if upTo == nil {
			upTo = s.positionsLocked(slots)
		}
		reached, moved, cause := s.reachedLocked(slots, upTo), s.moved, s.cause
		s.mu.Unlock()
		if reached {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return im.Errorf(im.Unavailable, "the standby does not have it: %w", errors.Join(cause, context.Cause(ctx)))
		}
	}
}

func (s *Source) positionsLocked(slots []im.Slot) []uint64 {
	list := make([]uint64, len(slots))
	for i, at := range slots {
		list[i] = s.slots[at].position
	}
	return list
}

func (s *Source) reachedLocked(slots []im.Slot, upTo []uint64) bool {
	for i, at := range slots {
		if s.slots[at].copied < upTo[i] {
			return false
		}
	}
	return true
}

// Load implements store.Store.
func (s *Source) Load(ctx context.Context, a im.Addr, tail func([]store.Record) im.Seq) (store.Entity, error) {
	e, err := s.Engine.Load(ctx, a, tail)
	return e, errors.Join(err, s.settled(ctx, a))
}

// ReadLog implements store.Store.
func (s *Source) ReadLog(ctx context.Context, a im.Addr, from im.Seq, limit, maxBytes int) ([]store.Entry, error) {
	entries, err := s.Engine.ReadLog(ctx, a, from, limit, maxBytes)
	if err := errors.Join(err, s.settled(ctx, a)); err != nil {
		return nil, err
	}
	return entries, nil
}

// settled waits until what was read is in the copy too: with Sync, nobody may
// see what could still be lost. Of a slot that has a newer owner only that one
// knows what the copy has.
func (s *Source) settled(ctx context.Context, a im.Addr) error {
	if !s.cfg.Sync {
		return nil
	}
	slot := a.Slot()
	p, err := readPosition(ctx, s.Engine, slot)
	if err != nil {
		return err
	}
	s.mu.Lock()
	epoch := s.slots[slot].epoch
	s.mu.Unlock()
	if p.epoch != uint64(epoch) {
		return im.Errorf(im.Unavailable, "slot %d is another node's, which knows what the standby has", slot)
	}
	return s.wait(ctx, []im.Slot{slot}, []uint64{p.number})
}

// Close ends the link and closes the engine. What the copy lacks it gets when a
// Source is there again; see Drain.
func (s *Source) Close() error {
	s.End()
	return s.Engine.Close()
}

// End is Close without the engine.
func (s *Source) End() {
	s.stop()
	<-s.done
}

// Drain waits until the copy has everything that was committed.
func (s *Source) Drain(ctx context.Context) error {
	var slots []im.Slot
	s.mu.Lock()
	for at := range s.slots {
		if s.slots[at].epoch != 0 {
			slots = append(slots, im.Slot(at))
		}
	}
	s.mu.Unlock()
	return s.wait(ctx, slots, nil)
}
