package remote

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between client and server, and fails as a test wants.
type proxy struct {
	ln   net.Listener
	to   string
	wait sync.WaitGroup
	// budget returns how many bytes a new connection may carry in one
	// direction before it is cut; negative: any number.
	budget func() int64

	mu    sync.Mutex
	conns map[*proxied]struct{}
	// down: connections are closed at once.
	down, closed bool
}

// unlimited is the budget of connections that are not cut by themselves.
func unlimited() int64 { return -1 }

type proxied struct {
	near, far net.Conn
	// stalled: bytes are read and lost. orphaned: the far end does not hear
	// that the near one has gone.
	stalled, orphaned atomic.Bool
}

func (p *proxied) cut() {
	p.near.Close()
	p.far.Close()
}

func newProxy(t testing.TB, to string, budget func() int64) *proxy {
	t.Helper()
	ln, _ := listen(t, "tcp")
	p := &proxy{ln: ln, to: to, budget: budget, conns: map[*proxied]struct{}{}}
	p.wait.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		for c := range p.conns {
			c.orphaned.Store(false)
		}
		p.mu.Unlock()
		ln.Close()
		p.cutAll()
		p.wait.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.ln.Addr().String() }

func (p *proxy) accept() {
	for {
		near, err := p.ln.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.to)
		p.mu.Lock()
		if err != nil || p.down || p.closed {
			p.mu.Unlock()
			near.Close()
			if far != nil {
				far.Close()
			}
			continue
		}
		c := &proxied{near: near, far: far}
		p.conns[c] = struct{}{}
		there, back := p.budget(), p.budget()
		p.mu.Unlock()
		p.wait.Go(func() { p.carry(c, far, near, there) })
		p.wait.Go(func() { p.carry(c, near, far, back) })
	}
}

// carry copies one direction until its budget is used up.
func (p *proxy) carry(c *proxied, dst, src net.Conn, budget int64) {
	defer func() {
		if !c.orphaned.Load() {
			c.cut()
		}
	}()
	buf := make([]byte, 16<<10)
	for {
		n, err := src.Read(buf)
		if budget >= 0 && int64(n) > budget {
			n, err = int(budget), io.ErrShortWrite
		}
		budget -= int64(n)
		if !c.stalled.Load() {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// each does something to every connection there is.
func (p *proxy) each(f func(c *proxied)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		f(c)
	}
}

func (p *proxy) cutAll() {
	p.each(func(c *proxied) {
		c.cut()
		delete(p.conns, c)
	})
}

// orphan hangs up on the client only.
func (p *proxy) orphan() {
	p.each(func(c *proxied) {
		c.orphaned.Store(true)
		c.near.Close()
	})
}

func (p *proxy) stall() { p.each(func(c *proxied) { c.stalled.Store(true) }) }

// setDown cuts everything and refuses connections, until it is called with
// false.
func (p *proxy) setDown(down bool) {
	p.mu.Lock()
	p.down = down
	p.mu.Unlock()
	if down {
		p.cutAll()
	}
}
