package link

import (
	"context"
	"runtime"
	"sync/atomic"

	"github.com/skein-im/skein/internal/im"
)

// maxBroadcasts is how many calls of Broadcast may be under way.
const maxBroadcasts = 16

// broadcastSlice is how many connections are pushed to before others have
// their turn, on the epoll engine in a turn of each loop: it takes about a
// millisecond.
const broadcastSlice = 500

// broadcast is something for many connections.
type broadcast struct {
	wants func(c Conn) bool
	// frames are what to send, message the same as WebSocket messages.
	frames, message []byte
	reached         atomic.Int64
	// over: nobody more is to be reached.
	over atomic.Bool
}

// Broadcast queues whole encoded frames on every connection of which wants, or
// everyone if that is nil, and returns when it has gone through all of them:
// those that come meanwhile may be among them. reached counts those that took
// it; for one whose queue is full, it is as with Send. Connections are gone
// through in slices, so that what they send is not held up. wants may be called
// by several goroutines, and while the Handler is with the connection, but not
// before Open has returned; it must not block. When ctx ends, no more are
// reached. More than 16 calls at a time fail with im.Busy. The Handler must not
// call it.
func (s *Server) Broadcast(ctx context.Context, frames []byte, wants func(c Conn) bool) (reached int, err error) {
	b, err := newBroadcast(frames, wants)
	if err != nil {
		return 0, err
	}
	if s.broadcasts.Add(1) > maxBroadcasts {
		s.broadcasts.Add(-1)
		return 0, im.Errorf(im.Busy, "%d broadcasts are under way", maxBroadcasts)
	}
	defer s.broadcasts.Add(-1)
	defer context.AfterFunc(ctx, func() { b.over.Store(true) })()
	s.mu.Lock()
	conns, loops := make([]*conn, 0, len(s.conns)), s.loops
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	wait := func() {}
	if loops != nil {
		wait = loops.broadcast(b)
	}
	for i, c := range conns {
		b.push(c)
		if i%broadcastSlice == broadcastSlice-1 {
			runtime.Gosched()
		}
	}
	wait()
	return int(b.reached.Load()), context.Cause(ctx)
}

func newBroadcast(frames []byte, wants func(c Conn) bool) (*broadcast, error) {
	if wants == nil {
		wants = func(Conn) bool { return true }
	}
	b := &broadcast{wants: wants}
	k := newChunk()
	k.b = append(k.b, frames...)
	b.frames = append(b.frames, frames...)
	err := eachMessage(k.b, func(m []byte) error {
		b.message = append(b.message, m...)
		return nil
	})
	return b, err
}

// pushable is a connection that can be pushed to.
type pushable interface {
	Conn
	// push sends what is the same for all, if the connection is open.
	push(b *broadcast) bool
}

func (b *broadcast) push(c pushable) {
	if !b.over.Load() && c.push(b) {
		b.reached.Add(1)
	}
}

func (c *conn) push(b *broadcast) bool {
	c.mu.Lock()
	opened := c.opened && !c.closing
	c.mu.Unlock()
	return opened && b.wants(c) && c.Send(b.frames) == nil
}
