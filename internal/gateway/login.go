package gateway

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

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
	err := s.g.admitLogin(s.conn)
	if err != nil {
		s.refuse(err)
		return
	}
	user, device, hash, err := s.g.cfg.ParseToken(m.GetToken())
	if err != nil {
		s.refuse(err)
		return
	}
	w := &work{turn: turn{session: s}, heartbeat: bounded(m.GetHeartbeatMs()), began: s.g.uptime()}
	if m.Cursor != nil {
		cursor := im.Seq(m.GetCursor())
		w.cursor = &cursor
	}
	if m.Generation != nil {
		generation := im.Generation(m.GetGeneration())
		w.generation = &generation
	}
	s.mu.Lock()
	s.user, s.device, s.hash, s.login, s.work = user, device, hash, s.g.now(), w
	s.set(attaching)
	s.mu.Unlock()
	if log := s.g.cfg.Logger; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("login", "user", uint64(user), "device", uint32(device), "agent", m.GetAgent(), "from", s.conn.RemoteAddr().String())
	}
	if !s.g.gate.login(w) {
		s.leave()
		s.refuse(&im.Error{Kind: im.Busy, RetryAfterMS: crowdRetryMS, Detail: "too many devices are logging in"})
	}
}

// bounded is the heartbeat interval that counts, in milliseconds.
func bounded(wish uint32) uint32 {
	if wish == 0 {
		return uint32(DefaultHeartbeat.Milliseconds())
	}
	return min(max(wish, uint32(MinHeartbeat.Milliseconds())), uint32(MaxHeartbeat.Milliseconds()))
}

// welcome ends a login that succeeded. The caller has the mutex.
func (s *session) welcome(at *im.Attached) {
	heartbeat := s.work.heartbeat
	s.after, s.has = at.Cursor, at.Cursor
	s.set(live)
	s.g.stats.sessions.Add(1)
	s.g.stats.logins.Add(1)
	s.g.stats.took[OpLogin].Observe(uint64(s.user), s.g.uptime()-s.work.began)
	s.conn.SetMaxFrame(im.MaxClientFrame)
	s.conn.SetIdle(time.Duration(heartbeat) * time.Millisecond * 3 / 2)
	welcome := &skeinv1.Welcome{
		User:        uint64(s.user),
		Device:      uint32(s.device),
		Name:        at.Name,
		Head:        uint64(at.Head),
		Cursor:      uint64(at.Cursor),
		ClientSeq:   uint64(at.ClientSeq),
		HeartbeatMs: heartbeat,
		TimeMs:      s.g.cfg.Now().UnixMilli(),
		SendWindow:  im.SendWindow,
		Generation:  proto.Uint64(uint64(at.Generation)),
	}
	if at.Kept != nil {
		welcome.Kept = proto.Uint64(uint64(*at.Kept))
	}
	frame, err := wire.AppendMessage(nil, wire.TypeWelcome, welcome)
	if err != nil {
		s.refuse(im.Errorf(im.Internal, "the user's name cannot be sent: %w", err))
		return
	}
	s.g.stats.frameOut(wire.TypeWelcome)
	_ = s.conn.Send(frame)
}

// refuse ends a login that failed. One that came too late for a newer session may
// come back: if that session is none of a living connection, it is replaced then.
func (s *session) refuse(err error) {
	kind := im.KindOf(err)
	s.g.stats.loginRefused[kindIndex(kind)].Add(1)
	code := im.CloseUnavailable
	if kind != im.Conflict {
		code = s.closeCode("login", err)
	}
	s.close(code, err)
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
	case im.Conflict:
		return im.CloseReplaced
	case im.Moved:
		return im.CloseMoved
	default:
		s.defect(what, err)
		return im.CloseInternal
	}
}

// defect logs what should not happen.
func (s *session) defect(what string, err error) {
	s.g.cfg.Logger.Error("internal error", "in", what, "user", uint64(s.user), "device", uint32(s.device), "err", err)
}
