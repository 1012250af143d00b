package article

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skein-im/skein/internal/im"
)

const (
	// loading is how many users are provisioned at a time: enough for them
	// to share commits.
	loading = 128
	// loadAttempts is how often a mailbox that is busy is asked again.
	loadAttempts = 10
	minLoadWait  = 50 * time.Millisecond
)

// Load makes users exist with their friendships. Repeating it is harmless.
// progress may be nil; it is called after each user, one call at a time.
func Load(ctx context.Context, mailbox im.Mailbox, users []User, progress func(done, total int)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(loading)
	var mu sync.Mutex
	done := 0
	for i := range users {
		group.Go(func() error {
			if err := provision(ctx, mailbox, &users[i]); err != nil {
				return fmt.Errorf("user %d: %w", users[i].ID, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if done++; progress != nil {
				progress(done, len(users))
			}
			return nil
		})
	}
	return group.Wait()
}

func provision(ctx context.Context, mailbox im.Mailbox, u *User) error {
	for attempt := 1; ; attempt++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		_, err := im.Do(ctx, mailbox, im.User(u.ID), &im.Provision{Friends: u.Friends})
		if err == nil || !im.KindOf(err).Temporary() || attempt == loadAttempts {
			return err
		}
		wait := max(minLoadWait, time.Duration(im.AsError(err).RetryAfterMS)*time.Millisecond)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}
