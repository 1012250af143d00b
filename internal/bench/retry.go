package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// Backoff between attempts: exponential, with full jitter.
const (
	backoffMin = 50 * time.Millisecond
	backoffMax = 2 * time.Second
)

// backoff is how long to wait before an attempt, from 0, when the server asked
// for a wait.
func backoff(attempt int, asked time.Duration) time.Duration {
	most := backoffMax
	if attempt < 6 {
		most = min(backoffMax, backoffMin<<attempt)
	}
	return asked + time.Duration(rand.Int64N(int64(most)))
}

// pause waits; false: ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retry repeats f until it succeeds, fails for good, or ctx ends.
func retry(ctx context.Context, f func() error) error {
	for attempt := 0; ; attempt++ {
		err := f()
		if err == nil || !im.KindOf(err).Temporary() {
			return err
		}
		if !pause(ctx, backoff(attempt, retryAfter(err))) {
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// retryAfter is how long the server asked to wait.
func retryAfter(err error) time.Duration {
	var e *im.Error
	if !errors.As(err, &e) {
		return 0
	}
	return time.Duration(e.RetryAfterMS) * time.Millisecond
}
