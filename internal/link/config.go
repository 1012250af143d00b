package link

import (
	"cmp"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// Defaults of Config.
const (
	DefaultMaxConns         = 18000
	DefaultMaxQueue         = 4 << 20
	DefaultMaxLoopBytes     = 128 << 20
	DefaultMaxBytes         = 256 << 20
	DefaultFirstFrame       = 4 << 10
	DefaultHandshakeTimeout = 10 * time.Second
	DefaultIdle             = 90 * time.Second
	DefaultStallTimeout     = 15 * time.Second
	DefaultCloseTimeout     = 3 * time.Second
	DefaultReturnWithin     = 5 * time.Second
	DefaultPath             = "/link"
)

// Config is what a Server needs. Zero values mean the defaults.
type Config struct {
	Handler Handler
	// Engine is EngineAuto, EngineGoroutine or EngineEpoll; "" is
	// EngineAuto. Where it is not supported, Serve and ServeHTTP fail.
	Engine string
	// Accept, when set, is asked about every connection by the address it
	// comes from, before anything is read or kept for it; false hangs up, on
	// a WebSocket out of an HTTP server with status 429. Gone is told once
	// of each that was let in, when it has ended. Both are called from many
	// goroutines and must not block. Pipes come from nowhere, and always may.
	Accept func(from netip.Addr) bool
	Gone   func(from netip.Addr)
	// TLS, when set, is spoken on the listeners given to Serve.
	TLS *tls.Config
	// MaxConns is how many connections may be open.
	MaxConns int
	// MaxQueue is how many outgoing bytes a connection may have waiting.
	MaxQueue int
	// MaxLoopBytes and MaxBytes are how many bytes a loop and the whole
	// server may hold for connections: what is queued, frames and WebSocket
	// messages that are not whole, TLS handshakes under way. Beyond, a
	// connection that holds over 4 KiB and asks for more is closed with
	// OVERLOADED.
	MaxLoopBytes, MaxBytes int
	// FirstFrame is the payload limit until SetMaxFrame.
	FirstFrame int
	// HandshakeTimeout is how long a connection may take to its first
	// frame.
	HandshakeTimeout time.Duration
	// Idle is the idle time until SetIdle.
	Idle time.Duration
	// StallTimeout is how long a write of up to 64 KiB may take.
	StallTimeout time.Duration
	// CloseTimeout is how long a goodbye may take.
	CloseTimeout time.Duration
	// ReturnWithin is over which time clients are told to come back after
	// a goodbye of Drain, at most.
	ReturnWithin time.Duration
	// Path is where the link port takes WebSockets, besides the root.
	Path string
	// Rand returns a number in [0, n).
	Rand func(n int64) int64
	// Logger hears of failures to accept.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.MaxConns = cmp.Or(c.MaxConns, DefaultMaxConns)
	c.MaxQueue = cmp.Or(c.MaxQueue, DefaultMaxQueue)
	c.MaxLoopBytes = cmp.Or(c.MaxLoopBytes, DefaultMaxLoopBytes)
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	c.FirstFrame = min(cmp.Or(c.FirstFrame, DefaultFirstFrame), im.MaxClientFrame)
	c.HandshakeTimeout = cmp.Or(c.HandshakeTimeout, DefaultHandshakeTimeout)
	c.Idle = cmp.Or(c.Idle, DefaultIdle)
	c.StallTimeout = cmp.Or(c.StallTimeout, DefaultStallTimeout)
	c.CloseTimeout = cmp.Or(c.CloseTimeout, DefaultCloseTimeout)
	c.ReturnWithin = cmp.Or(c.ReturnWithin, DefaultReturnWithin)
	c.Path = cmp.Or(c.Path, DefaultPath)
	if c.Accept == nil {
		c.Accept = func(netip.Addr) bool { return true }
	}
	if c.Gone == nil {
		c.Gone = func(netip.Addr) {}
	}
	if c.Rand == nil {
		c.Rand = rand.Int64N
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
