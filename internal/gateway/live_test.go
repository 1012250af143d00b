//go:build linux

package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/wire"
)

// watched is a Gateway of which a test can wait until connections are over.
type watched struct {
	*Gateway
	mu   sync.Mutex
	cond *sync.Cond
	open int
}

func (w *watched) Open(c link.Conn) {
	w.Gateway.Open(c)
	w.mu.Lock()
	w.open++
	w.mu.Unlock()
}

func (w *watched) Closed(c link.Conn, err error) {
	w.Gateway.Closed(c, err)
	w.mu.Lock()
	w.open--
	w.cond.Broadcast()
	w.mu.Unlock()
}

// await waits until n connections are left.
func (w *watched) await(n int) {
	defer patience.Bound("connections to end")()
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.open > n {
		w.cond.Wait()
	}
}

// bob is the user who behaves.
const (
	bob        im.UserID = alice + 1
	bobsSecret           = "bob's phone"
)

func parseTownToken(token string) (im.UserID, im.DeviceID, [32]byte, error) {
	if token == bobsSecret {
		return bob, phone, hash, nil
	}
	return parseToken(token)
}

// town is a mailbox in which bob is always served.
type town struct{ *obliging }

func (m *town) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	if to != im.User(bob) {
		m.obliging.Submit(to, cmd, done)
		return
	}
	switch c := cmd.(type) {
	case *im.Attach:
		done.Complete(cmd, &im.Attached{Name: "bob", Cursor: 41}, nil)
	case *im.Send:
		done.Complete(cmd, &im.Sent{Seq: 50, ClientSeq: c.ClientSeq}, nil)
	default:
		done.Complete(cmd, nil, nil)
	}
}

// city is a live gateway on epoll loops with a client that behaves.
type city struct {
	addr    string
	gateway *watched
	mailbox *town
	// good is a connection that nothing must disturb, sends how many messages
	// it has sent.
	good  *link.ClientConn
	sends im.ClientSeq
}

func newCity(t testing.TB) *city {
	mbox := &town{newObliging(t)}
	var sessions atomic.Uint64
	g, err := New(Config{
		Mailbox: mbox, ParseToken: parseTownToken, Logger: slog.New(slog.DiscardHandler),
		NextSession: func() im.SessionID { return im.SessionID(sessions.Add(1)) },
		Caller:      callerFunc(func(context.Context, im.UserID, im.DeviceID, string, []byte) ([]byte, error) { return nil, nil }),
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &city{mailbox: mbox, gateway: &watched{Gateway: g}}
	c.gateway.cond = sync.NewCond(&c.gateway.mu)
	srv := link.NewServer(link.Config{Handler: c.gateway, Engine: link.EngineEpoll})
	ln, err := link.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		c.good.Close()
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		g.Wait()
	})
	if c.good, err = peerLogin("tcp://"+c.addr, bobsSecret); err != nil {
		t.Fatal(err)
	}
	return c
}

// check makes sure that the good client is served as if it were alone.
func (c *city) check(t *testing.T) {
	t.Helper()
	c.sends++
	_ = c.good.SetReadDeadline(time.Now().Add(testTimeout))
	frames := append(sendFrame(c.sends, text("good day")), wire.AppendFrame(nil, wire.TypePing, []byte{1})...)
	if err := c.good.Write(frames); err != nil {
		t.Fatal(err)
	}
	var ack wire.SendAck
	typ, payload, err := c.good.ReadFrame()
	if err != nil || typ != wire.TypeSendAck || ack.Unmarshal(payload) != nil || ack.ClientSeq != c.sends || ack.Error != nil {
		t.Fatalf("a send is answered with %v %+v, %v", typ, ack, err)
	}
	if typ, payload, err = c.good.ReadFrame(); err != nil || typ != wire.TypePong || !bytes.Equal(payload, []byte{1}) {
		t.Fatalf("a ping is answered with %v %x, %v", typ, payload, err)
	}
}

// transport is how the fuzzed bytes travel.
type transport uint8

const (
	// plain bytes on TCP.
	plain transport = iota
	// raw bytes after the handshake of a WebSocket.
	raw
	// wrapped in a WebSocket message.
	wrapped
	transports
)

// stranger is a client of which anything may come.
type stranger struct {
	t    *testing.T
	nc   net.Conn
	from io.Reader
	over transport
}

func (c *city) stranger(t *testing.T, over transport) *stranger {
	nc, err := net.Dial("tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(testTimeout))
	s := &stranger{t, nc, bufio.NewReader(nc), over}
	if over == raw || over == wrapped {
		early, _, err := ws.DefaultDialer.Upgrade(nc, &url.URL{Scheme: "ws", Host: c.addr, Path: "/link"})
		if err != nil {
			t.Fatal(err)
		}
		if early != nil {
			s.from = early
		}
	}
	return s
}

// write sends frames; the server may have hung up.
func (s *stranger) write(b []byte, as transport) {
	if as == wrapped {
		_ = wsutil.WriteClientBinary(s.nc, b)
		return
	}
	// In two pieces, wherever that is.
	n := 0
	if len(b) > 0 {
		n = int(b[0]) % len(b)
	}
	_, _ = s.nc.Write(b[:n])
	_, _ = s.nc.Write(b[n:])
}

// welcome reads the Welcome.
func (s *stranger) welcome() {
	s.t.Helper()
	if s.over != plain {
		if h, err := ws.ReadHeader(s.from); err != nil || h.OpCode != ws.OpBinary {
			s.t.Fatalf("a login is answered with %+v, %v", h, err)
		}
	}
	var h [3]byte
	if _, err := io.ReadFull(s.from, h[:2]); err != nil || wire.Type(h[0]) != wire.TypeWelcome || h[1] >= 0x80 {
		s.t.Fatalf("a login is answered with %x, %v", h, err)
	}
	if _, err := io.CopyN(io.Discard, s.from, int64(h[1])); err != nil {
		s.t.Fatal(err)
	}
}

// FuzzLiveGateway sends a live gateway on epoll loops arbitrary bytes in each
// state of a session, over TCP and WebSocket: the connection ends when the
// client does, if not before, its session is forgotten, and another client is
// served as if it were alone.
func FuzzLiveGateway(f *testing.F) {
	hello, seeds := seedFrames(f)
	for st := range uint8(left) {
		for over := range uint8(transports) {
			for _, b := range seeds {
				f.Add(st, over, b)
			}
		}
	}
	c := newCity(f)
	f.Fuzz(func(t *testing.T, st, over uint8, data []byte) {
		c.fuzz(t, state(st%uint8(left)), transport(over%uint8(transports)), hello, data)
	})
}

func (c *city) fuzz(t *testing.T, st state, over transport, hello, data []byte) {
	c.mailbox.begin(t, st == attaching)
	s := c.stranger(t, over)
	if st != fresh {
		s.write(hello, min(over, 1)*wrapped)
	}
	if st == live || st == resuming {
		s.welcome()
	}
	if st == resuming {
		c.mailbox.lose()
	}
	s.write(data, over)
	_ = s.nc.(*net.TCPConn).CloseWrite()
	if _, err := io.Copy(io.Discard, s.from); err != nil {
		// It may have been reset, with what it had not read.
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			t.Fatal("the connection does not end")
		}
	}
	s.nc.Close()
	c.gateway.await(1)
	if n := c.mailbox.settle(); n != 0 {
		t.Errorf("%d sessions are left in the mailbox", n)
	}
	c.check(t)
}
