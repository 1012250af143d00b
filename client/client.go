package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/clientcore"
	"github.com/skein-im/skein/internal/im"
)

// Client is a device's link to its server, kept up until Close. Its methods
// may be called concurrently. The calls of the embedded Methods go over the
// link.
type Client struct {
	Methods
	opts Options

	// ctx ends with the client.
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	// slots bounds the outbox: one is taken per send until its answer.
	slots chan struct{}
	// welcomed is closed at the first Welcome, done when all has ended.
	welcomed, done chan struct{}
	entries        chan Entry
	// arrived says that the queue has entries.
	arrived chan struct{}

	mu    sync.Mutex
	core  *clientcore.Core[sendFunc]
	calls calls
	// session is the link of the moment, nil while there is none.
	session *session
	self    Identity
	// queue holds entries to hand over; untaken counts them and those
	// being handed over.
	queue []queued
	// notices wait likewise.
	notices []Notice
	untaken int
	paused  bool
	// rewinds counts how often the server has lost entries that had come, those
	// after kept the last time.
	rewinds int
	kept    Seq
	// err is why the client has ended; trouble why it has no link.
	err, trouble error
}

// Identity is who the server says that the client is.
type Identity struct {
	User   UserID
	Device DeviceID
	Name   string
}

// Dial connects and logs in. It tries until it has succeeded, ctx is done, or
// the server says that trying again is useless. After that ctx plays no role:
// the client stays until Close.
func Dial(ctx context.Context, opts Options) (*Client, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	var st clientcore.State
	if opts.Cursor != nil {
		st.HasCursor, st.Cursor = true, im.Seq(*opts.Cursor)
		if opts.Generation != nil {
			generation := im.Generation(*opts.Generation)
			st.Generation = &generation
		}
	}
	c := &Client{
		opts:     opts,
		slots:    make(chan struct{}, opts.Outbox),
		welcomed: make(chan struct{}),
		done:     make(chan struct{}),
		entries:  make(chan Entry),
		arrived:  make(chan struct{}, 1),
		// Numbers that are being filled need room beside the sends.
		core:  clientcore.New[sendFunc](clientcore.Config{Outbox: opts.Outbox + im.SendWindow}, st),
		calls: calls{pending: map[uint64]*call{}},
	}
	c.Methods = Methods{c}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.tasks.Go(c.dispatch)
	go c.run()
	select {
	case <-c.welcomed:
		return c, nil
	case <-c.done:
		return nil, c.Err()
	case <-ctx.Done():
	}
	trouble := c.whyNot()
	c.Close()
	return nil, im.Errorf(im.Unavailable, "not connected in time: %w", errors.Join(trouble, context.Cause(ctx)))
}

// Close says goodbye and ends the client. Sends without a receipt fail; they
// may have been accepted. It must not be called from OnEntry or from the
// callback of a send.
func (c *Client) Close() error {
	c.fail(ErrClosed)
	// A link that does not even take a goodbye is cut.
	cut := time.AfterFunc(closeTimeout, c.hangUp)
	<-c.done
	cut.Stop()
	return nil
}

const closeTimeout = time.Second

// Done is closed when the client has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err is why the client has ended: ErrClosed, a *CloseError, or the error of
// OnEntry; nil while it has not.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Self is who the client is logged in as.
func (c *Client) Self() Identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.self
}

// Connected reports whether there is a link just now.
func (c *Client) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session != nil
}

// Cursor is the last timeline entry the application has taken, with all before
// it; what Options.Cursor wants next time.
func (c *Client) Cursor() Seq {
	c.mu.Lock()
	defer c.mu.Unlock()
	cursor, _ := c.core.Cursor()
	return cursor
}

// Generation is that of the timeline which Cursor is of; what Options.Generation
// wants next time. nil: the server has not said.
func (c *Client) Generation() *uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.core.Generation()
	if g == nil {
		return nil
	}
	n := uint64(*g)
	return &n
}

// Head is the last timeline entry that is known to exist. The application has
// caught up when Cursor has reached it.
func (c *Client) Head() Seq {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.core.Head()
}

// fail ends the client, for the first of all reasons given.
func (c *Client) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	c.cancel()
}

// hangUp cuts the link of the moment.
func (c *Client) hangUp() {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if s != nil {
		_ = s.conn.Close()
	}
}

func (c *Client) whyNot() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trouble
}

// end waits for everything and fails what waits for the server.
func (c *Client) end() {
	c.cancel()
	c.tasks.Wait()
	c.mu.Lock()
	abandoned := c.core.Abandon()
	c.calls.fail(c.err, true)
	err := c.err
	c.mu.Unlock()
	for _, answered := range abandoned {
		if answered != nil {
			answered(Receipt{}, err)
		}
	}
	close(c.done)
}
