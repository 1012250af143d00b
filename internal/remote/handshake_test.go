package remote

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/wire"
)

// logBuffer keeps what was logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestWrongSecret: both ends say so; the server once a minute and address.
func TestWrongSecret(t *testing.T) {
	var log logBuffer
	m := newFakeMailbox()
	ln, addr := listen(t, "tcp")
	s := serve(t, ln, ServerConfig{Mailbox: m, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	wrong := []byte("another secret than the server's")
	c := connect(t, ClientConfig{Addr: addr, Secret: wrong, Patience: 50 * time.Millisecond})
	eventually(t, func() bool { return s.Stats().WrongSecrets >= 3 })
	if err := c.Health(); err == nil || !strings.Contains(err.Error(), "the secrets of the two nodes differ") {
		t.Errorf("health: %v", err)
	}
	if _, err := im.Do(within(t), c, im.User(1), &im.Counters{}); im.KindOf(err) != im.Unavailable {
		t.Errorf("a command was answered with %v", err)
	}
	if n := strings.Count(log.String(), "refused"); n != 1 {
		t.Errorf("%d lines in the log:\n%s", n, &log)
	}
	if strings.Contains(log.String(), string(wrong)) || strings.Contains(log.String(), string(testSecret)) {
		t.Error("a secret is in the log")
	}
}

// TestFalseServer: a client does not believe a server that does not know the
// secret, and tells it nothing.
func TestFalseServer(t *testing.T) {
	ln, addr := listen(t, "tcp")
	heard := make(chan []byte, 1)
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		ln.Close()
		in := newInbox(nc)
		h := handshake{in: &in, secret: []byte("not the secret")}
		h.say(typeChallenge, (&challenge{version, newNonce()}).append)
		_ = h.flush()
		_, _ = h.next(typeHello)
		_, _ = h.next(typeProof)
		h.say(typeWelcome, (&welcome{version: version, node: "false", incarnation: 1, window: 9}).append)
		h.prove(serverSide)
		_ = h.flush()
		rest, _ := io.ReadAll(nc)
		heard <- rest
	}()
	c := connect(t, ClientConfig{Addr: addr, Patience: 50 * time.Millisecond})
	if _, err := im.Do(within(t), c, im.User(1), &im.BindName{PasswordHash: "hash"}); im.KindOf(err) != im.Unavailable {
		t.Errorf("answered %v", err)
	}
	if rest := <-heard; len(rest) > 0 {
		t.Errorf("the false server heard %q", rest)
	}
}

// TestProofsAreNotReplayed: what one link said does not open another.
func TestProofsAreNotReplayed(t *testing.T) {
	m := newFakeMailbox()
	ln, addr := listen(t, "tcp")
	s := serve(t, ln, ServerConfig{Mailbox: m})
	nc := dialRaw(t, addr)
	said := &recording{Conn: nc}
	in := newInbox(said)
	if _, err := greet(&in, testSecret, hello{node: "g", instance: 1}, patience.Limit); err != nil {
		t.Fatal(err)
	}
	again := dialRaw(t, addr)
	if _, err := again.Write(said.sent); err != nil {
		t.Fatal(err)
	}
	in = newInbox(again)
	h := handshake{in: &in}
	if _, err := h.next(typeChallenge); err != nil {
		t.Fatal(err)
	}
	if _, err := h.next(typeWelcome); im.KindOf(err) != im.Unauthenticated {
		t.Errorf("a replayed handshake: %v", err)
	}
	if s.Stats().WrongSecrets != 1 {
		t.Errorf("stats %+v", s.Stats())
	}
}

// recording keeps what was written.
type recording struct {
	net.Conn
	sent []byte
}

func (r *recording) Write(b []byte) (int, error) {
	r.sent = append(r.sent, b...)
	return r.Conn.Write(b)
}

func dialRaw(t testing.TB, addr string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// TestHandshakesAreBounded in time, in number, and in what they may say.
func TestHandshakesAreBounded(t *testing.T) {
	const most = 3
	m := newFakeMailbox()
	ln, addr := listen(t, "tcp")
	s := serve(t, ln, ServerConfig{Mailbox: m, MaxHandshakes: most, HandshakeTimeout: 2 * time.Second})
	var idle []net.Conn
	for range most {
		nc := dialRaw(t, addr)
		in := newInbox(nc)
		if _, err := (&handshake{in: &in}).next(typeChallenge); err != nil {
			t.Fatal(err)
		}
		idle = append(idle, nc)
	}
	if b, err := io.ReadAll(dialRaw(t, addr)); len(b) > 0 || s.Stats().Refused != 1 {
		t.Errorf("one too many got %q, %v; %d were refused", b, err, s.Stats().Refused)
	}
	for _, nc := range idle {
		if _, err := io.ReadAll(nc); err != nil && !errors.Is(err, io.EOF) {
			t.Logf("hung up with %v", err)
		}
	}
	if n := s.Stats().HandshakesFailed; n != most {
		t.Errorf("%d handshakes failed, want %d", n, most)
	}
	large := dialRaw(t, addr)
	_, _ = large.Write(wire.AppendHeader(nil, typeHello, maxHandshakeFrame+1))
	if got, _ := io.ReadAll(large); !bytes.Contains(got, []byte("limit")) {
		t.Errorf("a large Hello was answered %q", got)
	}
	c := connect(t, ClientConfig{Addr: addr})
	do(t, c, im.User(1), &im.Counters{})
}

// TestLinksAreBounded.
func TestLinksAreBounded(t *testing.T) {
	_, s, c := pair(t, "tcp", ServerConfig{MaxLinks: 1}, ClientConfig{})
	do(t, c, im.User(1), &im.Counters{})
	connect(t, ClientConfig{Addr: c.cfg.Addr})
	eventually(t, func() bool { return s.Stats().Refused > 0 })
	do(t, c, im.User(1), &im.Counters{})
}

// TestVersionsThatDoNotMeet say so.
func TestVersionsThatDoNotMeet(t *testing.T) {
	m := newFakeMailbox()
	ln, addr := listen(t, "tcp")
	serve(t, ln, ServerConfig{Mailbox: m})
	in := newInbox(dialRaw(t, addr))
	h := handshake{in: &in, secret: testSecret}
	if err := h.hear(typeChallenge, func(*fields) {}); err != nil {
		t.Fatal(err)
	}
	h.say(typeHello, (&hello{version: 9, oldest: 8, node: "new", nonce: newNonce(), instance: 1}).append)
	h.prove(clientSide)
	if err := h.flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.next(typeWelcome); err == nil || !strings.Contains(err.Error(), "versions 8 to 9") {
		t.Errorf("refused with %v", err)
	}
}

func TestConfigsAreChecked(t *testing.T) {
	m := newFakeMailbox()
	good := ServerConfig{Mailbox: m, Logger: discard(), Secret: testSecret, Node: "m"}
	for what, spoil := range map[string]func(*ServerConfig){
		"no mailbox":    func(c *ServerConfig) { c.Mailbox = nil },
		"no logger":     func(c *ServerConfig) { c.Logger = nil },
		"short secret":  func(c *ServerConfig) { c.Secret = make([]byte, MinSecret-1) },
		"no node":       func(c *ServerConfig) { c.Node = "" },
		"long node":     func(c *ServerConfig) { c.Node = strings.Repeat("n", MaxNode+1) },
		"a huge window": func(c *ServerConfig) { c.Window = MaxWindow + 1 },
	} {
		bad := good
		spoil(&bad)
		if _, err := NewServer(bad); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if _, err := NewServer(good); err != nil {
		t.Error(err)
	}
	if _, err := NewClient(ClientConfig{Secret: testSecret, Node: "g", Logger: discard()}); err == nil {
		t.Error("a client without an address")
	}
}

// TestRefusalsAreLoggedNowAndThen.
func TestRefusalsAreLoggedNowAndThen(t *testing.T) {
	var r refusals
	at := time.Unix(1790000000, 0)
	if !r.due("a", at) || r.due("a", at.Add(refusalEvery-1)) || !r.due("b", at) || !r.due("a", at.Add(refusalEvery)) {
		t.Error("not once a minute and address")
	}
	for i := range 2 * maxRefusals {
		r.due(strings.Repeat("x", i), at.Add(refusalEvery))
	}
	if len(r.last) > maxRefusals {
		t.Errorf("%d addresses are remembered", len(r.last))
	}
	if !r.due("c", at.Add(2*refusalEvery)) {
		t.Error("old addresses are in the way of new ones")
	}
}
