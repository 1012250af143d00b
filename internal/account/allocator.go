package account

import (
	"context"

	"github.com/skein-im/skein/internal/im"
)

// idBlock is how many user identifiers are taken at a time. What is left of a
// block when the process ends is never used.
const idBlock = 64

// allocator gives out user identifiers.
type allocator struct {
	mailbox im.Mailbox
	// lock is held while a new block is fetched; a channel, so that those
	// who wait can give up.
	lock      chan struct{}
	free, end im.UserID
}

func newAllocator(m im.Mailbox) *allocator {
	return &allocator{mailbox: m, lock: make(chan struct{}, 1)}
}

// next returns an identifier that nobody else gets.
func (a *allocator) next(ctx context.Context) (im.UserID, error) {
	select {
	case a.lock <- struct{}{}:
		defer func() { <-a.lock }()
	case <-ctx.Done():
		return 0, im.Errorf(im.Unavailable, "no user identifier came in time: %w", context.Cause(ctx))
	}
	if a.free == a.end {
		block, err := im.Ask[*im.Allocated](ctx, a.mailbox, im.AllocatorAddr, &im.AllocateUsers{Count: idBlock})
		if err != nil {
			return 0, err
		}
		if block.Count == 0 {
			return 0, im.Errorf(im.Internal, "an empty block of user identifiers")
		}
		a.free, a.end = block.First, block.First+im.UserID(block.Count)
	}
	id := a.free
	a.free++
	return id, nil
}
