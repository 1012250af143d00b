package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// Version is the protocol version spoken here.
const Version = 1

// Heartbeat intervals that clients may ask for, and the one they get when they
// do not ask.
const (
	MinHeartbeat     = 5 * time.Second
	MaxHeartbeat     = 300 * time.Second
	DefaultHeartbeat = 60 * time.Second
)

// Bounds on calls, and the defaults of Config.
const (
	// MaxConnCalls is how many calls of a connection may run.
	MaxConnCalls       = 8
	DefaultMaxCalls    = 256
	DefaultCallTimeout = 10 * time.Second
)

// Defaults of Config for logins and resumptions.
const (
	DefaultLoginFor     = 5 * time.Second
	DefaultResumeFor    = 60 * time.Second
	DefaultMaxAttaching = 1024
	DefaultMaxWaiting   = 16384
)

// Caller answers the methods of the HTTP API. It must heed ctx.
type Caller interface {
	Call(ctx context.Context, user im.UserID, device im.DeviceID, method string, body []byte) ([]byte, error)
}

// Config is what a Gateway needs. Caller may be nil: then calls are answered
// Unimplemented.
type Config struct {
	Mailbox im.Mailbox
	// ParseToken returns whose token it is, and the hash of its secret.
	ParseToken func(token string) (im.UserID, im.DeviceID, [32]byte, error)
	Caller     Caller
	// NextSession gives out session identifiers. Nobody else in the process
	// may use the same ones.
	NextSession func() im.SessionID
	Logger      *slog.Logger
	// Now is the clock that Welcome tells.
	Now func() time.Time
	// Rand returns a number in [0, n); it spreads returning clients.
	Rand func(n int64) int64
	// MaxCalls is how many calls may run at a time; 0 means
	// DefaultMaxCalls.
	MaxCalls int
	// CallTimeout bounds a call; 0 means DefaultCallTimeout.
	CallTimeout time.Duration
	// After runs f after d, unless stop is called before; nil means
	// time.AfterFunc.
	After func(d time.Duration, f func()) (stop func() bool)
	// LoginFor is for how long a login is tried again whose mailbox cannot be
	// reached, and ResumeFor for how long a session whose mailbox is lost,
	// before the client is told to come back; 0 means DefaultLoginFor and
	// DefaultResumeFor.
	LoginFor, ResumeFor time.Duration
	// MaxAttaching is how many logins and resumptions the mailbox is asked for
	// at a time, and MaxWaiting how many more logins may wait for that; 0 means
	// DefaultMaxAttaching and DefaultMaxWaiting.
	MaxAttaching, MaxWaiting int
}

// Gateway implements link.Handler.
type Gateway struct {
	cfg  Config
	gate gate
	// slots holds one element per running call.
	slots chan struct{}
	tasks sync.WaitGroup
	// scratch lends buffers for frames on their way to a connection.
	scratch sync.Pool
	pong    []byte
	stats   counters
}

// New makes a Gateway.
func New(cfg Config) (*Gateway, error) {
	if cfg.Mailbox == nil || cfg.ParseToken == nil || cfg.NextSession == nil || cfg.Logger == nil {
		return nil, fmt.Errorf("a gateway needs a mailbox, a way to read tokens, session identifiers and a logger")
	}
	cfg.MaxCalls = cmp.Or(cfg.MaxCalls, DefaultMaxCalls)
	cfg.CallTimeout = cmp.Or(cfg.CallTimeout, DefaultCallTimeout)
	cfg.LoginFor = cmp.Or(cfg.LoginFor, DefaultLoginFor)
	cfg.ResumeFor = cmp.Or(cfg.ResumeFor, DefaultResumeFor)
	cfg.MaxAttaching = cmp.Or(cfg.MaxAttaching, DefaultMaxAttaching)
	cfg.MaxWaiting = cmp.Or(cfg.MaxWaiting, DefaultMaxWaiting)
	if cfg.After == nil {
		cfg.After = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Int64N
	}
	return &Gateway{
		cfg:   cfg,
		gate:  gate{free: cfg.MaxAttaching, most: cfg.MaxWaiting},
		slots: make(chan struct{}, cfg.MaxCalls),
		pong:  wire.AppendPong(nil),
	}, nil
}

// now is the clock in milliseconds.
func (g *Gateway) now() im.Millis { return im.Millis(g.cfg.Now().UnixMilli()) }

// Wait waits for calls that still run, after the connections have been closed.
func (g *Gateway) Wait() { g.tasks.Wait() }

// Open implements link.Handler.
func (g *Gateway) Open(c link.Conn) {
	g.stats.connections.Add(1)
	c.SetValue(&session{g: g, conn: c})
}

// Frame implements link.Handler.
func (g *Gateway) Frame(c link.Conn, t wire.Type, payload []byte) {
	g.stats.frameIn(t)
	c.Value().(*session).frame(t, payload)
}

// Closed implements link.Handler.
func (g *Gateway) Closed(c link.Conn, err error) {
	g.stats.connections.Add(-1)
	var e *link.CloseError
	if errors.As(err, &e) && e.Code == im.CloseSlow {
		g.stats.slow.Add(1)
	}
	s := c.Value().(*session)
	g.cfg.Logger.Debug("link closed", "user", uint64(s.user), "device", uint32(s.device), "err", err)
	s.leave()
}

// send hands frames that fill appends to a connection.
func (g *Gateway) send(c link.Conn, t wire.Type, fill func(dst []byte) []byte) error {
	b, ok := g.scratch.Get().(*[]byte)
	if !ok {
		b = new([]byte)
	}
	*b = fill((*b)[:0])
	err := c.Send(*b)
	g.scratch.Put(b)
	g.stats.frameOut(t)
	return err
}

// retryAfter is when a client should come back: what the mailbox says, spread
// over as long again and a second.
func (g *Gateway) retryAfter(e *im.Error) time.Duration {
	d := time.Duration(e.RetryAfterMS) * time.Millisecond
	return d + time.Duration(g.cfg.Rand(int64(d+time.Second)))
}
