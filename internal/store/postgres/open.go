package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// formatVersion is the version of the tables and values, im.Slots and
// im.Addr.Slot. Raise it when any of them changes.
const formatVersion = 1

// Open finds the primary, checks that it is set up to keep what it is given, and
// makes the tables if they are not there. ErrAway: there is no primary that takes
// writes.
func Open(ctx context.Context, opts Options) (*Store, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	v, err := parse(&opts)
	if err != nil {
		return nil, err
	}
	s := &Store{opts: opts, log: opts.Logger, writer: newWriter(), servers: v}
	s.writes, s.reads = newPool(v, opts.Connections), newPool(v, opts.Connections)
	if err := orAway(s.open(ctx)); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("open the store at %s: %w", strings.Join(v.addresses(), ", "), err)
	}
	return s, nil
}

func (v *servers) addresses() []string {
	var addrs []string
	for _, h := range v.hosts {
		addrs = append(addrs, h.addr)
	}
	return addrs
}

func (s *Store) open(ctx context.Context) error {
	h, _, err := s.servers.primary(ctx)
	if err != nil {
		return err
	}
	have := confirming(s.servers.state.standbys)
	if s.wanted = s.opts.Standbys; s.wanted == FromServer {
		s.wanted = have
	}
	warn := func(what, risk string) {
		s.log.Warn("the PostgreSQL server may lose acknowledged messages", "server", h.addr, "because", what, "risk", risk)
	}
	switch {
	case s.wanted == 0:
		warn("it waits for no standby", "all since the last backup is lost with its disk, and some messages in a failover")
	case have < s.wanted:
		warn(fmt.Sprintf("it waits for %d standbys", have), fmt.Sprintf("none: nothing is acknowledged until it waits for %d", s.wanted))
	}
	if err := s.install(ctx, h); err != nil {
		return err
	}
	// What is there must be durable before anything is built on it.
	return s.run(ctx, s.writes, confirmed, &query{st: sqlTouch})
}

// install makes the tables and functions that are not there, unless a newer
// version has made them.
func (s *Store) install(ctx context.Context, h *host) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	c, err := s.servers.connect(ctx, h)
	if err != nil {
		return err
	}
	defer func() {
		_ = c.pg.Close(ctx)
		<-c.pg.CleanupDone()
	}()
	if tables, functions, err := s.checkFormat(ctx, c); err != nil || tables && functions {
		return err
	}
	// Of several nodes that start at once, one does it.
	_, err = c.ask(ctx, fmt.Sprintf("BEGIN; SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; "+
		"SELECT pg_advisory_xact_lock(hashtextextended('skein schema %s', 0))", s.opts.Schema))
	if err != nil {
		return err
	}
	tables, functions, err := s.checkFormat(ctx, c)
	if err == nil && !tables {
		err = s.makeTables(ctx, c)
	}
	if err == nil && !functions {
		_, err = c.ask(ctx, functionsSQL)
	}
	if err == nil {
		_, err = c.ask(ctx, "COMMIT")
	}
	if err != nil {
		return fmt.Errorf("make the tables in schema %s: %w", s.opts.Schema, err)
	}
	return nil
}

func (s *Store) makeTables(ctx context.Context, c *conn) error {
	there, err := c.ask(ctx, fmt.Sprintf("SELECT count(*) FROM pg_namespace WHERE nspname = '%s'", s.opts.Schema))
	if err != nil {
		return err
	}
	sql := tablesSQL
	if there == "0" {
		sql = "CREATE SCHEMA " + s.opts.Schema + ";" + sql
	}
	_, err = c.ask(ctx, sql+fmt.Sprintf(`
		INSERT INTO format VALUES (%d);
		INSERT INTO owners SELECT n, 0, 0, '' FROM generate_series(0, %d) n`, formatVersion, im.Slots-1))
	return err
}

// checkFormat reads which format the tables have, and whether all is there.
func (s *Store) checkFormat(ctx context.Context, c *conn) (tables, functions bool, err error) {
	// By the catalogue, which tells what others have made meanwhile; names may
	// be found in an older state.
	there, err := c.ask(ctx, fmt.Sprintf("SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '%s' AND c.relname = 'format'", s.opts.Schema))
	if err != nil || there != "1" {
		return false, false, err
	}
	text, err := c.ask(ctx, "SELECT version FROM format")
	if err != nil {
		return false, false, err
	}
	switch version, err := strconv.Atoi(text); {
	case err != nil || version < 1:
		return false, false, store.Corruptf("its format is %q", text)
	case version > formatVersion:
		return false, false, fmt.Errorf("%w: it has format %d and this version knows formats up to %d", store.ErrNewer, version, formatVersion)
	}
	found, err := c.ask(ctx, fmt.Sprintf("SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = '%s' AND p.proname IN ('commit_1', 'acquire_1', 'read_1')", s.opts.Schema))
	return true, found == "3", err
}

// ask runs statements without parameters, and returns the first column of the
// last row, if there is one.
func (c *conn) ask(ctx context.Context, sql string) (string, error) {
	results, err := c.pg.Exec(ctx, sql).ReadAll()
	if err != nil {
		var refusal *pgconn.PgError
		if errors.As(err, &refusal) && refusal.Detail != "" {
			err = fmt.Errorf("%w (%s)", err, refusal.Detail)
		}
		return "", err
	}
	if len(results) == 0 {
		return "", nil
	}
	rows := results[len(results)-1].Rows
	if len(rows) == 0 || len(rows[len(rows)-1]) == 0 {
		return "", nil
	}
	return string(rows[len(rows)-1][0]), nil
}
