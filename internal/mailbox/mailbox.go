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
	"github.com/skein-im/skein/internal/mailbox/slots"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/telemetry"
)

// Config of a mailbox node.
type Config struct {
	// Node names this node to the store.
	Node string
	// Shared: other nodes work on the same store, so this one serves only the
	// slots that Assign says.
	Shared bool
	// AuditEvery is how often a node that shares its store asks whether its slots
	// are still its own; 0: DefaultAudit.
	AuditEvery time.Duration
	// Elsewhere is offered every link message first, and reports whether it has
	// seen to it, or lost it: the sender sends it again. It must return at once.
	// nil: every entity is on this node.
	Elsewhere func(m *entity.Message) bool
	// Acquired hears that this node serves slots from now on, under which
	// epochs; it must return at once, and may be nil.
	Acquired func(list []im.Slot, epochs []im.Epoch)
	// Left hears that this node has handed over slots; it must return at once,
	// and may be nil.
	Left func(list []im.Slot, epochs []im.Epoch)
	// Hands reports whether a node is there that says when it has handed slots
	// over, to Released: they are not acquired before, unless that takes longer
	// than HandOver (0: DefaultHandOver). nil: there is none.
	Hands    func(node string) bool
	HandOver time.Duration
	// Fenced hears that another node has acquired a slot that this one served;
	// it must return at once, and may be nil.
	Fenced func()
	// Shards is how many goroutines share the entities; 0: one per core.
	Shards int
	// QueueSize bounds each shard's queue, QueueBytes what it holds.
	QueueSize  int
	QueueBytes int
	// Admission says when the mailbox counts as overloaded; without a
	// Threshold it never does.
	Admission admit.Config
	// Pace is the least time from one commit of a shard to the next.
	Pace time.Duration
	// Sweep is how long it takes to look once at every user served here, for
	// what Core.Retain says not to keep; 0: nobody is looked at. Users who do
	// something are seen to without.
	Sweep  time.Duration
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
		Sweep:      24 * time.Hour,
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
	tasks  sync.WaitGroup
	slots  *slots.Set
	// doubted asks for an audit at once.
	doubted chan struct{}
	// places are the servers of the store, as far as slots are acquired there.
	places places
	// cause is why slots were not served at last.
	cause atomic.Pointer[error]
	// stray counts link messages that came for entities of other nodes.
	stray atomic.Uint64
	// reads is how long pages took to be read from the store.
	reads telemetry.Histogram
	// swept counts the users whom the sweep has looked at.
	swept atomic.Uint64
}

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
	cfg.Core.Confirm = cfg.Core.Confirm || cfg.Shared
	cfg.Core.MaxHot /= cfg.Shards
	m := &Mailbox{cfg: cfg, store: st, control: admit.NewController(cfg.Admission), slots: slots.New(cfg.Shared), places: newPlaces(), doubted: make(chan struct{}, 1)}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	if cfg.Shared {
		cfg.Core.OwnerOf = m.slots.OwnerOf
	}
	for range cfg.Shards {
		m.shards = append(m.shards, shard.New(shard.Options{
			Config: cfg.Core, Store: st, Forward: m.forward, Lost: m.onLost,
			QueueSize: cfg.QueueSize, QueueBytes: cfg.QueueBytes, Control: m.control,
			Pace: cfg.Pace, Readers: 16, Now: cfg.Now,
		}))
	}
	return m
}

// Start starts serving: every slot, unless the store is shared. Entities that
// owe messages are woken.
func (m *Mailbox) Start(ctx context.Context) error {
	for _, s := range m.shards {
		s.Start()
	}
	if !m.cfg.Shared {
		all := make([]im.Slot, im.Slots)
		for i := range all {
			all[i] = im.Slot(i)
		}
		m.slots.Assign(all)
		m.slots.Plan(time.Now())
		if err := m.acquireAll(ctx, all); err != nil {
			m.Stop()
			return err
		}
	}
	m.tasks.Go(m.keep)
	if m.cfg.Shared {
		m.tasks.Go(m.audit)
	}
	m.tasks.Go(m.watchLoad)
	m.tasks.Go(m.sweep)
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

// forward carries a link message to its entity, here or elsewhere.
func (m *Mailbox) forward(msg *entity.Message) {
	if m.cfg.Elsewhere != nil && m.cfg.Elsewhere(msg) {
		return
	}
	m.Receive(msg)
}

// Receive takes a link message for an entity of this node. One for another
// node's is dropped: its sender sends it again, and may know better by then.
func (m *Mailbox) Receive(msg *entity.Message) {
	if !m.Serves(msg.To) {
		m.stray.Add(1)
		return
	}
	m.shardOf(msg.To).Submit(shard.Input{To: msg.To, Msg: msg})
}

// Health is nil while every slot is served.
func (m *Mailbox) Health() error {
	n := m.slots.Missing()
	if n == 0 {
		return nil
	}
	cause := errors.New("unknown")
	if p := m.cause.Load(); p != nil {
		cause = *p
	}
	return im.Errorf(im.Unavailable, "%d of %d slots are not served: %w", n, im.Slots, cause)
}

// Useful is nil unless slots are to be served here and none is: where a part of the
// store is away, the others are.
func (m *Mailbox) Useful() error {
	if m.slots.Count() > 0 {
		return nil
	}
	return m.Health()
}
