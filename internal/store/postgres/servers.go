package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// servers are those that the URL names. One of them is the primary: the one that
// takes writes, and if several do, the one that was promoted last, which its
// timeline tells. An old primary that comes back is never taken for it.
type servers struct {
	opts  *Options
	hosts []*host

	// mu is held while the primary is looked for, so that all who need it wait
	// for one look.
	mu      sync.Mutex
	current *host
	state   state
	// generation counts the looks; connections from before the last one are
	// not used any more.
	generation uint64
	looks      atomic.Uint64
}

// host is one of the servers.
type host struct {
	addr   string
	config *pgconn.Config
}

// parse reads the URL. A host with several ways to connect to it, encrypted or
// not, is one host.
func parse(opts *Options) (*servers, error) {
	cfg, err := pgconn.ParseConfig(opts.URL)
	if err != nil {
		return nil, fmt.Errorf("%w; a URL is wanted, like postgres://user@host1,host2/database", err)
	}
	v := &servers{opts: opts}
	all := append([]*pgconn.FallbackConfig{{Host: cfg.Host, Port: cfg.Port, TLSConfig: cfg.TLSConfig}}, cfg.Fallbacks...)
	for _, f := range all {
		v.add(cfg, f)
	}
	return v, nil
}

// add takes a way to connect to a host.
func (v *servers) add(base *pgconn.Config, f *pgconn.FallbackConfig) {
	addr := net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port)))
	for _, h := range v.hosts {
		if h.addr == addr {
			if v.opts.TLS == nil {
				h.config.Fallbacks = append(h.config.Fallbacks, f)
			}
			return
		}
	}
	c := base.Copy()
	c.Host, c.Port, c.TLSConfig, c.Fallbacks = f.Host, f.Port, f.TLSConfig, nil
	if v.opts.TLS != nil {
		c.TLSConfig = v.opts.TLS.Clone()
		c.TLSConfig.ServerName = f.Host
	}
	// Which server is the right one is found out here.
	c.ValidateConnect = nil
	for key, value := range settings(v.opts.Schema) {
		c.RuntimeParams[key] = value
	}
	c.RuntimeParams["statement_timeout"] = strconv.FormatInt(v.opts.ReplyTimeout.Milliseconds(), 10)
	c.BuildContextWatcherHandler = func(pg *pgconn.PgConn) ctxwatch.Handler {
		// One that is only asked to stop may still say what it has done.
		return &pgconn.CancelRequestContextWatcherHandler{Conn: pg, DeadlineDelay: v.opts.DialTimeout}
	}
	v.hosts = append(v.hosts, &host{addr, c})
}

// connect opens a connection to a host.
func (v *servers) connect(ctx context.Context, h *host) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, v.opts.DialTimeout)
	defer cancel()
	cfg := h.config.Copy()
	if v.opts.PasswordFile != "" {
		b, err := os.ReadFile(v.opts.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("cannot read the password for PostgreSQL: %w", err)
		}
		cfg.Password = strings.TrimRight(string(b), "\r\n")
	}
	c := &conn{prepared: make(map[*statement]*pgconn.StatementDescription, len(statements))}
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" {
			c.warning = n.Message
		}
	}
	var err error
	c.pg, err = pgconn.ConnectConfig(ctx, cfg)
	return c, err
}

// dial opens a connection for statements.
func (v *servers) dial(ctx context.Context, h *host) (*conn, error) {
	c, err := v.connect(ctx, h)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, v.opts.ReplyTimeout)
	defer cancel()
	if err := c.prepare(ctx); err != nil {
		_ = c.pg.Close(ctx)
		return nil, fmt.Errorf("%s: %w", h.addr, err)
	}
	return c, nil
}

// primary returns the primary, and which look has found it.
func (v *servers) primary(ctx context.Context) (*host, uint64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.current == nil {
		if err := v.look(ctx); err != nil {
			return nil, 0, err
		}
	}
	return v.current, v.generation, nil
}

// suspect says that something is wrong with the primary that a look has found:
// somebody looks again before it is used.
func (v *servers) suspect(generation uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.generation == generation {
		v.current = nil
	}
}

// look asks all servers what they are.
func (v *servers) look(ctx context.Context) error {
	v.generation++
	v.looks.Add(1)
	found := make([]state, len(v.hosts))
	errs := make([]error, len(v.hosts))
	var wg sync.WaitGroup
	for i, h := range v.hosts {
		wg.Go(func() {
			found[i], errs[i] = v.ask(ctx, h)
			if errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", h.addr, errs[i])
			}
		})
	}
	wg.Wait()
	best := -1
	for i := range found {
		if errs[i] != nil || !found[i].primary || found[i].timeline < v.state.timeline {
			continue
		}
		if best >= 0 && found[i].system != found[best].system {
			return fmt.Errorf("%s and %s are primaries of different clusters", v.hosts[best].addr, v.hosts[i].addr)
		}
		if best < 0 || found[i].timeline > found[best].timeline {
			best = i
		}
	}
	if best < 0 {
		failed := slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
		return &noPrimary{errors.Join(append(errs, v.standing(found, errs)...)...), failed}
	}
	if err := found[best].check(); err != nil {
		return fmt.Errorf("%s: %w", v.hosts[best].addr, err)
	}
	v.current, v.state = v.hosts[best], found[best]
	return nil
}

// noPrimary says why no server is the primary. What the servers have answered is
// not the answer to a call: somebody may be promoted soon.
type noPrimary struct {
	why error
	// failed are the errors of servers that could not be asked.
	failed []error
}

func (e *noPrimary) Error() string { return fmt.Sprintf("no server takes writes: %v", e.why) }

// standing says of the servers that have answered why none of them is it.
func (v *servers) standing(found []state, errs []error) []error {
	var why []error
	for i := range found {
		switch {
		case errs[i] != nil:
		case found[i].primary:
			why = append(why, fmt.Errorf("%s: another server has been promoted since it was the primary", v.hosts[i].addr))
		default:
			why = append(why, fmt.Errorf("%s: it is a standby, or read-only", v.hosts[i].addr))
		}
	}
	return why
}

// state is what a server says of itself.
type state struct {
	primary  bool
	timeline uint64
	// system names the cluster that server and standbys are.
	system string
	// standbys is its synchronous_standby_names.
	standbys                        string
	version                         int
	fsync, wholePages, syncedCommit string
}

const askState = `SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off',
	CASE WHEN pg_is_in_recovery() THEN '' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,
	(SELECT system_identifier FROM pg_control_system()), current_setting('synchronous_standby_names'),
	current_setting('server_version_num'), current_setting('fsync'), current_setting('full_page_writes'),
	current_setting('synchronous_commit')`

// ask asks a server what it is.
func (v *servers) ask(ctx context.Context, h *host) (s state, err error) {
	ctx, cancel := context.WithTimeout(ctx, v.opts.DialTimeout+v.opts.ReplyTimeout/4)
	defer cancel()
	c, err := v.connect(ctx, h)
	if err != nil {
		return s, err
	}
	defer func() {
		_ = c.pg.Close(ctx)
		<-c.pg.CleanupDone()
	}()
	results, err := c.pg.Exec(ctx, askState).ReadAll()
	if err != nil {
		return s, err
	}
	f := results[0].Rows[0]
	s = state{
		primary: string(f[0]) == "t", system: string(f[2]), standbys: string(f[3]),
		fsync: string(f[5]), wholePages: string(f[6]), syncedCommit: string(f[7]),
	}
	if s.primary {
		if s.timeline, err = strconv.ParseUint(string(f[1]), 16, 32); err != nil {
			return s, fmt.Errorf("its timeline is %q", f[1])
		}
	}
	s.version, err = strconv.Atoi(string(f[4]))
	return s, err
}

// oldest is the first version that has what the engine asks for.
const oldest = 130000

// check refuses a primary that may not keep what it acknowledges.
func (s *state) check() error {
	switch {
	case s.version < oldest:
		return fmt.Errorf("the server has version %d; PostgreSQL %d or later is needed", s.version/10000, oldest/10000)
	case s.fsync != "on":
		return errors.New("fsync is off: a crash of its machine would destroy the data; turn it on")
	case s.wholePages != "on":
		return errors.New("full_page_writes is off: a crash of its machine may destroy the data; turn it on")
	case s.syncedCommit != "on":
		return fmt.Errorf("synchronous_commit is %s, though 'on' was asked for; connect to the server itself, not through a pooler that drops settings", s.syncedCommit)
	}
	return nil
}

// confirming is how many standbys a server waits for that has a value of
// synchronous_standby_names.
func confirming(names string) int {
	names = strings.ToLower(strings.TrimSpace(names))
	if names == "" {
		return 0
	}
	number := strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(names, "first"), "any"))
	number, _, listed := strings.Cut(number, "(")
	if n, err := strconv.Atoi(strings.TrimSpace(number)); listed && err == nil {
		return n
	}
	return 1
}

// retryPause is how long a call waits before an attempt.
func retryPause(attempt int) time.Duration {
	return min(time.Duration(attempt+1)*10*time.Millisecond, 200*time.Millisecond)
}
