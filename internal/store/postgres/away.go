package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/skein-im/skein/internal/store"
)

// orAway says of an error that it may pass by itself, if it may.
func orAway(err error) error {
	if err != nil && passes(err) {
		return fmt.Errorf("%w: %w", store.ErrAway, err)
	}
	return err
}

// passes reports whether an error is one of servers that are away, not ready, or not
// promoted yet. One that refuses a password will do so again.
func passes(err error) bool {
	var none *noPrimary
	if errors.As(err, &none) {
		return !slices.ContainsFunc(none.failed, func(err error) bool { return !passes(err) })
	}
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) {
		return slices.Contains(passing, refusal.Code)
	}
	return errors.As(err, new(*StandbyError)) || errors.As(err, new(*net.OpError)) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}
