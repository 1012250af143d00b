package e2e

import (
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/relay"
)

// tap stands between two ends of links and keeps what they carry.
type tap struct {
	ln net.Listener
	to string
	// here and there are how the ends are met, if they speak TLS.
	here, there *tls.Config

	mu      sync.Mutex
	streams []*stream
	wait    sync.WaitGroup
}

// stream is what one connection carries, without TLS.
type stream struct {
	// proto is the protocol that the ends have agreed on, with TLS.
	proto    string
	up, down logBuffer
}

func newTap(t *testing.T, to string) *tap {
	t.Helper()
	return beginTap(t, &tap{to: to})
}

// newSecureTap stands between ends that know each other by the certificates of their
// regions, and has both.
func newSecureTap(t *testing.T, to, certs, from, at string) *tap {
	t.Helper()
	protos := []string{"skein-relay/1", "skein-role/1", "skein-standby/1"}
	// The certificates are made for the test; who is at the other end is not the
	// tap's concern.
	config := func(region string) *tls.Config {
		pair, err := tls.LoadX509KeyPair(filepath.Join(certs, region+".pem"), filepath.Join(certs, region+"-key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}
	}
	here, there := config(at), config(from)
	here.NextProtos, here.ClientAuth = protos, tls.RequireAnyClientCert
	there.ServerName = relay.ServerName(im.Region(at))
	return beginTap(t, &tap{to: to, here: here, there: there})
}

func beginTap(t *testing.T, p *tap) *tap {
	t.Helper()
	var err error
	if p.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	p.wait.Go(p.accept)
	t.Cleanup(func() {
		p.ln.Close()
		p.wait.Wait()
	})
	return p
}

func (p *tap) addr() string { return p.ln.Addr().String() }

// all are the connections that there have been, in order.
func (p *tap) all() []*stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.streams
}

func (p *tap) accept() {
	for {
		near, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.wait.Go(func() { p.connect(near) })
	}
}

func (p *tap) connect(near net.Conn) {
	s := &stream{}
	far, err := net.Dial("tcp", p.to)
	if err == nil && p.here != nil {
		near, far, err = p.unwrap(near, far, s)
	}
	if err != nil {
		near.Close()
		return
	}
	p.mu.Lock()
	p.streams = append(p.streams, s)
	p.mu.Unlock()
	p.wait.Go(func() { pass(far, near, &s.up) })
	p.wait.Go(func() { pass(near, far, &s.down) })
}

// unwrap takes TLS off at both ends, with the same protocol inside.
func (p *tap) unwrap(near, far net.Conn, s *stream) (net.Conn, net.Conn, error) {
	in := tls.Server(near, p.here)
	if err := in.Handshake(); err != nil {
		far.Close()
		return in, far, err
	}
	s.proto = in.ConnectionState().NegotiatedProtocol
	there := p.there.Clone()
	there.NextProtos = []string{s.proto}
	out := tls.Client(far, there)
	err := out.Handshake()
	if err != nil {
		out.Close()
	}
	return in, out, err
}

// pass carries one direction to its end, and keeps it.
func pass(to, from net.Conn, kept io.Writer) {
	_, _ = io.Copy(to, io.TeeReader(from, kept))
	to.Close()
	from.Close()
}
