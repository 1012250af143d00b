package gateway

import (
	"net"
	"time"

	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
)

// shedRetry is after which time those are to try again whom the mailbox would
// refuse now, and over which time more they are spread.
const shedRetry = 250 * time.Millisecond

// admit reports why a session may not ask for something now: its device asks
// for too much, or the mailbox admits only what is more important.
func (s *session) admit(b *admit.Buckets, class admit.Class, now time.Time) error {
	g := s.g
	g.talkers.Saw(uint64(s.user), now)
	if b == nil && g.level == nil {
		return nil
	}
	if err := g.shed(class, s.user, now); err != nil {
		return err
	}
	if b == nil {
		return nil
	}
	if wait := b.Take(now.Sub(g.began), admit.DeviceKey(s.user, s.device), 1); wait > 0 {
		g.stats.limited.Add(1)
		return busy(wait, "the device asks for too much at a time")
	}
	return nil
}

// shed reports that the mailbox does not admit a user's request of a class now.
func (g *Gateway) shed(class admit.Class, user im.UserID, now time.Time) error {
	if g.level == nil || admit.LevelOf(class, user, admit.Hour(im.Millis(now.UnixMilli()))) <= g.level(im.User(user)) {
		return nil
	}
	g.stats.shed.Add(1)
	return busy(shedRetry+time.Duration(g.cfg.Rand(int64(shedRetry))), "the server has too much to do")
}

// admitLogin reports why the address of a connection may not log in now.
func (g *Gateway) admitLogin(c link.Conn) error {
	if g.cfg.Logins == nil {
		return nil
	}
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return nil
	}
	wait := g.cfg.Logins.Take(g.uptime(), admit.AddrKey(tcp.AddrPort().Addr()), 1)
	if wait == 0 {
		return nil
	}
	g.stats.limited.Add(1)
	return busy(wait, "too many logins from this address")
}

// busy is the error of that kind, with a time to try again.
func busy(wait time.Duration, detail string) error {
	ms := (wait + time.Millisecond - 1) / time.Millisecond
	return &im.Error{Kind: im.Busy, RetryAfterMS: uint32(ms), Detail: detail}
}
