package gateway

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// state is how far a session has come.
type state uint32

const (
	// fresh: Hello has not come.
	fresh state = iota
	// attaching: the mailbox is being asked, or is going to be.
	attaching
	// live: Welcome has been sent.
	live
	// resuming: the mailbox has lost the session; the client does not know.
	resuming
	// left: Detach has been sent, or there was nothing to detach.
	left
)

// session is a connection's. Frames come from the link, completions and
// deliveries from the mailbox, kicks from either, timers from anywhere, each in
// its own goroutine. An idle session is all there is of a client, so it is kept
// at 128 bytes; what it needs only when it is busy is in work.
type session struct {
	g    *Gateway
	conn link.Conn
	// user, device and hash are set before the mailbox hears of the session,
	// and not changed.
	user   im.UserID
	device im.DeviceID
	hash   [32]byte

	// state is changed under mu, and may be read without.
	state atomic.Uint32
	// mu guards what follows. Commands are submitted without it: the mailbox
	// may answer in place.
	mu   sync.Mutex
	work *work
	// id is what the mailbox knows the session by: the last one it was asked
	// to attach.
	id im.SessionID
	// login is when the device logged in.
	login im.Millis
	// after is the last entry handed to the connection, has the last one that
	// the client said to have.
	after, has im.Seq
	// resumedAt is the uptime when the session was last resumed, in seconds.
	resumedAt uint16
	// sends are those without an answer, whether the mailbox has them or not,
	// and load the pieces of their bodies.
	sends, load uint16
	// tries counts attempts to attach in a row.
	tries uint8
	// succeeded: the mailbox knows the session by a successor.
	succeeded bool
}

// work is what a session has while there is something to do. It is guarded by
// the session's mutex.
type work struct {
	acks, pulls lane
	// queue has sends that wait for the mailbox to have the session again.
	queue []*im.Send
	// replaying: the queue is being submitted.
	replaying bool

	// began is the uptime when the login or the resumption began.
	began time.Duration
	// heartbeat is the interval that was agreed on, in milliseconds, and
	// cursor the entry the device has, if it says so: for the login.
	heartbeat uint32
	cursor    *im.Seq
	// generation is that of the timeline that the cursor is of; nil: it did not
	// say.
	generation *im.Generation
	// asked: the mailbox has been asked to attach. lost: it has lost the
	// session before it said that it was attached. resuming: an attempt to
	// resume is planned or under way.
	asked, lost, resuming bool
	// submitting counts the Attach commands whose Submit has not returned;
	// orphan: the session has left meanwhile.
	submitting int
	orphan     bool
	// stop takes the next attempt back, if there is one planned.
	stop func() bool
	turn turn

	calls int
	// ctx ends with the session; it is made for the first call.
	ctx    context.Context
	cancel context.CancelFunc
}

func (s *session) is(st state) bool { return state(s.state.Load()) == st }

// set changes the state; the caller has the mutex.
func (s *session) set(st state) { s.state.Store(uint32(st)) }

func (s *session) addr() im.Addr { return im.User(s.user) }

// busy returns the session's work, which there is from now on. The caller has
// the mutex.
func (s *session) busy() *work {
	if s.work == nil {
		s.work = &work{turn: turn{session: s}}
	}
	return s.work
}

// rest lets the work go if there is nothing to do. The caller has the mutex.
func (s *session) rest() {
	if w := s.work; w != nil && s.is(live) && w.submitting == 0 && len(w.queue) == 0 && !w.replaying &&
		w.acks == (lane{}) && w.pulls == (lane{}) && w.calls == 0 {
		s.work = nil
	}
}

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
			s.ping(payload)
		case wire.TypeClose:
			s.goodbye()
		default:
			s.unexpected(t)
		}
	case live, resuming:
		s.liveFrame(t, payload)
	}
}

func (s *session) liveFrame(t wire.Type, payload []byte) {
	var err error
	switch t {
	case wire.TypePing:
		s.ping(payload)
	case wire.TypeSend:
		err = s.send(payload)
	case wire.TypeAck:
		err = s.ack(payload)
	case wire.TypePull:
		err = s.pull(payload)
	case wire.TypeCall:
		err = s.call(payload)
	case wire.TypeShake:
		err = s.shake(payload)
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

// ping answers at once, with what the heartbeat carries. Errors of sending need
// no handling here or elsewhere: the link has closed the connection, and Closed
// follows.
func (s *session) ping(payload []byte) {
	switch {
	case len(payload) == 0:
		s.g.stats.frameOut(wire.TypePong)
		_ = s.conn.Send(s.g.pong)
	case len(payload) <= wire.MaxPing:
		_ = s.g.send(s.conn, wire.TypePong, func(dst []byte) []byte {
			return wire.AppendFrame(dst, wire.TypePong, payload)
		})
	default:
		s.conn.Close(im.CloseProtocol, "a ping carries too much")
	}
}

func (s *session) goodbye() {
	s.leave()
	s.conn.Close(im.CloseNormal, "goodbye")
}

// close ends the connection because of err.
func (s *session) close(code im.CloseCode, err error) {
	e := im.AsError(err)
	if code == im.CloseMoved {
		var links []string
		if e.At != nil {
			links = e.At.Links
		}
		s.conn.CloseTo(code, e.Detail, links)
		return
	}
	if code.Reconnect() {
		s.conn.CloseRetry(code, e.Detail, s.g.retryAfter(e))
		return
	}
	s.conn.Close(code, e.Detail)
}

// leave makes the mailbox forget the session, once.
func (s *session) leave() {
	s.mu.Lock()
	detach := s.end()
	id := s.id
	s.mu.Unlock()
	if detach {
		s.g.cfg.Mailbox.Submit(s.addr(), &im.Detach{Session: id}, s)
	}
}

// end makes the session leave, and reports whether it is to be detached. The
// caller has the mutex.
func (s *session) end() (detach bool) {
	was := state(s.state.Load())
	s.set(left)
	s.g.unacked.take(s, math.MaxUint64)
	w := s.work
	s.work = nil
	switch was {
	case live, resuming:
		s.g.stats.sessions.Add(-1)
		detach = true
	case attaching:
		detach = w.asked
	}
	if was == resuming {
		s.g.stats.resuming.Add(-1)
	}
	if w == nil || was == left {
		return detach
	}
	s.g.gate.cancel(w)
	if w.stop != nil {
		w.stop()
	}
	if w.cancel != nil {
		w.cancel()
	}
	for _, cmd := range w.queue {
		s.strike(cmd)
	}
	if detach && w.submitting > 0 {
		// The Detach must not overtake the Attach: who submits that sees
		// to it.
		w.orphan = true
		return false
	}
	return detach
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
		s.attached(cmd, res, err)
	case *im.Detach:
		s.detached(cmd, err)
	}
}
