package client

import (
	"context"
	"sync/atomic"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/clientcore"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// session is one link, from Welcome to its end.
type session struct {
	client *Client
	conn   transport
	// heartbeat is the interval the server wants.
	heartbeat time.Duration
	began     time.Time
	// lastRead is when the last frame came, after began.
	lastRead atomic.Int64
	wake     chan struct{}
	stop     chan struct{}

	// lastWrite and lastPing belong to the writer.
	lastWrite, lastPing time.Time
	// ackAt and resumeAt are when an ack and a held send become due; they
	// are guarded by the client's mu.
	ackAt, resumeAt time.Time
}

// loginTimeout bounds the time from connecting to Welcome.
const loginTimeout = 10 * time.Second

// login opens a link and makes it the client's.
func (c *Client) login(addr string) (*session, error) {
	ctx, cancel := context.WithTimeout(c.ctx, loginTimeout)
	defer cancel()
	conn, err := c.opts.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	// Closing the connection is what ends a read.
	watch := context.AfterFunc(ctx, func() { _ = conn.Close() })
	welcome, err := c.hello(conn)
	if !watch() && err == nil {
		err = im.Errorf(im.Unavailable, "no welcome in time: %w", context.Cause(ctx))
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c.begin(conn, welcome), nil
}

func (c *Client) hello(conn transport) (*skeinv1.Welcome, error) {
	hello := &skeinv1.Hello{
		Token:       c.opts.Token,
		HeartbeatMs: uint32(min(c.opts.Heartbeat, time.Hour) / time.Millisecond),
		Agent:       c.opts.Agent,
	}
	c.mu.Lock()
	frame, err := c.core.AppendHello(nil, hello)
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := conn.Write(frame); err != nil {
		return nil, linkError(err)
	}
	t, payload, err := conn.ReadFrame()
	switch {
	case err != nil:
		return nil, linkError(err)
	case t == wire.TypeClose:
		return nil, closeError(payload)
	case t != wire.TypeWelcome:
		return nil, im.Errorf(im.Invalid, "the server answered hello with %s", t)
	}
	welcome := new(skeinv1.Welcome)
	return welcome, wire.UnmarshalMessage(payload, welcome)
}

// defaultHeartbeat is for servers that do not say.
const defaultHeartbeat = time.Minute

// begin makes a link the client's.
func (c *Client) begin(conn transport, w *skeinv1.Welcome) *session {
	now := time.Now()
	s := &session{
		client: c, conn: conn, began: now, lastWrite: now,
		heartbeat: time.Duration(w.GetHeartbeatMs()) * time.Millisecond,
		wake:      make(chan struct{}, 1),
		stop:      make(chan struct{}),
	}
	if s.heartbeat <= 0 {
		s.heartbeat = defaultHeartbeat
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.self = Identity{UserID(w.GetUser()), DeviceID(w.GetDevice()), w.GetName()}
	c.rewound(c.core.Welcome(clientcore.WelcomeOf(w)))
	c.session, c.trouble = s, nil
	select {
	case <-c.welcomed:
	default:
		close(c.welcomed)
	}
	return s
}

// serve reads the link until it ends, and says why it did.
func (s *session) serve() error {
	c := s.client
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.write()
	}()
	err := s.read()
	close(s.stop)
	_ = s.conn.Close()
	<-written
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session, c.trouble = nil, err
	c.core.Disconnected()
	c.calls.fail(im.Errorf(im.Unavailable, "the link broke before the answer came: %w", err), false)
	return err
}

func (s *session) read() error {
	for {
		t, payload, err := s.conn.ReadFrame()
		if err != nil {
			return linkError(err)
		}
		s.lastRead.Store(int64(time.Since(s.began)))
		switch t {
		case wire.TypeSendAck, wire.TypeDeliver:
			err = s.client.frame(t, payload)
		case wire.TypePong:
		case wire.TypeAnswer:
			err = s.client.answer(payload)
		case wire.TypeShaken:
			err = s.client.shaken(payload)
		case wire.TypeNotice:
			err = s.client.notice(payload)
		case wire.TypeClose:
			return closeError(payload)
		default:
			// A newer server may have more to say than this client knows.
			c := s.client
			c.opts.Logger.Debug("skipped a frame", "type", t.String())
		}
		if err != nil {
			return err
		}
	}
}

// frame hands a frame to the core, and what follows to those concerned. Only
// the reader hands in frames, so answers stay valid without the lock.
func (c *Client) frame(t wire.Type, payload []byte) error {
	c.mu.Lock()
	err := c.core.Frame(t, payload)
	answers := c.core.Answers()
	c.accept(c.core.Entries())
	c.nudge()
	c.mu.Unlock()
	c.settle(answers)
	return err
}
