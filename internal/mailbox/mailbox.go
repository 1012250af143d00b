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

	"github.com/skein-im/skein/internal/admit"
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
	// QueueSize bounds each shard's queue, QueueBytes what it holds.
	QueueSize  int
	QueueBytes int
	// Admission says when the mailbox counts as overloaded; without a
	// Threshold it never does.
	Admission admit.Config
	// Pace is the least time from one commit of a shard to the next.
	Pace   time.Duration
	Core   shard.Config
	Logger *slog.Logger
	// Now is the clock, which must not go back; nil: the system's.
	Now func() im.Millis
}

// DefaultConfig is a node on its own.
func DefaultConfig() Config {
	return Config{
		Node:       "local",
		QueueSize:  65536,
		QueueBytes: 64 << 20,
		Admission:  admit.DefaultConfig(),
		Pace:       time.Millisecond,
		Core:       shard.DefaultConfig(),
		Logger:     slog.Default(),
	}
}

// Mailbox implements im.Mailbox on a store.
type Mailbox struct {
	cfg     Config
	store   store.Store
	shards  []*shard.Shard
	control *admit.Controller

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
	if cfg.Now == nil {
		cfg.Now = newClock(systemTime()).now
	}
	cfg.Core.Logger = cfg.Logger
	cfg.Core.MaxHot /= cfg.Shards
	m := &Mailbox{cfg: cfg, store: st, control: admit.NewController(cfg.Admission), lost: make(chan []im.Slot, cfg.Shards)}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	for range cfg.Shards {
		m.shards = append(m.shards, shard.New(shard.Options{
			Config: cfg.Core, Store: st, Forward: m.forward, Lost: m.onLost,
			QueueSize: cfg.QueueSize, QueueBytes: cfg.QueueBytes, Control: m.control,
			Pace: cfg.Pace, Readers: 16, Now: cfg.Now,
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
	m.tasks.Go(m.watchLoad)
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
