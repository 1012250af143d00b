package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
)

// tap stands between two ends of links and keeps what the first one carries.
type tap struct {
	ln net.Listener
	to string

	up, down logBuffer
	first    sync.Once
	wait     sync.WaitGroup
}

func newTap(t *testing.T, to string) *tap {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{ln: ln, to: to}
	p.wait.Go(p.accept)
	t.Cleanup(func() {
		ln.Close()
		p.wait.Wait()
	})
	return p
}

func (p *tap) addr() string { return p.ln.Addr().String() }

func (p *tap) accept() {
	for {
		near, err := p.ln.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.to)
		if err != nil {
			near.Close()
			continue
		}
		up, down := io.Discard, io.Discard
		p.first.Do(func() { up, down = &p.up, &p.down })
		p.wait.Go(func() { pass(far, near, up) })
		p.wait.Go(func() { pass(near, far, down) })
	}
}

// pass carries one direction to its end, and keeps it.
func pass(to, from net.Conn, kept io.Writer) {
	_, _ = io.Copy(to, io.TeeReader(from, kept))
	to.Close()
	from.Close()
}
