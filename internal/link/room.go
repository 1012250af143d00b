package link

import (
	"github.com/skein-im/skein/internal/evloop"
	"github.com/skein-im/skein/internal/im"
)

// handshakeBytes is what a TLS handshake takes while it lasts, about.
const handshakeBytes = 32 << 10

// room is why a connection with held bytes may not queue n more, nil if it may.
func (s *Server) room(b *evloop.Budget, held, n int) *CloseError {
	if held+n > s.cfg.MaxQueue {
		return &CloseError{Code: im.CloseSlow, Reason: reasonQueueFull}
	}
	if !b.Room(held, n) {
		return s.noRoom()
	}
	return nil
}

// noRoom are the words for a connection that asks for more than there is.
func (s *Server) noRoom() *CloseError {
	s.stats.overloaded.Add(1)
	return &CloseError{Code: im.CloseOverloaded, Reason: reasonNoRoom, RetryAfter: s.spread()}
}
