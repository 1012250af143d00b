package gateway

import (
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// hello begins a login.
func (s *session) hello(payload []byte) {
	var m skeinv1.Hello
	if err := wire.UnmarshalMessage(payload, &m); err != nil {
		s.close(im.CloseProtocol, err)
		return
	}
	if m.GetVersion() != Version {
		s.conn.Close(im.CloseVersion, "this server speaks version 1 of the protocol")
		return
	}
	user, device, hash, err := s.g.cfg.ParseToken(m.GetToken())
	if err != nil {
		s.refused(err)
		return
	}
	s.id, s.user, s.device = s.g.cfg.NextSession(), user, device
	s.heartbeat = bounded(m.GetHeartbeatMs())
	s.g.cfg.Logger.Debug("login", "session", uint64(s.id), "user", uint64(user), "device", uint32(device), "agent", m.GetAgent(), "from", s.conn.RemoteAddr().String())
	attach := &im.Attach{Device: device, TokenHash: hash, Session: s.id, Sink: s}
	if m.Cursor != nil {
		cursor := im.Seq(m.GetCursor())
		attach.Cursor = &cursor
	}
	s.state.Store(uint32(attaching))
	s.g.cfg.Mailbox.Submit(s.addr(), attach, s)
}

// bounded is the heartbeat interval that counts, in milliseconds.
func bounded(wish uint32) uint32 {
	if wish == 0 {
		return uint32(DefaultHeartbeat.Milliseconds())
	}
	return min(max(wish, uint32(MinHeartbeat.Milliseconds())), uint32(MaxHeartbeat.Milliseconds()))
}

// attached ends a login, one way or the other.
func (s *session) attached(res im.Result, err error) {
	at, ok := res.(*im.Attached)
	if err == nil && !ok {
		err = im.Errorf(im.Internal, "Attach was answered with %T", res)
	}
	if err != nil {
		s.advance(attaching, left)
		s.refused(err)
		return
	}
	if !s.advance(attaching, live) {
		// The connection has ended meanwhile; its Detach follows.
		return
	}
	s.g.stats.sessions.Add(1)
	s.g.stats.logins.Add(1)
	s.conn.SetMaxFrame(im.MaxClientFrame)
	s.conn.SetIdle(time.Duration(s.heartbeat) * time.Millisecond * 3 / 2)
	frame, err := wire.AppendMessage(nil, wire.TypeWelcome, &skeinv1.Welcome{
		User:        uint64(s.user),
		Device:      uint32(s.device),
		Name:        at.Name,
		Head:        uint64(at.Head),
		Cursor:      uint64(at.Cursor),
		ClientSeq:   uint64(at.ClientSeq),
		HeartbeatMs: s.heartbeat,
		TimeMs:      s.g.cfg.Now().UnixMilli(),
		SendWindow:  im.SendWindow,
	})
	if err != nil {
		s.refused(im.Errorf(im.Internal, "the user's name cannot be sent: %w", err))
		return
	}
	s.g.stats.frameOut(wire.TypeWelcome)
	_ = s.conn.Send(frame)
}

// refused ends a login that failed.
func (s *session) refused(err error) {
	kind := im.KindOf(err)
	s.g.stats.loginRefused[kindIndex(kind)].Add(1)
	s.close(s.closeCode("login", err), err)
}

// closeCode is the code for an error that the connection cannot outlive.
func (s *session) closeCode(what string, err error) im.CloseCode {
	switch im.KindOf(err) {
	case im.Unauthenticated, im.PermissionDenied, im.NotFound:
		return im.CloseUnauthenticated
	case im.Invalid, im.TooLarge:
		return im.CloseProtocol
	case im.Busy:
		return im.CloseOverloaded
	case im.Unavailable:
		return im.CloseUnavailable
	default:
		s.defect(what, err)
		return im.CloseInternal
	}
}

// defect logs what should not happen.
func (s *session) defect(what string, err error) {
	s.g.cfg.Logger.Error("internal error", "in", what, "user", uint64(s.user), "device", uint32(s.device), "err", err)
}
