package mailbox

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/store"
)

// Config of a mailbox node.
type Config struct {
	// Node names this node to the store.
	Node string
	// Shards is how many goroutines share the entities; 0: one per core.
	Shards int
	// QueueSize bounds each shard's queue.
	QueueSize int
	// Pace is the least time from one commit of a shard to the next.
	Pace   time.Duration
	Core   shard.Config
	Logger *slog.Logger
	// Now is the clock.
	Now func() im.Millis
}

// DefaultConfig is a node on its own.
func DefaultConfig() Config {
	return Config{
		Node:      "local",
		QueueSize: 65536,
		Pace:      time.Millisecond,
		Core:      shard.DefaultConfig(),
		Logger:    slog.Default(),
		Now:       func() im.Millis { return im.Millis(time.Now().UnixMilli()) },
	}
}

// Mailbox implements im.Mailbox on a store.
type Mailbox struct {
	cfg    Config
	store  store.Store
	shards []*shard.Shard

	ctx    context.Context
	cancel context.CancelFunc
	lost   chan []im.Slot
	tasks  sync.WaitGroup
	// unserved is how many slots wait to be acquired again; cause why.
	unserved atomic.Int64
	cause    atomic.Pointer[error]
}

// acquireRetry is how long to wait before slots are acquired again.
const acquireRetry = time.Second

// New makes a mailbox; Start starts it.
func New(cfg Config, st store.Store) *Mailbox {
	if cfg.Shards <= 0 {
		cfg.Shards = runtime.GOMAXPROCS(0)
	}
	if cfg.Core.Jitter == nil {
		cfg.Core.Jitter = rand.Int64N
	}
	cfg.Core.Logger = cfg.Logger
	cfg.Core.MaxHot /= cfg.Shards
	m := &Mailbox{cfg: cfg, store: st, lost: make(chan []im.Slot, cfg.Shards)}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	for range cfg.Shards {
		m.shards = append(m.shards, shard.New(shard.Options{
			Config: cfg.Core, Store: st, Forward: m.forward, Lost: m.onLost,
			QueueSize: cfg.QueueSize, Pace: cfg.Pace, Readers: 16, Now: cfg.Now,
		}))
	}
	return m
}

// Start acquires every slot and starts serving. Entities that owe messages
// are woken.
func (m *Mailbox) Start(ctx context.Context) error {
	slots := make([]im.Slot, im.Slots)
	for i := range slots {
		slots[i] = im.Slot(i)
	}
	for _, s := range m.shards {
		s.Start()
	}
	if err := m.acquire(ctx, slots); err != nil {
		m.Stop()
		return err
	}
	m.tasks.Go(m.reacquire)
	return nil
}

// Stop finishes what was submitted, writes snapshots and waits.
func (m *Mailbox) Stop() {
	m.cancel()
	var all sync.WaitGroup
	for _, s := range m.shards {
		all.Go(s.Stop)
	}
	all.Wait()
	m.tasks.Wait()
}

func (m *Mailbox) shardOf(a im.Addr) *shard.Shard { return m.shardOfSlot(a.Slot()) }

func (m *Mailbox) shardOfSlot(s im.Slot) *shard.Shard { return m.shards[int(s)%len(m.shards)] }

// Submit implements im.Mailbox.
func (m *Mailbox) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	m.shardOf(to).Submit(shard.Input{To: to, Cmd: cmd, Done: done})
}

// forward carries a link message to the shard of its entity.
func (m *Mailbox) forward(msg *entity.Message) {
	m.shardOf(msg.To).Submit(shard.Input{To: msg.To, Msg: msg})
}

// acquire takes slots and hands them to their shards.
func (m *Mailbox) acquire(ctx context.Context, slots []im.Slot) error {
	epochs, err := m.store.Acquire(ctx, m.cfg.Node, slots)
	if err != nil {
		return im.Errorf(im.Unavailable, "cannot acquire slots: %w", err)
	}
	type share struct {
		slots   []im.Slot
		epochs  []im.Epoch
		pending []im.Addr
	}
	shares := make(map[*shard.Shard]*share)
	for i, slot := range slots {
		pending, err := m.store.Pending(ctx, slot)
		if err != nil {
			return im.Errorf(im.Unavailable, "cannot list undelivered messages: %w", err)
		}
		s := m.shardOfSlot(slot)
		if shares[s] == nil {
			shares[s] = &share{}
		}
		sh := shares[s]
		sh.slots, sh.epochs = append(sh.slots, slot), append(sh.epochs, epochs[i])
		sh.pending = append(sh.pending, pending...)
	}
	for s, sh := range shares {
		s.Own(sh.slots, sh.epochs, sh.pending)
	}
	return nil
}

// onLost hears from a shard that slots are not served any more.
func (m *Mailbox) onLost(slots []im.Slot, err error) {
	m.unserved.Add(int64(len(slots)))
	m.cause.Store(&err)
	m.cfg.Logger.Error("slots are not served: the store refused a commit", "slots", len(slots), "err", err)
	// A shard reports each slot at most once until it is served again, and
	// there is room for one report of every shard; further ones of a shard
	// that kept some slots wait in a goroutine.
	select {
	case m.lost <- slots:
	default:
		m.tasks.Go(func() {
			select {
			case m.lost <- slots:
			case <-m.ctx.Done():
			}
		})
	}
}

// reacquire takes lost slots again, for as long as it takes.
func (m *Mailbox) reacquire() {
	for {
		var slots []im.Slot
		select {
		case <-m.ctx.Done():
			return
		case slots = <-m.lost:
		}
		for err := m.acquire(m.ctx, slots); err != nil; err = m.acquire(m.ctx, slots) {
			m.cause.Store(&err)
			m.cfg.Logger.Warn("slots cannot be acquired yet", "slots", len(slots), "err", err)
			select {
			case <-m.ctx.Done():
				return
			case <-time.After(acquireRetry):
			}
		}
		m.unserved.Add(-int64(len(slots)))
		m.cfg.Logger.Info("slots are served again", "slots", len(slots))
	}
}

// Health is nil while every slot is served.
func (m *Mailbox) Health() error {
	n := m.unserved.Load()
	if n == 0 {
		return nil
	}
	cause := errors.New("unknown")
	if p := m.cause.Load(); p != nil {
		cause = *p
	}
	return im.Errorf(im.Unavailable, "%d of %d slots are not served: %w", n, im.Slots, cause)
}

// maxPage bounds the bytes of one page of a timeline.
const maxPage = im.MaxServerFrame

// ReadTimeline implements im.Mailbox.
func (m *Mailbox) ReadTimeline(ctx context.Context, user im.UserID, after im.Seq, limit int) ([][]byte, error) {
	entries, err := m.store.ReadLog(ctx, im.User(user), after+1, limit, maxPage)
	if err != nil {
		return nil, unreadable(err)
	}
	page := make([][]byte, 0, len(entries))
	for _, e := range entries {
		v, err := entity.Visible(e)
		if err != nil {
			return nil, err
		}
		page = append(page, v)
	}
	return page, nil
}

// ReadConversation implements im.Mailbox: each entry names the one before it.
func (m *Mailbox) ReadConversation(ctx context.Context, user im.UserID, from im.Seq, limit int) ([][]byte, im.Seq, error) {
	var page [][]byte
	size := 0
	for from != 0 && len(page) < limit && size < maxPage {
		entries, err := m.store.ReadLog(ctx, im.User(user), from, 1, maxPage)
		if err != nil {
			return nil, 0, unreadable(err)
		}
		if len(entries) == 0 {
			return nil, 0, im.Errorf(im.NotFound, "there is no entry %d", from)
		}
		v, prev, err := entity.VisibleInConversation(entries[0])
		if err != nil {
			return nil, 0, err
		}
		page = append(page, v)
		size += len(v)
		from = prev
	}
	return page, from, nil
}

func unreadable(err error) error {
	return &im.Error{Kind: im.Unavailable, RetryAfterMS: 1000, Detail: "the timeline cannot be read", Err: err}
}

// Stats sums the shards' counters.
func (m *Mailbox) Stats() Stats {
	var st Stats
	for _, s := range m.shards {
		st.add(s)
	}
	st.Unserved = int(m.unserved.Load())
	return st
}

// Stats are a mailbox's counters and gauges.
type Stats struct {
	shard.Stats
	// Busy and Dropped count commands refused and link messages dropped
	// because a queue was full; Queued is how many wait now.
	Busy, Dropped uint64
	Queued        int
	// Unserved is how many slots wait to be acquired again.
	Unserved int
}

func (st *Stats) add(s *shard.Shard) {
	c := s.Stats()
	st.Commands += c.Commands
	st.Messages += c.Messages
	st.Acks += c.Acks
	st.Commits += c.Commits
	st.CommitErrors += c.CommitErrors
	st.Fenced += c.Fenced
	st.Entries += c.Entries
	st.Records += c.Records
	st.Delivered += c.Delivered
	st.Retransmitted += c.Retransmitted
	st.Loads += c.Loads
	st.LoadErrors += c.LoadErrors
	st.Evictions += c.Evictions
	st.Hot += c.Hot
	st.Sessions += c.Sessions
	st.Busy += s.Busy.Load()
	st.Dropped += s.Dropped.Load()
	st.Queued += s.QueueLen()
}
