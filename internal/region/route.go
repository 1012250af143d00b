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
			return r.keep(m)
		}
		r.cfg.Send(r.cfg.Directory, m, 0)
		return true
	}
	h, ok := r.homes.known(im.UserID(m.To.ID))
	switch {
	case !ok || h.Region != r.cfg.Self:
		r.route("", m, 0)
	case m.Body.Kind == entity.BodyMoved:
		r.keepWord(m, h)
	default:
		return false
	}
	return true
}

// keepWord keeps word of a user who has moved for somebody who lives here, unless
// they have left since this node heard of them.
func (r *Region) keepWord(m *entity.Message, h im.Home) {
	r.refresh(im.UserID(m.To.ID), h, func(h im.Home) {
		if h.Region == r.cfg.Self {
			r.keep(m)
		} else {
			r.cfg.Send(h.Region, m, 0)
		}
	})
}

// keep takes word of a user who has moved to the node whose entity was to hear
// it, and leaves other messages to the mailbox.
func (r *Region) keep(m *entity.Message) bool {
	if m.Body.Kind != entity.BodyMoved {
		return false
	}
	r.cfg.Carry(m)
	return true
}

// hand takes a message to the entity of this region that it is for. Entities
// themselves are not told who has moved: the Regions of their nodes are.
func (r *Region) hand(m *entity.Message) {
	if !r.cfg.Carry(m) && m.Body.Kind != entity.BodyMoved {
		r.cfg.Local.Receive(m)
	}
}

// Receive takes a link message from another node of this region.
func (r *Region) Receive(m *entity.Message) {
	if m.Body.Kind != entity.BodyMoved {
		r.cfg.Local.Receive(m)
		return
	}
	if !r.learn(im.UserID(m.From.ID), m.Body.Home()) {
		return
	}
	// What was sent to where the user was is sent again.
	r.cfg.Local.Receive(&entity.Message{From: m.From, To: m.To, Body: entity.Body{Kind: entity.BodyNudge}})
}

// Deliver takes a link message from another region. It returns at once.
func (r *Region) Deliver(from im.Region, m *entity.Message, hops uint8) {
	if !entity.Exists(m.From.Kind) || !entity.Exists(m.To.Kind) {
		return
	}
	switch m.Body.Kind {
	case entity.BodyMoved:
		r.learn(im.UserID(m.From.ID), m.Body.Home())
		r.keep(m)
		if m.To.Kind == im.KindUser && hops < maxHops {
			r.passOn(from, m, hops)
		}
		return
	case entity.BodyLeaving, entity.BodyNudge:
		return
	}
	if m.To.Kind == im.KindUser {
		r.route(from, m, hops)
		return
	}
	if r.cfg.Directory == r.cfg.Self {
		r.hand(m)
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
			r.hand(m)
		case from == "":
			r.cfg.Send(h.Region, m, hops)
		default:
			r.refresh(user, h, func(h im.Home) {
				if h.Region == r.cfg.Self {
					r.hand(m)
					return
				}
				r.stray(from, m, hops, h)
			})
		}
	})
}

// passOn takes word of a user who has moved to where the one lives who is to hear
// it, if that is elsewhere. What is remembered may be old, even if it says that they
// live here.
func (r *Region) passOn(from im.Region, m *entity.Message, hops uint8) {
	user := im.UserID(m.To.ID)
	r.homes.find(user, func(h im.Home, err error) {
		if err != nil {
			return
		}
		r.refresh(user, h, func(h im.Home) {
			if h.Region != r.cfg.Self {
				r.stray(from, m, hops, h)
			}
		})
	})
}

// stray is for a message to a user who lives elsewhere: it is passed on, and the
// region that sent it is told. What it is told about word of a move goes no further:
// two of them would answer each other for ever.
func (r *Region) stray(from im.Region, m *entity.Message, hops uint8, h im.Home) {
	r.stats.strays.Add(1)
	wordHops := uint8(0)
	if m.Body.Kind == entity.BodyMoved {
		wordHops = maxHops
	}
	r.cfg.Send(from, &entity.Message{From: m.To, To: m.From, Body: entity.HomeBody(entity.BodyMoved, h)}, wordHops)
	if hops < maxHops {
		r.cfg.Send(h.Region, m, hops+1)
	}
}

// Nudge asks an entity to go on with what it has for another one.
func (r *Region) Nudge(from, to im.Addr) {
	r.hand(&entity.Message{From: to, To: from, Body: entity.Body{Kind: entity.BodyNudge}})
}
