package gateway

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// state is how far a session has come.
type state uint32

const (
	// fresh: Hello has not come.
	fresh state = iota
	// attaching: the mailbox has been asked.
	attaching
	// live: Welcome has been sent.
	live
	// left: Detach has been sent, or there was nothing to detach.
	left
)

// session is a connection's. Frames come from the link, completions and
// deliveries from the mailbox, kicks from either, each in its own goroutine.
type session struct {
	g    *Gateway
	conn link.Conn
	// id, user and device are set before the mailbox hears of the session.
	id        im.SessionID
	user      im.UserID
	device    im.DeviceID
	heartbeat uint32

	state atomic.Uint32
	// sends and calls are those without an answer.
	sends, calls atomic.Int32

	mu          sync.Mutex
	acks, pulls lane

	// ctx ends with the connection; it is made for the first call. The link
	// does not let frames and Closed overlap, which guards it.
	ctx    context.Context
	cancel context.CancelFunc
}

func (s *session) is(st state) bool { return state(s.state.Load()) == st }

func (s *session) advance(from, to state) bool {
	return s.state.CompareAndSwap(uint32(from), uint32(to))
}

func (s *session) addr() im.Addr { return im.User(s.user) }

// frame handles one frame, according to how far the session has come.
func (s *session) frame(t wire.Type, payload []byte) {
	switch state(s.state.Load()) {
	case fresh:
		if t != wire.TypeHello {
			s.unexpected(t)
			return
		}
		s.hello(payload)
	case attaching:
		// The client does not know yet whether it is welcome.
		switch t {
		case wire.TypePing:
			s.ping()
		case wire.TypeClose:
			s.goodbye()
		default:
			s.unexpected(t)
		}
	case live:
		s.liveFrame(t, payload)
	}
}

func (s *session) liveFrame(t wire.Type, payload []byte) {
	var err error
	switch t {
	case wire.TypePing:
		s.ping()
	case wire.TypeSend:
		err = s.send(payload)
	case wire.TypeAck:
		err = s.ack(payload)
	case wire.TypePull:
		err = s.pull(payload)
	case wire.TypeCall:
		err = s.call(payload)
	case wire.TypeClose:
		s.goodbye()
	default:
		s.unexpected(t)
	}
	if err != nil {
		s.close(im.CloseProtocol, err)
	}
}

func (s *session) unexpected(t wire.Type) {
	s.conn.Close(im.CloseProtocol, "unexpected frame: "+t.String())
}

// ping answers at once. Errors of sending need no handling here or elsewhere:
// the link has closed the connection, and Closed follows.
func (s *session) ping() {
	s.g.stats.frameOut(wire.TypePong)
	_ = s.conn.Send(s.g.pong)
}

func (s *session) goodbye() {
	s.leave()
	s.conn.Close(im.CloseNormal, "goodbye")
}

// close ends the connection because of err.
func (s *session) close(code im.CloseCode, err error) {
	e := im.AsError(err)
	if code.Reconnect() {
		s.conn.CloseRetry(code, e.Detail, s.g.retryAfter(e))
		return
	}
	s.conn.Close(code, e.Detail)
}

// leave makes the mailbox forget the session, once.
func (s *session) leave() {
	was := state(s.state.Swap(uint32(left)))
	if was == live {
		s.g.stats.sessions.Add(-1)
	}
	if was == attaching || was == live {
		s.g.cfg.Mailbox.Submit(s.addr(), &im.Detach{Session: s.id}, s)
	}
}

// Complete implements im.Completion.
func (s *session) Complete(cmd im.Command, res im.Result, err error) {
	switch cmd := cmd.(type) {
	case *im.Send:
		s.sent(cmd, res, err)
	case *im.AckDelivered:
		s.acked(cmd, err)
	case *im.Redeliver:
		s.pulled(cmd, err)
	case *im.Attach:
		s.attached(res, err)
	case *im.Detach:
		s.detached(cmd, err)
	}
}

// Kick implements im.Sink.
func (s *session) Kick(code im.CloseCode, reason string) {
	s.close(code, &im.Error{Detail: reason})
}

// maxDeliver is about how many bytes of entries a Deliver carries.
const maxDeliver = 256 << 10

// Deliver implements im.Sink.
func (s *session) Deliver(_, _ im.Seq, entries [][]byte) {
	for len(entries) > 0 {
		n := fitting(entries)
		err := s.g.send(s.conn, wire.TypeDeliver, func(dst []byte) []byte {
			return wire.AppendDeliverFrame(dst, entries[:n])
		})
		if err != nil {
			// Closed comes only when the goodbye is over; until then
			// the mailbox need not go on.
			s.leave()
			return
		}
		entries = entries[n:]
	}
}

// fitting is how many of the entries go into one Deliver; at least one.
func fitting(entries [][]byte) int {
	n, size := 0, 0
	for n < len(entries) {
		size += wire.SizeDelivered(len(entries[n]))
		if n > 0 && size > maxDeliver {
			break
		}
		n++
	}
	return n
}
