package remote

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/telemetry"
)

// Client is a Mailbox in another process.
type Client struct {
	cfg ClientConfig
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

	outbound outbound

	stats   clientCounters
	traffic traffic
	// trips is written by the reader of the link.
	trips telemetry.Histogram
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
		cfg:  cfg.withDefaults(),
		stop: make(chan struct{}), done: make(chan struct{}),
		cause: im.Errorf(im.Unavailable, "not connected yet"),
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

// Offer is Submit for a command about a session, unless the session is not
// one of this client's: then it does nothing and returns false.
func (c *Client) Offer(to im.Addr, cmd im.Command, done im.Completion) bool {
	p := newPending(to, cmd, done)
	p.offered = true
	queued, err := c.enqueue(&p)
	switch {
	case queued:
	case err == errNotMine:
		return false
	default:
		c.stats.completed.Add(1)
		p.complete(nil, err)
	}
	return true
}

// errNotMine: a session is not one of the client's.
var errNotMine = im.Errorf(im.NotFound, "the session was not attached here")

// enqueue takes a command, unless err, which may be nil, is its outcome.
func (c *Client) enqueue(p *pending) (queued bool, err error) {
	if p.codec == nil {
		return false, im.Errorf(im.Unimplemented, "%T cannot be carried between processes", p.cmd)
	}
	p.until = time.Now().Add(c.cfg.Patience)
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.offered {
		if _, ok := c.sessions.get(p.session); !ok {
			return false, errNotMine
		}
	}
	c.stats.submitted.Add(1)
	if c.closing {
		return false, unavailable("the link to the mailbox is closed")
	}
	if c.cfg.FailFast && c.link == nil {
		return false, unavailable("there is no link to the node")
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
	return c.readBack(ctx, user, &conversationRead{from: from, limit: clamp(limit), patienceMS: patienceMS(ctx)})
}

// ReadStatement implements im.StatementReader.
func (c *Client) ReadStatement(ctx context.Context, user im.UserID, from im.Seq, limit int) ([][]byte, im.Seq, error) {
	return c.readBack(ctx, user, &conversationRead{from: from, limit: clamp(limit), patienceMS: patienceMS(ctx), statement: true})
}

func (c *Client) readBack(ctx context.Context, user im.UserID, cmd *conversationRead) ([][]byte, im.Seq, error) {
	p, err := im.Ask[*page](ctx, c, im.User(user), cmd)
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
// wait. It may be called more than once, but not by a completion or a sink.
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
