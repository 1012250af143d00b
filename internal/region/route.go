package region

import (
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// maxHops is how often a message is passed on by a region that it came to in
// vain.
const maxHops = 1

// Forward is asked by the mailbox about every link message that leaves an
// entity; it returns false for those whose receivers live here. It returns at
// once.
func (r *Region) Forward(m *entity.Message) bool {
	switch m.Body.Kind {
	case entity.BodyLeaving:
		r.resume(im.UserID(m.To.ID), m.Body.Home())
		return true
	case entity.BodyMoved:
		r.learn(im.UserID(m.From.ID), m.Body.Home())
	}
	if m.To.Kind != im.KindUser {
		if r.cfg.Directory == r.cfg.Self {
			return m.Body.Kind == entity.BodyMoved
		}
		r.cfg.Send(r.cfg.Directory, m, 0)
		return true
	}
	if h, ok := r.homes.known(im.UserID(m.To.ID)); ok && h.Region == r.cfg.Self {
		return m.Body.Kind == entity.BodyMoved
	}
	r.route("", m, 0)
	return true
}

// Deliver takes a link message from another region. It returns at once.
func (r *Region) Deliver(from im.Region, m *entity.Message, hops uint8) {
	if !entity.Exists(m.From.Kind) || !entity.Exists(m.To.Kind) {
		return
	}
	switch m.Body.Kind {
	case entity.BodyMoved:
		r.learn(im.UserID(m.From.ID), m.Body.Home())
		return
	case entity.BodyLeaving, entity.BodyNudge:
		return
	}
	if m.To.Kind == im.KindUser {
		r.route(from, m, hops)
		return
	}
	if r.cfg.Directory == r.cfg.Self {
		r.cfg.Local.Receive(m)
	}
}

// route carries a message to where a user lives. from is the region that it came
// from; empty: this one.
func (r *Region) route(from im.Region, m *entity.Message, hops uint8) {
	user := im.UserID(m.To.ID)
	r.homes.find(user, func(h im.Home, err error) {
		switch {
		case err != nil:
			r.stats.dropped.Add(1)
		case h.Region == r.cfg.Self:
			if m.Body.Kind != entity.BodyMoved {
				r.cfg.Local.Receive(m)
			}
		case from == "":
			r.cfg.Send(h.Region, m, hops)
		default:
			r.stray(from, m, hops, h)
		}
	})
}

// stray is for a message to a user who lives elsewhere: it is passed on, and the
// region that sent it is told.
func (r *Region) stray(from im.Region, m *entity.Message, hops uint8, h im.Home) {
	r.stats.strays.Add(1)
	r.cfg.Send(from, &entity.Message{From: m.To, To: m.From, Body: entity.HomeBody(entity.BodyMoved, h)}, 0)
	if hops < maxHops {
		r.cfg.Send(h.Region, m, hops+1)
	}
}

// Nudge asks an entity to go on with what it has for another one.
func (r *Region) Nudge(from, to im.Addr) {
	r.cfg.Local.Receive(&entity.Message{From: to, To: from, Body: entity.Body{Kind: entity.BodyNudge}})
}
