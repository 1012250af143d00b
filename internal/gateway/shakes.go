package gateway

import (
	"time"

	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// shaking is a shake on its way to its answer. It is used again, so that a shake
// that gets nothing costs no allocation.
type shaking struct {
	session *session
	id      uint64
	// begun is the uptime when it came.
	begun time.Duration
	// done is the method answer.
	done func(im.Shaken)
}

// shake takes a Shake.
func (s *session) shake(payload []byte) error {
	var m wire.Shake
	if err := m.Unmarshal(payload); err != nil {
		return err
	}
	g := s.g
	if g.cfg.Shaker == nil {
		s.shaken(m.ID, im.Shaken{Outcome: im.ShakeClosed})
		return nil
	}
	now := g.cfg.Now()
	if b := g.cfg.Shakes; b != nil {
		// What has no envelope for the user costs the mailbox nothing, so
		// its load is no reason to refuse a shake.
		if err := s.admit(b, admit.Keep, now); err != nil {
			s.shaken(m.ID, im.Shaken{Outcome: im.ShakeBusy, RetryAfterMS: im.AsError(err).RetryAfterMS})
			return nil
		}
	}
	x, ok := g.shakings.Get().(*shaking)
	if !ok {
		x = new(shaking)
		x.done = x.answer
	}
	x.session, x.id, x.begun = s, m.ID, now.Sub(g.began)
	g.cfg.Shaker.Shake(s.user, m.Campaign, x.done)
	return nil
}

func (x *shaking) answer(out im.Shaken) {
	s, id := x.session, x.id
	x.session = nil
	s.g.stats.took[OpShake].Observe(uint64(s.user), s.g.uptime()-x.begun)
	s.g.shakings.Put(x)
	s.shaken(id, out)
}

// shaken sends the Shaken.
func (s *session) shaken(id uint64, out im.Shaken) {
	m := wire.Shaken{ID: id, Shaken: out}
	_ = s.g.send(s.conn, wire.TypeShaken, func(dst []byte) []byte { return wire.AppendShakenFrame(dst, &m) })
}
