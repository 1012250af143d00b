package shard

import (
	"slices"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// session is one connection of a device, fed from the user's timeline.
type session struct {
	id     im.SessionID
	device im.DeviceID
	sink   im.Sink
	poll   bool
	// login is when the device logged in.
	login im.Millis
	// live: the Attach has been answered.
	live bool
	// next is the next entry to deliver; acked the last the device has.
	next, acked im.Seq
	// reading: entries from asked on are being read.
	reading bool
	asked   im.Seq
	// unacked lists deliveries the device has not acknowledged.
	unacked []delivery
	bytes   int
}

type delivery struct {
	last  im.Seq
	bytes int
}

// attachSession makes the session of an Attach that was granted. It replaces
// the link that the device had. Deliveries start when the reply is released.
func (c *Core) attachSession(cl *cell, r *reply) {
	cmd, ok := r.in.Cmd.(*im.Attach)
	if !ok {
		return
	}
	at := r.res.(*im.Attached)
	if old := cl.linkOf(cmd); old != nil {
		c.detach(cl, old.id)
		if cmd.Resume == nil || cmd.Resume.Session != old.id {
			old.sink.Kick(im.CloseReplaced, "the device connected again")
		}
	}
	s := &session{
		id: cmd.Session, device: cmd.Device, sink: cmd.Sink, poll: cmd.Poll, login: cmd.Login,
		next: at.Cursor + 1, acked: at.Cursor,
	}
	c.listOf(cl).remove(cl)
	cl.sessions = append(cl.sessions, s)
	c.listOf(cl).add(cl)
	c.Stats.Sessions++
	r.session = s
}

// linkOf is the session that an Attach would replace. A device has one link.
func (cl *cell) linkOf(cmd *im.Attach) *session {
	if cmd.Poll {
		return nil
	}
	for _, s := range cl.sessions {
		if s.device == cmd.Device && !s.poll {
			return s
		}
	}
	return nil
}

// maxPolls is how many long polls a user may have at a time.
const maxPolls = 64

// refuses says why an Attach may not be: the user has too many polls, or the
// session to resume is of a device that has logged in elsewhere since. Gateways
// that were cut off hear of that only now.
func (cl *cell) refuses(cmd im.Command) error {
	at, ok := cmd.(*im.Attach)
	switch {
	case !ok:
		return nil
	case at.Poll && cl.polls() >= maxPolls:
		return &im.Error{Kind: im.Busy, RetryAfterMS: 1000, Detail: "too many requests wait for this user's messages"}
	case at.Resume == nil:
		return nil
	}
	if old := cl.linkOf(at); old != nil && old.id != at.Resume.Session && old.login > at.Login {
		return im.Errorf(im.Conflict, "the device connected again")
	}
	return nil
}

// polls counts the sessions that are long polls.
func (cl *cell) polls() int {
	n := 0
	for _, s := range cl.sessions {
		if s.poll {
			n++
		}
	}
	return n
}

// begun starts deliveries to a session whose Attach has been answered.
func (c *Core) begun(cl *cell, s *session) {
	if cl.session(s.id) == s {
		s.live = true
		c.pump(cl, s)
	}
}

func (cl *cell) session(id im.SessionID) *session {
	for _, s := range cl.sessions {
		if s.id == id {
			return s
		}
	}
	return nil
}

func (c *Core) detach(cl *cell, id im.SessionID) {
	for i, s := range cl.sessions {
		if s.id == id {
			c.listOf(cl).remove(cl)
			cl.sessions = slices.Delete(cl.sessions, i, i+1)
			c.listOf(cl).add(cl)
			c.Stats.Sessions--
			return
		}
	}
}

func (c *Core) kick(cl *cell, k entity.Kick) {
	for _, s := range slices.Clone(cl.sessions) {
		if s.device == k.Device {
			c.detach(cl, s.id)
			s.sink.Kick(k.Code, k.Reason)
		}
	}
}

// room reports whether a session's window has room.
func (c *Core) room(s *session) bool { return c.entryRoom(s) > 0 && s.bytes < c.cfg.WindowBytes }

// entryRoom is how many more entries the window takes.
func (c *Core) entryRoom(s *session) int { return c.cfg.WindowEntries - int(s.next-s.acked-1) }

// deliver gives a session the entries of a part up to last, as far as its
// window goes, if it has seen all before them; otherwise it catches up from
// the store.
func (c *Core) deliver(cl *cell, s *session, p *part, last im.Seq) {
	if !s.live || s.reading || s.next > last {
		return
	}
	if s.next < p.fx.First || !c.room(s) {
		c.pump(cl, s)
		return
	}
	logged := p.fx.Append[s.next-p.fx.First : last-p.fx.First+1]
	logged = logged[:min(len(logged), c.entryRoom(s))]
	entries := make([][]byte, 0, len(logged))
	room := c.cfg.WindowBytes - s.bytes
	for i := 0; i < len(logged) && room > 0; i++ {
		entries = append(entries, logged[i].Visible)
		room -= len(logged[i].Visible)
	}
	c.push(s, entries)
}

// push hands entries from next on to a session.
func (c *Core) push(s *session, entries [][]byte) {
	n := 0
	for _, e := range entries {
		n += len(e)
	}
	first, last := s.next, s.next+im.Seq(len(entries))-1
	s.next = last + 1
	s.bytes += n
	s.unacked = append(s.unacked, delivery{last, n})
	c.Stats.Delivered += uint64(len(entries))
	s.sink.Deliver(first, last, entries)
}

// pushGone tells a session that what it is due up to an entry is no longer kept.
// There is nothing to wait for up to there, so the window begins after it.
func (c *Core) pushGone(s *session, last im.Seq) {
	first := s.next
	s.next, s.acked, s.unacked, s.bytes = last+1, last, nil, 0
	s.sink.Deliver(first, last, [][]byte{entity.Gone(last)})
}

// showSent accounts for a sender's session seeing its own message in the
// answer: everything before it is delivered first.
func (c *Core) showSent(cl *cell, p *part, r *reply, sent *im.Sent) {
	send, ok := r.in.Cmd.(*im.Send)
	if !ok || send.Session == 0 || sent.Seq < p.fx.First || sent.Seq >= p.fx.First+im.Seq(len(p.fx.Append)) {
		return
	}
	s := cl.session(send.Session)
	if s == nil || !s.live || s.reading {
		return
	}
	if s.next < sent.Seq {
		c.deliver(cl, s, p, sent.Seq-1)
	}
	if s.next == sent.Seq && !s.reading {
		s.next++
		sent.InTimeline = true
	}
}

// pump reads on for a session that lags behind the timeline.
func (c *Core) pump(cl *cell, s *session) {
	if !s.live || s.reading || s.next > cl.durable {
		return
	}
	if s.next <= cl.trimmed {
		c.pushGone(s, cl.trimmed)
	}
	if !c.room(s) {
		return
	}
	s.reading, s.asked = true, s.next
	limit := min(int(cl.durable-s.next)+1, c.entryRoom(s))
	c.host.ReadTimeline(cl.addr, s.id, s.next, limit, c.cfg.ReadBytes)
}

// TimelineRead brings what Host.ReadTimeline asked for.
func (c *Core) TimelineRead(now im.Millis, a im.Addr, id im.SessionID, entries []im.LogEntry, err error) {
	c.now = now
	cl := c.cells[a]
	if cl == nil {
		return
	}
	s := cl.session(id)
	if s == nil || !s.reading {
		return
	}
	s.reading = false
	if len(entries) > 0 && entries[0].Seq > s.asked {
		// Those before are gone, even if the entity does not know it yet: a
		// user who has just moved here.
		cl.trimmed = max(cl.trimmed, entries[0].Seq-1)
	}
	if s.next <= cl.trimmed || len(entries) > 0 && entries[0].Seq != s.next {
		// The session asked to start elsewhere meanwhile, or the entries
		// have been let go of.
		c.pump(cl, s)
		return
	}
	visible, ok := visibleFrom(s.next, entries)
	if err != nil || !ok || len(visible) == 0 {
		c.cfg.Logger.Error("a timeline cannot be read", "entity", a.String(), "from", s.next, "err", err)
		c.detach(cl, id)
		s.sink.Kick(im.CloseUnavailable, "the timeline cannot be read")
		return
	}
	c.push(s, visible)
	c.pump(cl, s)
}

// visibleFrom is what devices see of entries, which must be dense from next.
func visibleFrom(next im.Seq, entries []im.LogEntry) ([][]byte, bool) {
	visible := make([][]byte, 0, len(entries))
	for i, e := range entries {
		if e.Seq != next+im.Seq(i) {
			return nil, false
		}
		v, err := entity.Visible(e)
		if err != nil {
			return nil, false
		}
		visible = append(visible, v)
	}
	return visible, true
}

// ackSession moves a session's window.
func (c *Core) ackSession(cl *cell, cmd *im.AckDelivered) {
	s := cl.session(cmd.Session)
	if s == nil || cmd.Seq <= s.acked {
		return
	}
	// A device may have more than this session delivered, by another way: it
	// would not acknowledge that again.
	s.acked, s.next = cmd.Seq, max(s.next, cmd.Seq+1)
	n := 0
	for n < len(s.unacked) && s.unacked[n].last <= s.acked {
		s.bytes -= s.unacked[n].bytes
		n++
	}
	s.unacked = append(s.unacked[:0], s.unacked[n:]...)
	c.pump(cl, s)
}

// redeliver starts a session's deliveries again after an entry. A gateway that
// has not heard yet that its session is lost has to resume it first: it must
// not take the request for granted.
func (c *Core) redeliver(cl *cell, cmd *im.Redeliver) error {
	s := cl.session(cmd.Session)
	if s == nil {
		return &im.Error{Kind: im.Unavailable, RetryAfterMS: 100, Detail: "the mailbox does not have this session"}
	}
	if cmd.Seq > cl.durable {
		return im.Errorf(im.Invalid, "entry %d does not exist yet", cmd.Seq)
	}
	s.next, s.acked, s.unacked, s.bytes = cmd.Seq+1, cmd.Seq, nil, 0
	c.pump(cl, s)
	return nil
}

func (cl *cell) markOnline(infos []im.DeviceInfo) {
	for i := range infos {
		for _, s := range cl.sessions {
			if s.device == infos[i].Device && !s.poll {
				infos[i].Online = true
			}
		}
	}
}
