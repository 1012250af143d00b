package cluster

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// Defaults of Config.
const (
	DefaultTTL   = 5 * time.Second
	DefaultEvery = time.Second
)

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
	Logger  *slog.Logger
	// Tick makes the ticker; nil: time.NewTicker.
	Tick func(time.Duration) (c <-chan time.Time, stop func())
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

	// nudge makes it act at once.
	nudge      chan struct{}
	stop, done chan struct{}
	once       sync.Once
}

// New makes a Membership.
func New(cfg Config) *Membership {
	cfg.TTL, cfg.Every = cmp.Or(cfg.TTL, DefaultTTL), cmp.Or(cfg.Every, DefaultEvery)
	if cfg.Tick == nil {
		cfg.Tick = func(d time.Duration) (<-chan time.Time, func()) {
			t := time.NewTicker(d)
			return t.C, t.Stop
		}
	}
	if cfg.Changed == nil {
		cfg.Changed = func([]Member, *Table) {}
	}
	return &Membership{
		cfg: cfg, self: cfg.Self, table: NewTable(nil),
		nudge: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// Start writes the node's record, reads the others', and goes on doing so.
// Changed has been called once when it returns without error.
func (m *Membership) Start(ctx context.Context) error {
	if err := m.round(ctx); err != nil {
		close(m.done)
		return err
	}
	go m.run()
	return nil
}

func (m *Membership) run() {
	defer close(m.done)
	tick, stop := m.cfg.Tick(m.cfg.Every)
	defer stop()
	for {
		select {
		case <-m.stop:
			return
		case <-tick:
		case <-m.nudge:
		}
		ctx, cancel := context.WithTimeout(context.Background(), m.cfg.TTL)
		err := m.round(ctx)
		cancel()
		m.report(err)
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

// round refreshes the node's record and reads all records.
func (m *Membership) round(ctx context.Context) error {
	m.mu.Lock()
	self := m.self
	m.mu.Unlock()
	if self.Node != "" {
		r, err := self.record()
		if err != nil {
			return err
		}
		if err := m.cfg.Records.PutMember(ctx, r, m.cfg.TTL); err != nil {
			return im.Errorf(im.Unavailable, "the node's record cannot be written: %w", err)
		}
	}
	records, err := m.cfg.Records.Members(ctx)
	if err != nil {
		return im.Errorf(im.Unavailable, "the nodes' records cannot be read: %w", err)
	}
	m.take(records)
	return nil
}

// take makes a table of records.
func (m *Membership) take(records []store.Member) {
	members := make([]Member, 0, len(records))
	for _, r := range records {
		member, err := parse(r)
		if err != nil {
			m.cfg.Logger.Warn("a node's record is of no use", "err", err)
			continue
		}
		members = append(members, member)
	}
	m.mu.Lock()
	same := sameNodes(m.members, members)
	m.members = members
	if !same {
		m.table = NewTable(members)
	}
	table := m.table
	m.mu.Unlock()
	if !same {
		m.cfg.Changed(members, table)
	}
}

// sameNodes reports whether two lists place slots and name addresses alike;
// how many links a node has does not matter.
func sameNodes(a, b []Member) bool {
	if len(a) != len(b) {
		return false
	}
	known := make(map[string]Member, len(a))
	for _, m := range a {
		m.Links = 0
		known[m.Node] = m
	}
	for _, m := range b {
		m.Links = 0
		if known[m.Node] != m {
			return false
		}
	}
	return true
}

// Update changes what the node says of itself, at once.
func (m *Membership) Update(change func(self *Member)) {
	m.mu.Lock()
	before := m.self
	change(&m.self)
	changed := m.self != before
	m.mu.Unlock()
	if !changed {
		return
	}
	select {
	case m.nudge <- struct{}{}:
	default:
	}
}

// Members are the nodes as they were last read, and Table the placement that
// follows.
func (m *Membership) Members() ([]Member, *Table) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.members, m.table
}

// Leave stops refreshing the record and removes it, so that nobody has to wait
// until it expires.
func (m *Membership) Leave(ctx context.Context) error {
	m.once.Do(func() { close(m.stop) })
	<-m.done
	m.mu.Lock()
	node := m.self.Node
	m.mu.Unlock()
	if node == "" {
		return nil
	}
	return m.cfg.Records.DeleteMember(ctx, node)
}
