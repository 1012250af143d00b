package postgres

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Options configure a store. A URL is needed.
type Options struct {
	// URL says where the servers are, as libpq has it: a postgres:// URL or
	// key=value pairs, with all servers as hosts. Which of them is the primary
	// is found out.
	URL string
	// PasswordFile, when set, is read for every new connection, so that a
	// password can change while the store runs. Its last line break is no part
	// of it.
	PasswordFile string
	// TLS encrypts connections, whatever the URL says; nil: what that says.
	TLS *tls.Config
	// Schema holds the tables; "": DefaultSchema.
	Schema string

	// Standbys is how many standbys must have a write before it is durable: at
	// least as many as the server waits for by its synchronous_standby_names,
	// or nothing is acknowledged. FromServer: as many as it waited for when the
	// store was opened.
	Standbys int
	// ReplyTimeout is how long a server may take to answer, standbys
	// included; 0: 3 seconds. A commit that it has not answered by then is
	// given up, its fate unknown.
	ReplyTimeout time.Duration
	// Timeout is how long a call is tried while no server takes it, for a
	// reason that passes: a standby is being promoted, a server is starting;
	// 0: 10 seconds.
	Timeout time.Duration
	// DialTimeout is how long connecting may take; 0: a second.
	DialTimeout time.Duration
	// Connections is how many commits and acquisitions run at a time, and
	// likewise how many reads; 0: 8. Others wait for their turn.
	Connections int

	// Logger gets what the operator should know; nil: slog.Default.
	Logger *slog.Logger
}

const (
	// DefaultSchema is the default of Options.Schema.
	DefaultSchema = "skein"
	// FromServer is the number of standbys that the server waits for.
	FromServer = -1
)

// maxSchema is the longest name that servers keep whole.
const maxSchema = 63

// complete fills in defaults and reports the first setting that cannot work.
func (o *Options) complete() error {
	o.Schema = cmp.Or(o.Schema, DefaultSchema)
	o.ReplyTimeout = cmp.Or(o.ReplyTimeout, 3*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.DialTimeout = cmp.Or(o.DialTimeout, time.Second)
	o.Connections = cmp.Or(o.Connections, 8)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	switch {
	case o.URL == "":
		return errors.New("the URL of a PostgreSQL server is needed")
	case !plain(o.Schema):
		return fmt.Errorf("a schema's name has 1 to %d small letters, digits and underscores, the first no digit, and does not begin with pg_", maxSchema)
	case o.Standbys < FromServer || o.Standbys > 16:
		return fmt.Errorf("standbys to wait for: between 0 and 16, or %d for as many as the server does", FromServer)
	case o.ReplyTimeout < time.Millisecond || o.Timeout < 0 || o.DialTimeout < 0:
		return errors.New("a server has at least a millisecond to answer, and times are not negative")
	case o.Connections < 0 || o.Connections > 256:
		return errors.New("connections: at most 256")
	}
	return nil
}

// plain reports whether a name needs no quotes.
func plain(name string) bool {
	for i, c := range name {
		if c != '_' && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && len(name) <= maxSchema && !strings.HasPrefix(name, "pg_")
}
