package route

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// Link is the way to one node's mailbox.
type Link interface {
	im.Mailbox
	im.StatementReader
	im.Leveler
	// Offer is Submit for a command about a session; it does nothing and
	// returns false if the session was not attached over this link, or has
	// ended.
	Offer(to im.Addr, cmd im.Command, done im.Completion) bool
	// Forward carries a link message, or loses it.
	Forward(m *entity.Message)
	// Announce tells the node which slots this one serves from now on, under
	// which epochs, or does not.
	Announce(slots []im.Slot, epochs []im.Epoch)
	// Health is nil while the node can be reached.
	Health() error
	// Close ends the link, at the latest when ctx ends.
	Close(ctx context.Context)
}

// Placement says which node serves which slot.
type Placement interface {
	// Owner is the node that is to serve a slot; false: there is none.
	Owner(slot im.Slot) (cluster.Member, bool)
}

// Config is what a Mailbox needs. Zero values mean the defaults.
type Config struct {
	// Dial makes the link to a node. It must return at once.
	Dial func(m cluster.Member) (Link, error)
	// Stale hears that the placement seems to be old. It must return at once,
	// and may be nil.
	Stale  func()
	Logger *slog.Logger
	// Patience is how long a command may wait to be repeated.
	Patience time.Duration
	// MaxWaiting is how many may wait.
	MaxWaiting int
	// After runs a function after a while; nil: time.AfterFunc.
	After func(d time.Duration, f func()) (stop func() bool)
	Now   func() time.Time
	// Rand returns a number in [0, n).
	Rand func(n int64) int64
}

// Defaults of Config.
const (
	DefaultPatience   = 10 * time.Second
	DefaultMaxWaiting = 10_000
)

func (c Config) withDefaults() Config {
	c.Patience = cmp.Or(c.Patience, DefaultPatience)
	c.MaxWaiting = cmp.Or(c.MaxWaiting, DefaultMaxWaiting)
	if c.Stale == nil {
		c.Stale = func() {}
	}
	if c.After == nil {
		c.After = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Int64N
	}
	return c
}

// Mailbox routes commands to nodes. Update brings it the nodes.
type Mailbox struct {
	cfg  Config
	view atomic.Pointer[view]

	// mu serializes Update, Learn and Close, and guards what follows.
	mu     sync.Mutex
	closed bool
	// waiting are the commands that wait to be repeated, and what stops the
	// wait.
	waiting map[*attempt]func() bool
	// tenures are the last acquisitions of slots that were heard of.
	tenures [im.Slots]tenure
	// asked counts the attempts, to tell which of them was first.
	asked   uint64
	closing sync.WaitGroup

	repeated, corrected, dropped, unrouted atomic.Uint64
}

// New makes a Mailbox that knows no nodes yet.
func New(cfg Config) *Mailbox {
	m := &Mailbox{cfg: cfg.withDefaults(), waiting: map[*attempt]func() bool{}}
	m.view.Store(&view{})
	return m
}

// node is a node and the link to it.
type node struct {
	member cluster.Member
	link   Link
}

// view is who is there and serves what, as of one Update, and what was heard since.
type view struct {
	nodes  []*node
	byName map[string]*node
	// due is who is to serve each slot, owners who does, as far as is known.
	due    [im.Slots]*node
	owners [im.Slots]atomic.Pointer[node]
}

// owner is the node that serves an entity; nil: none.
func (v *view) owner(a im.Addr) *node { return v.owners[a.Slot()].Load() }

// same is the node of another view that is reached in the same way.
func (v *view) same(m cluster.Member) *node {
	i := slices.IndexFunc(v.nodes, func(n *node) bool { return n.member.Node == m.Node && n.member.Roles == m.Roles })
	if i < 0 {
		return nil
	}
	return v.nodes[i]
}

// Update says which nodes there are, and which of them is to serve what.
func (m *Mailbox) Update(members []cluster.Member, placement Placement) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	old, next := m.view.Load(), &view{byName: make(map[string]*node, len(members))}
	for _, member := range members {
		if member.Roles == "" {
			continue
		}
		if n := m.reach(old, member); n != nil {
			next.nodes = append(next.nodes, n)
			next.byName[member.Node] = n
		}
	}
	for slot := range next.due {
		if owner, ok := placement.Owner(im.Slot(slot)); ok {
			next.due[slot] = next.byName[owner.Node]
		}
		if next.due[slot] != nil || m.tenures[slot].node != "" {
			m.place(next, im.Slot(slot))
		}
	}
	m.view.Store(next)
	for _, n := range old.nodes {
		if !slices.ContainsFunc(next.nodes, func(o *node) bool { return o.link == n.link }) {
			m.part(n)
		}
	}
	m.hurry(next)
}

// reach is a node with the link that there is to it, or a new one.
func (m *Mailbox) reach(old *view, member cluster.Member) *node {
	if n := old.same(member); n != nil {
		return &node{member, n.link}
	}
	link, err := m.cfg.Dial(member)
	if err != nil {
		m.cfg.Logger.Error("a mailbox node cannot be used", "node", member.Node, "addr", member.Roles, "err", err)
		return nil
	}
	return &node{member, link}
}

// farewell is how long a node that leaves in order may take to answer what is
// under way. One that is gone without a word is not waited for.
const farewell = 2 * time.Second

// part closes the link to a node that is gone.
func (m *Mailbox) part(n *node) {
	m.closing.Go(func() {
		patience := time.Duration(0)
		if n.member.State == cluster.Draining {
			patience = farewell
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		n.link.Close(ctx)
	})
}

// Close closes every link, at the latest when ctx ends, and completes what
// waits.
func (m *Mailbox) Close(ctx context.Context) {
	m.mu.Lock()
	m.closed = true
	waiting := m.inOrder()
	for _, a := range waiting {
		m.waiting[a]()
	}
	m.waiting = nil
	m.mu.Unlock()
	for _, a := range waiting {
		a.finish(nil, unavailable("the way to the mailboxes is closed"))
	}
	for _, n := range m.view.Load().nodes {
		m.closing.Go(func() { n.link.Close(ctx) })
	}
	m.closing.Wait()
}

// Health is nil while some node that is to serve slots can be reached.
func (m *Mailbox) Health() error {
	v := m.view.Load()
	if len(v.nodes) == 0 {
		return im.Errorf(im.Unavailable, "there is no mailbox node")
	}
	var errs []error
	for _, n := range v.nodes {
		err := n.link.Health()
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Links are the links that there are.
func (m *Mailbox) Links() []Link {
	v := m.view.Load()
	links := make([]Link, len(v.nodes))
	for i, n := range v.nodes {
		links[i] = n.link
	}
	return links
}

// LevelFor implements im.AddrLeveler.
func (m *Mailbox) LevelFor(to im.Addr) im.Level {
	if n := m.view.Load().owner(to); n != nil {
		return n.link.Level()
	}
	return im.AnyLevel
}

// Forward carries a link message to the node that serves its entity, or drops
// and counts it: its sender sends it again.
func (m *Mailbox) Forward(msg *entity.Message) {
	n := m.view.Load().owner(msg.To)
	if n == nil {
		m.dropped.Add(1)
		return
	}
	n.link.Forward(msg)
}

// Announce tells every node which slots this one serves from now on.
func (m *Mailbox) Announce(slots []im.Slot, epochs []im.Epoch) {
	for _, n := range m.view.Load().nodes {
		n.link.Announce(slots, epochs)
	}
}
