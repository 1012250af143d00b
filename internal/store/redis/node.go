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
)

// node is a server that the store knows, and its connections.
type node struct {
	addr string
	opts *Options
	// suspect: it did not answer the last time.
	suspect atomic.Bool
	// electable is how many replicas could be promoted when fewer than all
	// had to confirm, with ElectableReplicas; 0: all have to.
	electable atomic.Int32
	// turns are as many as there may be connections of calls that wait. They
	// are given out in order: the client library's pool lets those who have
	// just finished overtake those who wait, and under load some waited for
	// seconds.
	turns *semaphore.Weighted

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
}

func newNode(addr string, opts *Options) *node {
	return &node{addr: addr, opts: opts, turns: semaphore.NewWeighted(int64(opts.Connections))}
}

// errNotSent says that a server has not seen a call.
var errNotSent = errors.New("no connection")

// acquire returns the node's connections, which release gives back.
func (n *node) acquire() (*connections, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, errClosed
	}
	if n.current == nil {
		client, err := rueidis.NewClient(n.clientOptions())
		if err != nil {
			if client != nil {
				client.Close()
			}
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
