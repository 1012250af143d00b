package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/telemetry"
	"github.com/skein-im/skein/internal/trace"
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
	MaxConnCalls = 8
	// DefaultMaxCalls lets everybody open an envelope of the most shares in
	// the same moment, beside other calls.
	DefaultMaxCalls    = 1024
	DefaultCallTimeout = 10 * time.Second
)

// Defaults of Config for logins and resumptions.
const (
	DefaultLoginFor     = 8 * time.Second
	DefaultResumeFor    = 60 * time.Second
	DefaultMaxAttaching = 1024
	DefaultMaxWaiting   = 16384
)

// Defaults of Config for the bodies of sends without an answer.
const (
	DefaultMaxConnBytes = 1 << 20
	DefaultMaxUserBytes = 4 << 20
	DefaultMaxBytes     = 256 << 20
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
	// Shaker answers shakes; nil: every campaign is closed here.
	Shaker im.Shaker
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
	// LoginFor is for how long a login is tried again whose mailbox goes away,
	// and ResumeFor for how long a session whose mailbox is lost, before the
	// client is told to come back; 0 means DefaultLoginFor and
	// DefaultResumeFor. A login without a cursor is not tried again: there is
	// no telling where it would continue.
	LoginFor, ResumeFor time.Duration
	// MaxAttaching is how many logins and resumptions the mailbox is asked for
	// at a time, and MaxWaiting how many more logins may wait for that; 0 means
	// DefaultMaxAttaching and DefaultMaxWaiting.
	MaxAttaching, MaxWaiting int
	// MaxConnBytes, MaxUserBytes and MaxBytes bound the bodies of the sends
	// without an answer: of a connection, of a user over all connections here,
	// and in all. 0 means DefaultMaxConnBytes, DefaultMaxUserBytes and
	// DefaultMaxBytes; each has room for one send at least, and a connection
	// for 16 MiB at most.
	MaxConnBytes, MaxUserBytes, MaxBytes int
	// Sends, Calls and Shakes limit how many a device may ask for, Logins those
	// of an address; nil: there is no limit.
	Sends, Calls, Shakes, Logins *admit.Buckets
	// Sampler decides which sends are traced, and Traces records what becomes
	// of them here, and of the traced messages of others; nil: nobody does.
	Sampler *trace.Sampler
	Traces  *trace.Recorder
}

// Gateway implements link.Handler.
type Gateway struct {
	cfg Config
	// level is what the mailbox admits, if it says so.
	level func(im.Addr) im.Level
	// began is when there was one.
	began   time.Time
	gate    gate
	freight *freight
	// slots holds one element per running call.
	slots chan struct{}
	tasks sync.WaitGroup
	// scratch lends buffers for frames on their way to a connection.
	scratch sync.Pool
	// shakings lends what a shake needs until its answer.
	shakings sync.Pool
	pong     []byte
	stats    counters
	unacked  unacked
	// talkers are the users that ask for the most.
	talkers *telemetry.Heavy
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
	cfg.MaxConnBytes = min(max(cmp.Or(cfg.MaxConnBytes, DefaultMaxConnBytes), leastBytes), math.MaxUint16*piece)
	cfg.MaxUserBytes = max(cmp.Or(cfg.MaxUserBytes, DefaultMaxUserBytes), leastBytes)
	cfg.MaxBytes = max(cmp.Or(cfg.MaxBytes, DefaultMaxBytes), leastBytes)
	if cfg.After == nil {
		cfg.After = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Int64N
	}
	g := &Gateway{
		cfg:     cfg,
		began:   cfg.Now(),
		gate:    gate{after: cfg.After, window: cfg.MaxAttaching, widest: cfg.MaxAttaching, most: cfg.MaxWaiting},
		freight: newFreight(cfg.MaxBytes, cfg.MaxUserBytes),
		slots:   make(chan struct{}, cfg.MaxCalls),
		pong:    wire.AppendPong(nil),
	}
	g.stats.init()
	g.talkers = telemetry.NewHeavy()
	switch m := cfg.Mailbox.(type) {
	case im.AddrLeveler:
		g.level = m.LevelFor
	case im.Leveler:
		g.level = func(im.Addr) im.Level { return m.Level() }
	}
	return g, nil
}

// uptime is for how long there has been a Gateway. It does not go back.
func (g *Gateway) uptime() time.Duration { return g.cfg.Now().Sub(g.began) }

// now is the clock for login stamps, which do not go back either.
func (g *Gateway) now() im.Millis {
	return im.Millis(g.began.Add(g.uptime()).UnixMilli())
}

// Wait waits for calls that still run, after the connections have been closed.
func (g *Gateway) Wait() { g.tasks.Wait() }

// LoggedIn reports whether a connection has a session, for link.Server's
// Broadcast: notices are for those who have.
func (g *Gateway) LoggedIn(c link.Conn) bool {
	s, ok := c.Value().(*session)
	return ok && (s.is(live) || s.is(resuming))
}

// User is whose connection it is, if it has a session.
func (g *Gateway) User(c link.Conn) (user im.UserID, ok bool) {
	s, ok := c.Value().(*session)
	if !ok || !s.is(live) && !s.is(resuming) {
		return 0, false
	}
	return s.user, true
}

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
	if log := g.cfg.Logger; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("link closed", "user", uint64(s.user), "device", uint32(s.device), "err", err)
	}
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
