package redis

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Options configure a store. Addresses are needed.
type Options struct {
	// Addresses are host:port: that of the one server, or of some servers of
	// a cluster, which name the others.
	Addresses []string
	// Username and Password log in; PasswordFile, when set, is read for
	// every new connection, so that a password can change while the store
	// runs. Its last line break is no part of it.
	Username     string
	Password     string
	PasswordFile string
	// TLS encrypts connections; nil: none.
	TLS *tls.Config
	// Prefix begins all keys; "": DefaultPrefix. It may not hold braces.
	Prefix string

	// Replicas is how many replicas of a server must confirm a write before
	// it is durable. 0: what a server has acknowledged is on that server
	// only. With two replicas each, 1 lets writes go on while one is away,
	// and AllReplicas lets none be lost whichever is promoted;
	// ElectableReplicas goes on without servers that cannot be.
	Replicas int
	// ReplicaTimeout is how long to wait for them; 0: a second. It may not
	// exceed ReplyTimeout.
	ReplicaTimeout time.Duration
	// ReplyTimeout is how long a server may take to answer; 0: 3 seconds.
	// A commit that it has not answered by then is given up, its fate
	// unknown.
	ReplyTimeout time.Duration
	// Timeout is how long a call is tried while servers refuse it for a
	// reason that passes: slots move, a replica is being promoted, a server
	// is loading; 0: 10 seconds.
	Timeout time.Duration
	// DialTimeout is how long connecting may take; 0: a second.
	DialTimeout time.Duration
	// Connections is how many commits, and other calls that wait for
	// replicas, run on one server at a time; 0: 16. Others wait for their
	// turn. Reads share one more connection.
	Connections int

	// Logger gets what the operator should know; nil: slog.Default.
	Logger *slog.Logger
}

// DefaultPrefix is the default of Options.Prefix.
const DefaultPrefix = "skein:"

// complete fills in defaults and reports the first setting that cannot work.
func (o *Options) complete() error {
	o.Prefix = cmp.Or(o.Prefix, DefaultPrefix)
	o.ReplyTimeout = cmp.Or(o.ReplyTimeout, 3*time.Second)
	o.ReplicaTimeout = cmp.Or(o.ReplicaTimeout, min(time.Second, o.ReplyTimeout))
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.DialTimeout = cmp.Or(o.DialTimeout, time.Second)
	o.Connections = cmp.Or(o.Connections, 16)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	switch {
	case len(o.Addresses) == 0:
		return fmt.Errorf("the address of a Redis server is needed")
	case strings.ContainsAny(o.Prefix, "{}") || len(o.Prefix) > 64:
		return fmt.Errorf("the prefix of keys has at most 64 bytes and no braces")
	case o.Replicas < ElectableReplicas || o.Replicas > 16:
		return fmt.Errorf("replicas to wait for: between 0 and 16, %d for all, or %d for all that could be promoted", AllReplicas, ElectableReplicas)
	case o.ReplicaTimeout < time.Millisecond || o.ReplicaTimeout > o.ReplyTimeout:
		return fmt.Errorf("the time to wait for replicas is at least a millisecond and at most the time to wait for a reply")
	case o.Timeout < 0 || o.DialTimeout < 0 || o.Connections < 0 || o.Connections > 1024:
		return fmt.Errorf("times are not negative, and connections at most 1024")
	case o.Password != "" && o.PasswordFile != "":
		return fmt.Errorf("a password or a file with it, not both")
	}
	return nil
}
