package cluster

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Defaults of Config: a node that dies is missed after two and a half to three
// seconds, and the others know half a second later.
const (
	DefaultTTL   = 3 * time.Second
	DefaultEvery = 500 * time.Millisecond
)

// leastPause is the least time from one look to the next, however often somebody
// asks for one.
const leastPause = 50 * time.Millisecond

// Records is the part of a store that a Membership needs.
type Records interface {
	PutMember(ctx context.Context, m store.Member, ttl time.Duration) error
	DeleteMember(ctx context.Context, node string) error
	Members(ctx context.Context) ([]store.Member, error)
}

// Config is what a Membership needs.
type Config struct {
	Records Records
	// Self is what this node says of itself at first; a node without a name
	// only looks.
	Self Member
	// TTL is after how long a node counts as gone that has not refreshed its
	// record, Every how often that is done, and the others' are read; 0 means
	// DefaultTTL and DefaultEvery.
	TTL, Every time.Duration
	// Changed hears of every list of members that differs from the last in
	// who is there, and how. It is called by one goroutine.
	Changed func(members []Member, table *Table)
	// Lapsed hears that the node's record may have expired meanwhile, so that
	// others may have done what was the node's to do. It may be nil, and is
	// called by the goroutine that calls Changed.
	Lapsed func()
	// Superseded hears that a later process has the node's name: this one is to
	// end. It may be nil, and is called once.
	Superseded func(err error)
	Logger     *slog.Logger
	// Tick makes the ticker; nil: time.NewTicker.
	Tick func(time.Duration) (c <-chan time.Time, stop func())
	// Now is a clock that does not go back; nil: time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	c.TTL, c.Every = cmp.Or(c.TTL, DefaultTTL), cmp.Or(c.Every, DefaultEvery)
	if c.Tick == nil {
		c.Tick = func(d time.Duration) (<-chan time.Time, func()) {
			t := time.NewTicker(d)
			return t.C, t.Stop
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Changed == nil {
		c.Changed = func([]Member, *Table) {}
	}
	if c.Lapsed == nil {
		c.Lapsed = func() {}
	}
	if c.Superseded == nil {
		c.Superseded = func(error) {}
	}
	return c
}

// Membership is a node's part in the cluster. Start starts it.
type Membership struct {
	cfg Config

	mu      sync.Mutex
	self    Member
	members []Member
	table   *Table
	// failed is why the store could not be reached at last.
	failed error
	// superseded: another process has the name.
	superseded bool
	// waiting are told of the next look that begins.
	waiting []chan<- error
	// refused are the nodes that refuse connections, overdue says that some
	// record should have been refreshed.
	refused map[string]bool
	overdue bool

	// written is when the record was last written, known when the others' were
	// last read, looked when the last look ended. They, and what
	// follows, belong to the goroutine that looks.
	written, known, looked time.Time
	pulses                 map[string]pulse
	// forgive is until when members that are missing count as there: the store
	// was away, and they could not refresh their records either.
	forgive time.Time
	// wrong is what is wrong with records that were of no use at last, by node.
	wrong map[string]string
	// useless counts the times that one was read.
	useless atomic.Uint64

	// nudge makes it look at once.
	nudge      chan struct{}
	stop, done chan struct{}
	started    atomic.Bool
	once       sync.Once
}

// New makes a Membership.
func New(cfg Config) *Membership {
	return &Membership{
		cfg: cfg.withDefaults(), self: cfg.Self, table: NewTable(nil), refused: map[string]bool{},
		nudge: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// Start writes the node's record, reads the others', and goes on doing so.
// Changed has been called once when it returns without error; after an error, it may
// be called again.
func (m *Membership) Start(ctx context.Context) error {
	err := m.enter(ctx)
	if err == nil {
		err = m.look(ctx)
	}
	if err != nil {
		return err
	}
	m.started.Store(true)
	go m.run()
	return nil
}

// enter writes the node's record before the others' count: of two nodes that join
// at the same moment, one at least sees the other.
func (m *Membership) enter(ctx context.Context) error {
	records, err := m.cfg.Records.Members(ctx)
	if err != nil {
		return im.Errorf(im.Unavailable, "the nodes' records cannot be read: %w", err)
	}
	if !m.yields(m.parse(records)) {
		_, err = m.write(ctx)
	}
	return err
}

func (m *Membership) run() {
	defer close(m.done)
	tick, stop := m.cfg.Tick(m.cfg.Every)
	defer stop()
	for {
		soon, enough := m.haste()
		select {
		case <-m.stop:
			enough()
			return
		case <-tick:
		case <-soon:
		case <-m.nudge:
			if !m.pause() {
				continue
			}
		}
		enough()
		waiting := m.asked()
		ctx, cancel := context.WithTimeout(context.Background(), m.cfg.TTL)
		err := m.look(ctx)
		cancel()
		m.report(err)
		for _, w := range waiting {
			w <- err
		}
	}
}

// pause keeps looks apart; it returns false when the node leaves.
func (m *Membership) pause() bool {
	wait := leastPause - m.cfg.Now().Sub(m.looked)
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-m.stop:
		return false
	}
}

// report logs when the store goes away and comes back.
func (m *Membership) report(err error) {
	m.mu.Lock()
	was := m.failed
	m.failed = err
	m.mu.Unlock()
	switch {
	case err != nil && was == nil:
		m.cfg.Logger.Warn("the cluster's records cannot be reached; the last known members count", "err", err)
	case err == nil && was != nil:
		m.cfg.Logger.Info("the cluster's records can be reached again")
	}
}

// look reads all records, and refreshes the node's own.
func (m *Membership) look(ctx context.Context) error {
	defer func() { m.looked = m.cfg.Now() }()
	began := m.cfg.Now()
	records, err := m.cfg.Records.Members(ctx)
	if err != nil {
		return im.Errorf(im.Unavailable, "the nodes' records cannot be read: %w", err)
	}
	members := m.parse(records)
	if m.yields(members) {
		return nil
	}
	self, err := m.write(ctx)
	if err != nil {
		return err
	}
	if !m.known.IsZero() && began.Sub(m.known) > m.cfg.TTL/2 {
		// Others may not have reached the store either.
		m.forgive = began.Add(m.cfg.TTL)
	}
	m.known = m.cfg.Now()
	m.take(with(m.feel(members, began), self), began)
	return nil
}

// yields reports whether a later process has the node's name.
func (m *Membership) yields(members []Member) bool {
	m.mu.Lock()
	self, already := m.self, m.superseded
	for _, o := range members {
		m.superseded = m.superseded || self.Node != "" && o.Node == self.Node && o.Started > self.Started
	}
	yields := m.superseded
	m.mu.Unlock()
	if yields && !already {
		m.cfg.Superseded(im.Errorf(im.Conflict, "another process has joined as node %q since; give each its own --node", self.Node))
	}
	return yields
}

// write refreshes the node's record, and returns what it says.
func (m *Membership) write(ctx context.Context) (Member, error) {
	m.mu.Lock()
	m.self.Beat++
	self := m.self
	m.mu.Unlock()
	if self.Node == "" {
		return self, nil
	}
	r, err := self.record()
	if err != nil {
		return self, err
	}
	began := m.cfg.Now()
	if err := m.cfg.Records.PutMember(ctx, r, m.cfg.TTL); err != nil {
		return self, im.Errorf(im.Unavailable, "the node's record cannot be written: %w", err)
	}
	lapsed := !m.written.IsZero() && began.Sub(m.written) >= m.cfg.TTL
	m.written = began
	if lapsed {
		m.cfg.Lapsed()
	}
	return self, nil
}

// with is a list that says of a node what that has just written.
func with(members []Member, self Member) []Member {
	if self.Node == "" {
		return members
	}
	members = slices.DeleteFunc(members, func(m Member) bool { return m.Node == self.Node })
	return append(members, self)
}
