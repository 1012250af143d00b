package gateway

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/wire"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(peerEnv); url != "" {
		runPeer(url)
		return
	}
	goleak.VerifyTestMain(m)
}

// testTimeout is for what must not happen; nothing waits for it otherwise.
const testTimeout = patience.Limit

const (
	alice  im.UserID   = 1<<32 + 7
	phone  im.DeviceID = 3
	secret             = "alice's phone"
)

var hash = [32]byte{1, 2, 3}

func parseToken(token string) (im.UserID, im.DeviceID, [32]byte, error) {
	if token != secret {
		return 0, 0, [32]byte{}, im.Errorf(im.Unauthenticated, "the token is malformed")
	}
	return alice, phone, hash, nil
}

// submitted is a command that reached the mailbox.
type submitted struct {
	to   im.Addr
	cmd  im.Command
	done im.Completion
}

func (s submitted) complete(res im.Result, err error) { s.done.Complete(s.cmd, res, err) }

// mailbox is a fake whose commands a test takes and completes.
type mailbox struct {
	im.Mailbox
	cmds chan submitted
}

func (m *mailbox) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	m.cmds <- submitted{to, cmd, done}
}

// rig is a gateway on a server that is reached by pipes.
type rig struct {
	g    *Gateway
	srv  *link.Server
	mbox *mailbox
}

func newRig(t testing.TB, tune func(g *Config, l *link.Config)) *rig {
	t.Helper()
	r := &rig{mbox: &mailbox{cmds: make(chan submitted, 2*im.SendWindow)}}
	var sessions atomic.Uint64
	cfg := Config{
		Mailbox:     r.mbox,
		ParseToken:  parseToken,
		NextSession: func() im.SessionID { return im.SessionID(sessions.Add(1)) },
		Logger:      slog.New(slog.DiscardHandler),
		Now:         func() time.Time { return time.UnixMilli(1790000000123) },
		Rand:        func(int64) int64 { return 0 },
	}
	lcfg := link.Config{CloseTimeout: 100 * time.Millisecond}
	if tune != nil {
		tune(&cfg, &lcfg)
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	lcfg.Handler = g
	r.g, r.srv = g, link.NewServer(lcfg)
	t.Cleanup(func() { r.stop(t) })
	return r
}

func (r *rig) stop(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	if err := r.srv.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	r.g.Wait()
	if st := r.g.Stats(); st.Connections != 0 || st.Sessions != 0 {
		t.Errorf("%d connections and %d sessions are left", st.Connections, st.Sessions)
	}
}

// client is a device's end.
type client struct {
	t testing.TB
	r *rig
	*link.ClientConn
}

func (r *rig) dial(t testing.TB) *client {
	t.Helper()
	c := &client{t, r, r.srv.Pipe()}
	t.Cleanup(func() { c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	return c
}

// login is a client that has been welcomed, and the session's sink.
func (r *rig) login(t testing.TB) (*client, im.Sink) {
	t.Helper()
	c := r.dial(t)
	c.write(message(t, wire.TypeHello, &skeinv1.Hello{Version: 1, Token: secret}))
	s := r.take(t)
	attach := s.cmd.(*im.Attach)
	s.complete(&im.Attached{Name: "alice"}, nil)
	c.read(wire.TypeWelcome)
	return c, attach.Sink
}

// take is the next command that reaches the mailbox.
func (r *rig) take(t testing.TB) submitted {
	t.Helper()
	select {
	case s := <-r.mbox.cmds:
		return s
	case <-time.After(testTimeout):
		t.Fatal("no command")
		panic("unreachable")
	}
}

// takeAs is the next command, which must be a T.
func takeAs[T im.Command](t testing.TB, r *rig) (submitted, T) {
	t.Helper()
	s := r.take(t)
	cmd, ok := s.cmd.(T)
	if !ok {
		t.Fatalf("the mailbox got a %T, want a %T", s.cmd, cmd)
	}
	return s, cmd
}

// takeDetach is the end of session id.
func (r *rig) takeDetach(t testing.TB, id im.SessionID) {
	t.Helper()
	s, cmd := takeAs[*im.Detach](t, r)
	if cmd.Session != id || s.to != im.User(alice) {
		t.Errorf("detached session %d of %v, want %d", cmd.Session, s.to, id)
	}
	s.complete(nil, nil)
}

// quiet checks that nothing else has reached the mailbox. It is exact after
// an event that followed whatever might have.
func (r *rig) quiet(t testing.TB) {
	t.Helper()
	if n := len(r.mbox.cmds); n != 0 {
		t.Errorf("%d more commands, the first a %T", n, (<-r.mbox.cmds).cmd)
	}
}

func message(t testing.TB, typ wire.Type, m proto.Message) []byte {
	t.Helper()
	b, err := wire.AppendMessage(nil, typ, m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (c *client) write(frames []byte) {
	c.t.Helper()
	if err := c.Write(frames); err != nil {
		c.t.Fatal(err)
	}
}

// read is the next frame, which must be of a type.
func (c *client) read(want wire.Type) []byte {
	c.t.Helper()
	typ, payload, err := c.ReadFrame()
	if err != nil {
		c.t.Fatal(err)
	}
	if typ != want {
		c.t.Fatalf("got a %v frame %x, want %v", typ, payload, want)
	}
	return payload
}

func (c *client) readMessage(typ wire.Type, m proto.Message) {
	c.t.Helper()
	if err := wire.UnmarshalMessage(c.read(typ), m); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) readSendAck() wire.SendAck {
	c.t.Helper()
	var m wire.SendAck
	if err := m.Unmarshal(c.read(wire.TypeSendAck)); err != nil {
		c.t.Fatal(err)
	}
	return m
}

// expectClose reads the Close frame and checks its code.
func (c *client) expectClose(code im.CloseCode) *skeinv1.Close {
	c.t.Helper()
	m := new(skeinv1.Close)
	c.readMessage(wire.TypeClose, m)
	if m.Code != skeinv1.CloseCode(code) {
		c.t.Fatalf("closed with %v (%s), want code %d", m.Code, m.Reason, code)
	}
	return m
}

// roundTrip returns when everything written before has been handled.
func (c *client) roundTrip() {
	c.t.Helper()
	c.write(wire.AppendPing(nil))
	c.read(wire.TypePong)
}

func text(s string) im.Content { return im.Content{Type: im.ContentText, Body: []byte(s)} }

func sendFrame(seq im.ClientSeq, content im.Content) []byte {
	return wire.AppendSendFrame(nil, &wire.Send{To: 9, ClientSeq: seq, Content: content})
}
