package remote

import (
	"context"
	"net"
	"strings"
	"time"
)

// How long to wait before connecting again: from minReconnect on, doubling,
// spread from half to one and a half times.
const (
	minReconnect = 20 * time.Millisecond
	maxReconnect = 700 * time.Millisecond
	// complainEvery is how often it is logged that the other end is out of
	// reach.
	complainEvery = time.Minute
)

// run is the client's goroutine: it connects, reads, and makes all calls to
// sinks and completions except for those from within Submit.
func (c *Client) run() {
	defer close(c.done)
	var complained time.Time
	for attempt := 0; ; attempt++ {
		l, err := c.connect()
		if l != nil {
			c.cfg.Logger.Info("role link up", "node", l.peer.node, "addr", c.cfg.Addr)
			c.cfg.Up()
			err = l.carry()
			c.lose(err)
			if l.useful {
				attempt, complained = 0, time.Time{}
			}
		}
		if c.isClosing() {
			c.lose(net.ErrClosed)
			return
		}
		c.setCause(err)
		c.cfg.Down(err)
		if time.Since(complained) >= complainEvery {
			complained = time.Now()
			c.cfg.Logger.Warn("role link down", "addr", c.cfg.Addr, "err", err)
		}
		c.pause(c.backoff(attempt))
	}
}

func (c *Client) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

func (c *Client) setCause(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cause = err
}

func (c *Client) backoff(attempt int) time.Duration {
	d := min(minReconnect<<min(attempt, 10), maxReconnect)
	return d/2 + time.Duration(c.cfg.Rand(int64(d)))
}

// connect makes a link. Meanwhile, commands run out of patience.
func (c *Client) connect() (*clientLink, error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.HandshakeTimeout)
	defer cancel()
	type outcome struct {
		l   *clientLink
		err error
	}
	ch := make(chan outcome, 1)
	go func() {
		l, err := c.dial(ctx)
		ch <- outcome{l, err}
	}()
	tick := time.NewTicker(c.patienceTick())
	defer tick.Stop()
	stop := c.stop
	for {
		select {
		case o := <-ch:
			if o.l != nil && !c.up(o.l) {
				o.l.fail(net.ErrClosed)
				return nil, net.ErrClosed
			}
			return o.l, o.err
		case now := <-tick.C:
			c.expire(now)
		case <-stop:
			stop = nil
			cancel()
		}
	}
}

// patienceTick is how often commands are looked through for those that have
// waited too long.
func (c *Client) patienceTick() time.Duration {
	return min(max(c.cfg.Patience/10, time.Millisecond), busyTick)
}

func (c *Client) pause(d time.Duration) {
	timer, tick := time.NewTimer(d), time.NewTicker(c.patienceTick())
	defer timer.Stop()
	defer tick.Stop()
	for {
		select {
		case <-timer.C:
			return
		case now := <-tick.C:
			c.expire(now)
		case <-c.stop:
			return
		}
	}
}

// dialAddr connects to Addr.
func (c *ClientConfig) dialAddr(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	if path, ok := strings.CutPrefix(c.Addr, "unix:"); ok {
		return d.DialContext(ctx, "unix", path)
	}
	return d.DialContext(ctx, "tcp", c.Addr)
}

// dial connects and greets.
func (c *Client) dial(ctx context.Context) (*clientLink, error) {
	nc, err := c.cfg.Dial(ctx)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	in := newInbox(nc)
	me := hello{node: c.cfg.Node, instance: c.cfg.Instance, region: c.cfg.Region}
	if c.cfg.Inner {
		me.inner = 1
	}
	peer, err := greet(&in, c.cfg.Secret, me, c.cfg.HandshakeTimeout)
	if err != nil {
		nc.Close()
		return nil, err
	}
	in.grow()
	return &clientLink{transport: newTransport(in, c.cfg.Heartbeat, &c.traffic), client: c, peer: peer}, nil
}

// up makes a link the client's, unless it is closing.
func (c *Client) up(l *clientLink) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	window := min(l.peer.window, MaxWindow)
	c.inFlight = make([]pending, window)
	c.free = make([]uint32, window)
	for i := range c.free {
		c.free[i] = window - 1 - uint32(i)
	}
	c.link = l
	c.outbound.set(true)
	c.stats.connects.Add(1)
	return true
}
