package link

import (
	"errors"
	"fmt"
	"net"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/evloop"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// Handler is what a Server calls. It must not block: it holds up the
// connection, and on EngineEpoll all those of the same loop.
type Handler interface {
	// Open is the first call for a connection.
	Open(c Conn)
	// Frame hands over a frame. The payload is valid during the call.
	Frame(c Conn, t wire.Type, payload []byte)
	// Closed is the last call. err says why: a *CloseError when this side
	// closed the connection, io.EOF or another error when the peer went.
	Closed(c Conn, err error)
}

// Conn is a server's end of a connection. Methods are safe for concurrent use
// unless they say otherwise, and never block.
type Conn interface {
	// Send queues whole encoded frames. They are copied. An error means
	// that the connection is closed or, just now, was closed with SLOW
	// because its queue was full, or with OVERLOADED because all queues
	// together were.
	Send(frames []byte) error
	// Close says goodbye with a Close frame and closes the connection once
	// that has left or Config.CloseTimeout is over. No frame is handed over
	// any more. Only the first call counts.
	Close(code im.CloseCode, reason string)
	// CloseRetry is Close with the time after which to come back.
	CloseRetry(code im.CloseCode, reason string, after time.Duration)
	// CloseTo is Close with the addresses where to come back at once, best
	// first.
	CloseTo(code im.CloseCode, reason string, addresses []string)
	RemoteAddr() net.Addr
	// SetIdle sets for how long no frame may arrive before the connection
	// is closed with IDLE, counted from now on.
	SetIdle(d time.Duration)
	// SetMaxFrame sets how many bytes the payload of a frame may have.
	SetMaxFrame(n int)
	// Value is the handler's own state. SetValue is for Open.
	Value() any
	SetValue(v any)
}

// CloseError says with which words a connection was closed.
type CloseError struct {
	Code   im.CloseCode
	Reason string
	// RetryAfter and Addresses are when and where to come back.
	RetryAfter time.Duration
	Addresses  []string
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("link closed with code %d: %s", e.Code, e.Reason)
}

// ErrClosed is what operations on a closed connection fail with.
var ErrClosed = errors.New("the link is closed")

// refusal is why a peer's bytes are not acceptable, as words of goodbye.
func (s *Server) refusal(err error) *CloseError {
	if errors.Is(err, evloop.ErrNoRoom) {
		return s.noRoom()
	}
	var e *im.Error
	if errors.As(err, &e) && e.Kind == im.TooLarge {
		return &CloseError{Code: im.CloseTooLarge, Reason: e.Detail}
	}
	return &CloseError{Code: im.CloseProtocol, Reason: err.Error()}
}

// What connections are told that are closed for their silence or slowness.
const (
	reasonNoFirst   = "no frame in time after connecting"
	reasonIdle      = "no frame within the idle time"
	reasonQueueFull = "too much waits to be read"
	reasonNoRoom    = "the server holds too much for all its links"
	reasonStalled   = "a write made no progress"
)

// goodbyeFrame is the Close frame that says so.
func goodbyeFrame(e *CloseError) ([]byte, error) {
	return wire.AppendMessage(nil, wire.TypeClose, &skeinv1.Close{
		Code:         skeinv1.CloseCode(e.Code),
		Reason:       validReason(e.Reason),
		RetryAfterMs: uint32(e.RetryAfter.Milliseconds()),
		Addresses:    e.Addresses,
	})
}

func protocolError(format string, args ...any) error {
	return im.Errorf(im.Invalid, format, args...)
}

// prefix is the length of the leading frames of b that fit in limit bytes, and
// of at least one frame.
func prefix(b []byte, limit int) (int, error) {
	n := 0
	for n < len(b) {
		_, header, size, err := wire.ParseHeader(b[n:], len(b))
		if err != nil || header == 0 || len(b)-n < header+size {
			return 0, protocolError("what is to be sent is not made of whole frames")
		}
		if n > 0 && n+header+size > limit {
			return n, nil
		}
		n += header + size
	}
	return n, nil
}
