package remote

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// Defaults of ClientConfig.
const (
	DefaultPatience       = 10 * time.Second
	DefaultMaxQueued      = 1 << 16
	DefaultMaxQueuedBytes = 64 << 20
)

// ClientConfig is what a Client needs. Zero values mean the defaults.
type ClientConfig struct {
	// Addr of the mailbox node: host:port, or unix: and a path.
	Addr string
	// Secret is shared by all nodes; at least MinSecret bytes.
	Secret []byte
	// Node names this node.
	Node   string
	Logger *slog.Logger
	// Instance tells this process's sessions from those of others: every
	// Client of the process has the same, and one Client per mailbox node.
	// 0: a random one.
	Instance uint64
	// Patience is how long a command may wait to be sent.
	Patience time.Duration
	// MaxQueued and MaxQueuedBytes bound the commands that wait.
	MaxQueued, MaxQueuedBytes int
	// HandshakeTimeout bounds connecting, and the handshake after it.
	HandshakeTimeout time.Duration
	Heartbeat        Heartbeat
	// Rand returns a number in [0, n); it spreads attempts to connect.
	Rand func(n int64) int64
}

func (c ClientConfig) withDefaults() ClientConfig {
	c.Patience = cmp.Or(c.Patience, DefaultPatience)
	c.MaxQueued = cmp.Or(c.MaxQueued, DefaultMaxQueued)
	c.MaxQueuedBytes = cmp.Or(c.MaxQueuedBytes, DefaultMaxQueuedBytes)
	c.HandshakeTimeout = cmp.Or(c.HandshakeTimeout, DefaultHandshakeTimeout)
	c.Heartbeat = c.Heartbeat.withDefaults()
	if c.Instance == 0 {
		c.Instance = randomID()
	}
	if c.Rand == nil {
		c.Rand = rand.Int64N
	}
	return c
}

// Client is a Mailbox in another process.
type Client struct {
	cfg           ClientConfig
	network, addr string
	// stop ends connecting; done: the client's goroutine has ended.
	stop, done chan struct{}
	level      atomic.Uint32

	mu sync.Mutex
	// queue waits to be sent; inFlight are those sent, by identifier, which
	// is an index. free are the identifiers not in use.
	queue    queue
	inFlight []pending
	free     []uint32
	turn     uint64
	sessions table[im.Sink]
	// link is nil while there is none; cause says why.
	link  *clientLink
	cause error
	// closing: no command is taken any more.
	closing bool

	stats   clientCounters
	traffic traffic
}

// NewClient makes a Client, which connects in the background.
func NewClient(cfg ClientConfig) (*Client, error) {
	if err := checkIdentity(cfg.Secret, cfg.Node); err != nil {
		return nil, err
	}
	if cfg.Logger == nil || cfg.Addr == "" {
		return nil, errors.New("a role link's client needs an address and a logger")
	}
	c := &Client{
		cfg: cfg.withDefaults(), network: "tcp", addr: cfg.Addr,
		stop: make(chan struct{}), done: make(chan struct{}),
		cause: im.Errorf(im.Unavailable, "not connected yet"),
	}
	if path, ok := strings.CutPrefix(cfg.Addr, "unix:"); ok {
		c.network, c.addr = "unix", path
	}
	c.level.Store(uint32(im.AnyLevel))
	go c.run()
	return c, nil
}

// retryMS is when to try again what failed because the mailbox is out of
// reach, or because too much waits for it.
const retryMS = 500

func unavailable(why string) *im.Error {
	return &im.Error{Kind: im.Unavailable, RetryAfterMS: retryMS, Detail: why}
}

// Submit implements im.Mailbox. What cannot even be queued is completed before
// it returns.
func (c *Client) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	p := newPending(to, cmd, done)
	if queued, err := c.enqueue(&p); !queued {
		c.stats.completed.Add(1)
		p.complete(nil, err)
	}
}

// enqueue takes a command, unless err, which may be nil, is its outcome.
func (c *Client) enqueue(p *pending) (queued bool, err error) {
	if p.codec == nil {
		return false, im.Errorf(im.Unimplemented, "%T cannot be carried between processes", p.cmd)
	}
	p.until = time.Now().Add(c.cfg.Patience)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.submitted.Add(1)
	if c.closing {
		return false, unavailable("the link to the mailbox is closed")
	}
	if err := c.register(p); err != nil {
		return false, err
	}
	if _, ok := p.cmd.(*im.Detach); ok {
		if _, ok := c.sessions.remove(p.session); !ok {
			// It has ended with its link, or was never attached.
			return false, nil
		}
	}
	c.queue.push(*p)
	if c.link != nil && len(c.free) > 0 {
		c.link.nudge()
	}
	return true, nil
}

// register checks whether there is room for a command, and notes the session
// that an Attach is to make.
func (c *Client) register(p *pending) error {
	if _, ok := p.cmd.(*im.Detach); ok {
		// It frees what an Attach took, so its queue is bounded by those.
		return nil
	}
	if c.queue.len() >= c.cfg.MaxQueued || c.queue.weight+p.weight > c.cfg.MaxQueuedBytes {
		c.stats.busy.Add(1)
		return &im.Error{Kind: im.Busy, RetryAfterMS: retryMS, Detail: "too much waits for the mailbox"}
	}
	at, ok := p.cmd.(*im.Attach)
	if !ok {
		return nil
	}
	if at.Sink == nil || at.Session == 0 {
		return im.Errorf(im.Invalid, "a session needs an identifier and a sink")
	}
	if !c.sessions.put(at.Session, at.Sink) {
		return im.Errorf(im.Invalid, "session %d is attached already", at.Session)
	}
	return nil
}

// defaultReadMS is how long a read may take whose context does not say.
const defaultReadMS = 10_000

// patienceMS is how long ctx waits.
func patienceMS(ctx context.Context) uint32 {
	by, ok := ctx.Deadline()
	if !ok {
		return defaultReadMS
	}
	return uint32(min(max(time.Until(by).Milliseconds(), 1), 6*defaultReadMS))
}

// ReadTimeline implements im.Mailbox.
func (c *Client) ReadTimeline(ctx context.Context, user im.UserID, after im.Seq, limit int) ([][]byte, error) {
	p, err := im.Ask[*page](ctx, c, im.User(user), &timelineRead{after: after, limit: clamp(limit), patienceMS: patienceMS(ctx)})
	if err != nil {
		return nil, err
	}
	return p.entries, nil
}

// ReadConversation implements im.Mailbox.
func (c *Client) ReadConversation(ctx context.Context, user im.UserID, from im.Seq, limit int) ([][]byte, im.Seq, error) {
	p, err := im.Ask[*page](ctx, c, im.User(user), &conversationRead{from: from, limit: clamp(limit), patienceMS: patienceMS(ctx)})
	if err != nil {
		return nil, 0, err
	}
	return p.entries, p.next, nil
}

// maxPageEntries is the most entries that a read may ask for.
const maxPageEntries = 1 << 20

func clamp(limit int) uint32 { return uint32(min(max(limit, 0), maxPageEntries)) }

// Level implements im.Leveler: it is the mailbox's, or im.AnyLevel.
func (c *Client) Level() im.Level { return im.Level(c.level.Load()) }

// Health is nil while the link is up.
func (c *Client) Health() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil {
		return nil
	}
	return im.Errorf(im.Unavailable, "the mailbox node at %s cannot be reached: %w", c.cfg.Addr, c.cause)
}

// Close sends what is queued, waits for the answers until ctx ends, completes
// the rest as Unavailable and kicks every session. Without a link it does not
// wait. It may be called more than once.
func (c *Client) Close(ctx context.Context) {
	c.mu.Lock()
	if !c.closing {
		c.closing = true
		close(c.stop)
	}
	l := c.link
	c.mu.Unlock()
	if l != nil {
		l.nudge()
	}
	select {
	case <-c.done:
		return
	case <-ctx.Done():
	}
	if l != nil {
		l.fail(context.Cause(ctx))
	}
	<-c.done
}

type clientCounters struct {
	connects, losses                              atomic.Uint64
	submitted, completed, repeated, expired, busy atomic.Uint64
	deliveries, entries, kicks, unwanted          atomic.Uint64
}

// ClientStats are a Client's counters and gauges.
type ClientStats struct {
	Up bool
	// Queued commands wait to be sent, InFlight ones for their answers.
	Queued, QueuedBytes, InFlight int
	Sessions                      int
	Level                         im.Level
	// Connects and Losses of links.
	Connects, Losses uint64
	// Repeated commands were sent over another link, because their fate was
	// unknown; Expired ones waited too long; Busy ones were not queued.
	Submitted, Completed, Repeated, Expired, Busy uint64
	// Unwanted are deliveries for sessions that have ended.
	Deliveries, Entries, Kicks, Unwanted uint64
	// Skipped are frames of a later version.
	Skipped           uint64
	BytesIn, BytesOut uint64
}

// Stats returns the counters.
func (c *Client) Stats() ClientStats {
	s := &c.stats
	st := ClientStats{
		Level:    c.Level(),
		Connects: s.connects.Load(), Losses: s.losses.Load(),
		Submitted: s.submitted.Load(), Completed: s.completed.Load(),
		Repeated: s.repeated.Load(), Expired: s.expired.Load(), Busy: s.busy.Load(),
		Deliveries: s.deliveries.Load(), Entries: s.entries.Load(), Kicks: s.kicks.Load(),
		Unwanted: s.unwanted.Load(), Skipped: c.traffic.skipped.Load(),
		BytesIn: c.traffic.bytesIn.Load(), BytesOut: c.traffic.bytesOut.Load(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	st.Up = c.link != nil
	st.Queued, st.QueuedBytes = c.queue.len(), c.queue.weight
	st.InFlight = len(c.inFlight) - len(c.free)
	st.Sessions = c.sessions.len()
	return st
}
