package postgres

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// pool has connections to the primary; so many are in use at a time, and whoever
// waits for one gets it in turn.
type pool struct {
	servers *servers
	turns   *semaphore.Weighted

	mu   sync.Mutex
	idle []*conn
	// closing are broken connections that still say so to the server.
	closing sync.WaitGroup
}

func newPool(v *servers, connections int) *pool {
	return &pool{servers: v, turns: semaphore.NewWeighted(int64(connections))}
}

// get returns a connection to the primary, which put gives back.
func (p *pool) get(ctx context.Context) (*conn, error) {
	if err := p.turns.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	c, err := p.connect(ctx)
	if err != nil {
		p.turns.Release(1)
		return nil, err
	}
	return c, nil
}

func (p *pool) connect(ctx context.Context) (*conn, error) {
	h, generation, err := p.servers.primary(ctx)
	if err != nil {
		return nil, err
	}
	for c := p.pop(); c != nil; c = p.pop() {
		if c.generation == generation && !c.pg.IsClosed() {
			return c, nil
		}
		p.discard(c)
	}
	c, err := p.servers.dial(ctx, h)
	if err != nil {
		p.servers.suspect(generation)
		return nil, err
	}
	c.generation = generation
	return c, nil
}

func (p *pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return c
}

// put gives a connection back.
func (p *pool) put(c *conn) {
	if c.pg.IsClosed() {
		p.discard(c)
	} else {
		p.mu.Lock()
		p.idle = append(p.idle, c)
		p.mu.Unlock()
	}
	p.turns.Release(1)
}

// discard closes a connection without waiting for that.
func (p *pool) discard(c *conn) {
	p.closing.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), p.servers.opts.DialTimeout)
		defer cancel()
		_ = c.pg.Close(ctx)
		<-c.pg.CleanupDone()
	})
}

// close closes the connections; nobody may use one.
func (p *pool) close() {
	for c := p.pop(); c != nil; c = p.pop() {
		p.discard(c)
	}
	p.closing.Wait()
}
