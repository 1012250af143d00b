package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// Options are what a Client needs. Addr and Token have no defaults.
type Options struct {
	// Addr is tcp://host:port, tls://host:port, ws://host:port/link or
	// wss://host:port/link.
	Addr string
	// Token is the device's, from Register or Login.
	Token string
	// TLS is used for tls and wss; nil: the system's roots.
	TLS *tls.Config
	// Heartbeat is how often a quiet link is checked; the server bounds it
	// to 5-300 seconds. 0: the server's choice, a minute.
	Heartbeat time.Duration
	// Cursor is the last timeline entry this device has stored; entries
	// after it follow. nil: the server's own cursor for the device.
	Cursor *uint64
	// Generation is what Client.Generation said when Cursor was stored. With it,
	// a server that has lost its last entries can say which (see Rewound). nil:
	// not known.
	Generation *uint64
	// OnEntry is called with each new entry, one at a time. When it
	// returns, the entry counts as stored and will not come again. It may
	// take its time, and may Send; it must not Close the client, but may
	// return an error, which does: the entry then comes again another
	// time. nil: entries are read from Entries.
	OnEntry func(*Client, Entry) error
	// OnNotice is called with words of the operator to everyone connected,
	// one at a time and never beside OnEntry. They are not kept anywhere.
	OnNotice func(*Client, Notice)
	// OnLink is called when the link is up, after the login, and when it is
	// gone, with the reason; one call at a time, and never after Close has
	// returned. What it delays is the next attempt to connect.
	OnLink func(c *Client, up bool, why error)
	// Queue is how many entries may wait for OnEntry or Entries; more stay
	// at the server. 0: 2,048.
	Queue int
	// Outbox is how many sends may wait for their receipts. 0: 1,024.
	Outbox int
	// Backoff says how to wait between attempts to connect.
	Backoff Backoff
	// Agent is what the program calls itself in the server's logs.
	Agent string
	// Logger hears of links that come and go. nil: nobody does.
	Logger *slog.Logger

	// dial replaces link.Dial in tests.
	dial func(ctx context.Context, addr string) (transport, error)
}

// Backoff is exponential with full jitter: before attempt n the client waits
// for a random time of up to Min * 2^n, but at most Max. What the server asks
// for comes on top.
type Backoff struct {
	// Min is 200 ms and Max 30 s by default.
	Min, Max time.Duration
	// Jitter returns a number in [0, n). nil: a random one.
	Jitter func(n int64) int64
}

// wait is how long to wait before an attempt, from 0.
func (b *Backoff) wait(attempt int) time.Duration {
	most := b.Max
	if attempt < 20 {
		most = min(b.Max, b.Min<<attempt)
	}
	return time.Duration(b.Jitter(int64(most) + 1))
}

// transport is a connection that carries frames; *link.ClientConn is one.
type transport interface {
	ReadFrame() (wire.Type, []byte, error)
	Write(frames []byte) error
	Close() error
}

const (
	defaultQueue  = 2048
	defaultOutbox = 1024
)

func (o Options) withDefaults() (Options, error) {
	if o.Token == "" {
		return o, im.Errorf(im.Invalid, "a client needs a token")
	}
	if _, err := parseAddr(o.Addr); err != nil {
		return o, err
	}
	o.Queue = max(1, cmp.Or(o.Queue, defaultQueue))
	o.Outbox = max(1, cmp.Or(o.Outbox, defaultOutbox))
	o.Backoff.Min = max(time.Millisecond, cmp.Or(o.Backoff.Min, 200*time.Millisecond))
	o.Backoff.Max = max(o.Backoff.Min, cmp.Or(o.Backoff.Max, 30*time.Second))
	o.Agent = cmp.Or(o.Agent, "skein-go")
	if o.Backoff.Jitter == nil {
		o.Backoff.Jitter = rand.Int64N
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnLink == nil {
		o.OnLink = func(*Client, bool, error) {}
	}
	if o.dial == nil {
		o.dial = func(ctx context.Context, addr string) (transport, error) {
			return link.Dial(ctx, addr, link.DialOptions{TLS: o.TLS})
		}
	}
	return o, nil
}
