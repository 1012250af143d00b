package e2e

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// proxy is a piece of network between two processes that a test can cut: then
// nothing passes, and nobody is told, as when a cable is pulled; or connections
// are refused, as by a wall.
type proxy struct {
	Addr   string
	target string
	all    sync.WaitGroup
	// to carries what goes to the target, from what comes from there.
	to, from valve

	mu     sync.Mutex
	ln     net.Listener
	conns  []net.Conn
	closed bool
}

// valve lets bytes pass while it is open.
type valve struct {
	mu sync.Mutex
	// opened is closed while it is open.
	opened chan struct{}
}

// newProxy makes one with an address that stays its own while it refuses.
func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	p := &proxy{Addr: freeAddr(t), target: target}
	p.to.open()
	p.from.open()
	if err := p.listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

// listen takes connections from now on.
func (p *proxy) listen() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln != nil || p.closed {
		return nil
	}
	ln, err := net.Listen("tcp", p.Addr)
	if err != nil {
		return err
	}
	p.ln = ln
	p.all.Go(func() { p.accept(ln) })
	return nil
}

func (p *proxy) accept(ln net.Listener) {
	for {
		in, err := ln.Accept()
		if err != nil {
			return
		}
		p.all.Go(func() { p.serve(in) })
	}
}

// serve forwards one connection; while the network is cut it is taken, as by a
// switch that is not asked, and leads nowhere.
func (p *proxy) serve(in net.Conn) {
	defer in.Close()
	if !p.add(in) {
		return
	}
	p.to.wait()
	p.from.wait()
	out, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer out.Close()
	if !p.add(out) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { pump(out, in, &p.to) })
	both.Go(func() { pump(in, out, &p.from) })
	both.Wait()
}

func (p *proxy) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
	return !p.closed && p.ln != nil
}

func pump(to, from net.Conn, v *valve) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		v.wait()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// wait returns when bytes may pass.
func (v *valve) wait() {
	v.mu.Lock()
	opened := v.opened
	v.mu.Unlock()
	<-opened
}

func (v *valve) shut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	select {
	case <-v.opened:
		v.opened = make(chan struct{})
	default:
	}
}

func (v *valve) open() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.opened == nil {
		v.opened = make(chan struct{})
	}
	select {
	case <-v.opened:
	default:
		close(v.opened)
	}
}

// cut lets nothing pass until heal.
func (p *proxy) cut() {
	p.to.shut()
	p.from.shut()
}

// refuse ends every connection, and refuses new ones until heal.
func (p *proxy) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln != nil {
		_ = p.ln.Close()
		p.ln = nil
	}
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *proxy) heal() {
	p.to.open()
	p.from.open()
	// The port may be busy for a moment: connections to it end.
	for range 100 {
		err := p.listen()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.refuse()
	p.to.open()
	p.from.open()
	p.all.Wait()
}
