package remote

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// Defaults of ServerConfig.
const (
	DefaultWindow           = 1024
	DefaultMaxLinks         = 1024
	DefaultMaxHandshakes    = 64
	DefaultHandshakeTimeout = 5 * time.Second
	DefaultMaxQueue         = 64 << 20
	DefaultMaxReads         = 16
)

// MaxWindow is the highest Window.
const MaxWindow = 1 << 16

// ServerConfig is what a Server needs. Zero values mean the defaults.
type ServerConfig struct {
	// Mailbox may be nil where there are Ways only.
	Mailbox im.Mailbox
	// Inner is for Clients with ClientConfig.Inner; nil: Mailbox is.
	Inner im.Mailbox
	// Receive takes link messages from other nodes; it must return at once.
	// nil: there are none.
	Receive func(m *entity.Message)
	// Ways are those to other regions, for Clients with ClientConfig.Region; it
	// returns nil if there is no such region. nil: this node is no relay.
	Ways func(im.Region) Way
	// Served hears which slots another node serves from now on, and under which
	// epochs, which nodes of earlier versions do not say; it must return at
	// once. nil: nobody wants to know.
	Served func(node string, slots []im.Slot, epochs []im.Epoch)
	// Serving is what this node serves, which every new client is told; nil:
	// they are not.
	Serving func() (slots []im.Slot, epochs []im.Epoch)
	// Joined hears that a node has made a link; it must return at once. nil:
	// nobody wants to know.
	Joined func(node string)
	// Secret is shared by all nodes; at least MinSecret bytes.
	Secret []byte
	// Node names this node.
	Node   string
	Logger *slog.Logger
	// Window is how many commands of a link may be in flight.
	Window int
	// MaxLinks is how many links there may be, MaxHandshakes how many
	// connections that have not shown yet that they know the secret.
	MaxLinks, MaxHandshakes int
	HandshakeTimeout        time.Duration
	// MaxQueue is how many outgoing bytes of a link may wait; beyond them
	// the link is cut.
	MaxQueue int
	// MaxReads is how many reads of timelines run at a time.
	MaxReads  int
	Heartbeat Heartbeat
}

func (c ServerConfig) withDefaults() ServerConfig {
	c.Window = cmp.Or(c.Window, DefaultWindow)
	c.MaxLinks = cmp.Or(c.MaxLinks, DefaultMaxLinks)
	c.MaxHandshakes = cmp.Or(c.MaxHandshakes, DefaultMaxHandshakes)
	c.HandshakeTimeout = cmp.Or(c.HandshakeTimeout, DefaultHandshakeTimeout)
	c.MaxQueue = cmp.Or(c.MaxQueue, DefaultMaxQueue)
	c.MaxReads = cmp.Or(c.MaxReads, DefaultMaxReads)
	c.Heartbeat = c.Heartbeat.withDefaults()
	if c.Joined == nil {
		c.Joined = func(string) {}
	}
	return c
}

func (c *ServerConfig) check() error {
	switch {
	case c.Mailbox == nil && c.Ways == nil || c.Logger == nil:
		return errors.New("a role link's server needs a mailbox and a logger")
	case c.Window < 1 || c.Window > MaxWindow:
		return im.Errorf(im.Invalid, "a role link's window is 1 to %d commands", MaxWindow)
	}
	return checkIdentity(c.Secret, c.Node)
}

func checkIdentity(secret []byte, node string) error {
	if len(secret) < MinSecret {
		return im.Errorf(im.Invalid, "the secret of role links needs at least %d bytes", MinSecret)
	}
	if node == "" || len(node) > MaxNode {
		return im.Errorf(im.Invalid, "a node's name has 1 to %d bytes", MaxNode)
	}
	return nil
}

// Defaults of ClientConfig.
const (
	DefaultPatience       = 10 * time.Second
	DefaultMaxQueued      = 1 << 16
	DefaultMaxQueuedBytes = 64 << 20
	// A Client's share of what nodes have waiting for each other.
	DefaultMaxForwardBytes = 8 << 20
)

// ClientConfig is what a Client needs. Zero values mean the defaults.
type ClientConfig struct {
	// Addr of the mailbox node: host:port, or unix: and a path.
	Addr string
	// Dial connects to it; nil: in the clear.
	Dial func(ctx context.Context) (net.Conn, error)
	// Secret is shared by all nodes; at least MinSecret bytes.
	Secret []byte
	// Node names this node.
	Node   string
	Logger *slog.Logger
	// Instance tells this process's sessions from those of others: every
	// Client of the process has the same, and one Client per mailbox node.
	// 0: a random one.
	Instance uint64
	// Inner asks for the mailbox itself, without what the node has before it
	// for gateways.
	Inner bool
	// Region asks a relay for the way to another region; empty: the node's own
	// mailbox. Reach, which is nil without it, hears from the client's goroutine
	// how it stands with that region, and nil when the link is lost: before
	// commands that were in flight are completed.
	Region im.Region
	Reach  func(r *im.Reach)
	// FailFast completes commands as Unavailable that are in flight when the link
	// is lost, or submitted while there is none: who submits them knows another
	// way.
	FailFast bool
	// Patience is how long a command may wait to be sent.
	Patience time.Duration
	// MaxQueued and MaxQueuedBytes bound the commands that wait.
	MaxQueued, MaxQueuedBytes int
	// MaxForwardBytes bounds the link messages that wait; beyond it they are
	// dropped.
	MaxForwardBytes int
	// HandshakeTimeout bounds connecting, and the handshake after it.
	HandshakeTimeout time.Duration
	Heartbeat        Heartbeat
	// Up hears that there is a link again, or for the first time, Down that one
	// has ended or could not be made, and why; they must return at once. nil:
	// nobody wants to know.
	Up   func()
	Down func(err error)
	// Served hears which slots the node serves from now on, and under which
	// epochs, Left which it has handed over; they must return at once. nil:
	// nobody wants to know.
	Served func(slots []im.Slot, epochs []im.Epoch)
	Left   func(slots []im.Slot, epochs []im.Epoch)
	// Rand returns a number in [0, n); it spreads attempts to connect.
	Rand func(n int64) int64
}

func (c ClientConfig) withDefaults() ClientConfig {
	c.Patience = cmp.Or(c.Patience, DefaultPatience)
	c.MaxQueued = cmp.Or(c.MaxQueued, DefaultMaxQueued)
	c.MaxQueuedBytes = cmp.Or(c.MaxQueuedBytes, DefaultMaxQueuedBytes)
	c.MaxForwardBytes = cmp.Or(c.MaxForwardBytes, DefaultMaxForwardBytes)
	c.HandshakeTimeout = cmp.Or(c.HandshakeTimeout, DefaultHandshakeTimeout)
	c.Heartbeat = c.Heartbeat.withDefaults()
	if c.Instance == 0 {
		c.Instance = randomID()
	}
	if c.Dial == nil {
		c.Dial = c.dialAddr
	}
	if c.Up == nil {
		c.Up = func() {}
	}
	if c.Down == nil {
		c.Down = func(error) {}
	}
	if c.Rand == nil {
		c.Rand = rand.Int64N
	}
	return c
}
