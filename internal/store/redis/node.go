package redis

import (
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/sync/semaphore"

	"github.com/skein-im/skein/internal/store"
)

// node is a server that the store knows, and its connections.
type node struct {
	addr string
	opts *Options
	// suspect: it did not answer the last time.
	suspect atomic.Bool
	// since is when it began not to answer, failed when it did not last, in
	// nanoseconds since 1970; 0: it did the last time.
	since, failed atomic.Int64
	// electable is how many replicas could be promoted when fewer than all
	// had to confirm, with ElectableReplicas; 0: all have to.
	electable atomic.Int32
	// turns are as many as there may be connections of calls that wait. They
	// are given out in order: the client library's pool lets those who have
	// just finished overtake those who wait, and under load some waited for
	// seconds.
	turns *semaphore.Weighted
	// looking is held while the server's settings are looked at, and guards
	// what was said of them last.
	looking *semaphore.Weighted
	said    string
	// missed: it was not there, or not fit, when it was looked at.
	missed atomic.Bool
	// elects is whether its part in elections was looked at.
	elects atomic.Bool

	mu      sync.Mutex
	current *connections
	closed  bool
}

// connections are what a node has until one of them breaks. Then the others,
// which nobody reads from while they are idle, are as likely broken, so all
// are replaced.
type connections struct {
	client rueidis.Client
	users  int
	old    bool
	// fit: the server's settings have been looked at since it was connected to.
	fit atomic.Bool
}

func newNode(addr string, opts *Options) *node {
	return &node{addr: addr, opts: opts, turns: semaphore.NewWeighted(int64(opts.Connections)), looking: semaphore.NewWeighted(1)}
}

// errNotSent says that a server has not seen a call.
var errNotSent = errors.New("no connection")

// acquire returns the node's connections, which release gives back.
func (n *node) acquire() (*connections, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, store.ErrClosed
	}
	if n.addr == nobody {
		return nil, errors.Join(errNotSent, errNobody)
	}
	if n.current == nil {
		client, err := rueidis.NewClient(n.clientOptions())
		if err != nil {
			if client != nil {
				client.Close()
			}
			n.noteFailure(time.Now())
			return nil, errors.Join(errNotSent, err)
		}
		n.current = &connections{client: client}
	}
	n.current.users++
	return n.current, nil
}

// release ends a use of connections; broken ones are not used again.
func (n *node) release(c *connections, broken bool) {
	n.suspect.Store(broken)
	if broken {
		n.noteFailure(time.Now())
	} else {
		n.since.Store(0)
	}
	n.mu.Lock()
	c.users--
	if broken && !c.old {
		c.old = true
		if n.current == c {
			n.current = nil
		}
	}
	last := c.old && c.users == 0
	n.mu.Unlock()
	if last {
		c.client.Close()
	}
}

// noteFailure notes that the server has not answered. What nobody has asked for a
// long time begins anew.
func (n *node) noteFailure(now time.Time) {
	last := n.failed.Swap(now.UnixNano())
	if n.since.Load() == 0 || now.Sub(time.Unix(0, last)) > n.opts.Timeout {
		n.since.Store(now.UnixNano())
	}
}

// giveUp notes that the server has not answered, and is not to be waited for: whoever
// starts while it is away would wait for it again and again.
func (n *node) giveUp(now time.Time) {
	n.failed.Store(now.UnixNano())
	n.since.Store(now.Add(-n.opts.Timeout).UnixNano())
}

// close lets go of the connections. Nobody uses them any more.
func (n *node) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	if n.current != nil {
		n.current.client.Close()
		n.current = nil
	}
}

func (n *node) clientOptions() rueidis.ClientOption {
	o := n.opts
	return rueidis.ClientOption{
		InitAddress:       []string{n.addr},
		ForceSingleClient: true,
		// What may be sent again, this package knows better.
		DisableRetry: true,
		DisableCache: true,

		AuthCredentialsFn: o.credentials,
		TLSConfig:         o.TLS,
		ClientName:        "skein",
		ClientSetInfo:     rueidis.DisableClientSetInfo,

		// Negative: no pings. A ping would meet a call on its connection,
		// which then needs two more goroutines for good.
		Dialer: net.Dialer{
			Timeout: o.DialTimeout, KeepAlive: -1,
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
		},
		ConnWriteTimeout:    o.ReplyTimeout,
		PipelineMultiplex:   -1, // one connection for reads
		BlockingPoolSize:    o.Connections,
		ReadBufferEachConn:  16 << 10,
		WriteBufferEachConn: 64 << 10,
		RingScaleEachConn:   8,
	}
}

// credentials are asked for at each new connection.
func (o *Options) credentials(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
	c := rueidis.AuthCredentials{Username: o.Username, Password: o.Password}
	if o.PasswordFile != "" {
		text, err := os.ReadFile(o.PasswordFile)
		if err != nil {
			return c, err
		}
		c.Password = strings.TrimRight(string(text), "\r\n")
	}
	return c, nil
}
