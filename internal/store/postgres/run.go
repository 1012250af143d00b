package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// mode is how a transaction is run.
type mode uint8

const (
	// once: one whose fate is unknown is not run again.
	once mode = 1 << iota
	// confirmed: as many standbys as are wanted have it when it is answered.
	confirmed
	// impatient: who has a lock that is wanted is no reason to try again.
	impatient
)

// Errors of the server that the engine knows.
const (
	codeHole      = "SK001" // raised by commit_1
	codeDuplicate = "23505"
	codeReadOnly  = "25006"
	codeLock      = "55P03"
	codeCrowded   = "53300"
)

// passing are refusals for a reason that goes away by itself: the server has been
// demoted, an acquisition or another commit is in the way, the server is about
// to stop, or has no connection left.
var passing = []string{codeReadOnly, codeLock, "40001", "40P01", "57014", "57P01", "57P02", "57P03", codeCrowded}

// run runs queries in one transaction on the primary, and again where that was
// refused for a reason that passes. When it returns nil, the transaction is
// durable.
func (s *Store) run(ctx context.Context, p *pool, m mode, queries ...*query) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.opts.Timeout, fmt.Errorf("gave up after %v", s.opts.Timeout))
	defer cancel()
	for attempt := 0; ; attempt++ {
		o, err := s.try(ctx, p, m, queries)
		if o == answered {
			return err
		}
		if o == unknown && m&once != 0 {
			s.book.Unknown.Add(1)
			return fmt.Errorf("the fate of a write is unknown: %w", err)
		}
		var refusal *pgconn.PgError
		var standbys *StandbyError
		final := errors.As(err, &refusal) && (!slices.Contains(passing, refusal.Code) || m&impatient != 0 && refusal.Code == codeLock)
		if final || errors.As(err, &standbys) {
			return err
		}
		s.book.Retries.Add(1)
		select {
		case <-time.After(retryPause(attempt)):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// try makes one attempt. An error besides answered is about the state of the
// server, and final.
func (s *Store) try(ctx context.Context, p *pool, m mode, queries []*query) (outcome, error) {
	c, err := p.get(ctx)
	if err != nil {
		return refused, err
	}
	defer p.put(c)
	ctx, cancel := context.WithTimeout(ctx, s.opts.ReplyTimeout)
	defer cancel()
	confirm := m&confirmed != 0 && s.wanted > 0
	standbys, o, err := c.exchange(ctx, confirm, queries)
	if o == answered && confirm && confirming(standbys) < s.wanted {
		o, err = unknown, &StandbyError{Because: fmt.Sprintf("the server waits for %q, and not for %d", standbys, s.wanted)}
	}
	if err != nil {
		s.noticed(c, err)
	}
	return o, err
}

// noticed has somebody look for the primary after an error that another server
// may not give.
func (s *Store) noticed(c *conn, err error) {
	var standbys *StandbyError
	if errors.As(err, &standbys) {
		s.book.Unconfirmed.Add(1)
	}
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) || refusal.SeverityUnlocalized != "ERROR" || refusal.Code == codeReadOnly {
		s.servers.suspect(c.generation)
	}
}
