package link

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// SendAway says GOING_AWAY on those connections that leave wants gone, over some time
// and with a moment of its own for each to connect at one of the addresses, which
// take turns to be the first. The others go on, and so does the server. leave is
// called as Broadcast calls wants. SendAway ends early with ctx; it returns how many
// were told.
func (s *Server) SendAway(ctx context.Context, opts DrainOptions, leave func(c Conn) bool) (told int, err error) {
	var mu sync.Mutex
	var conns []leaver
	if _, err := s.Broadcast(ctx, nil, func(c Conn) bool {
		if leave(c) {
			mu.Lock()
			conns = append(conns, c.(leaver))
			mu.Unlock()
		}
		return false
	}); err != nil {
		return 0, err
	}
	within := min(s.cfg.ReturnWithin, max(time.Millisecond, returnTimes*opts.Over))
	s.takeLeave(ctx, conns, opts.Over, func(i int) *CloseError {
		told++
		e := &CloseError{Code: im.CloseGoingAway, Reason: "another gateway is for this user", RetryAfter: time.Duration(s.cfg.Rand(int64(within)))}
		if n := len(opts.Addresses); n > 0 {
			e.Addresses = slices.Concat(opts.Addresses[i%n:], opts.Addresses[:i%n])
		}
		return e
	})
	return told, context.Cause(ctx)
}
