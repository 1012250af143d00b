package remote

import (
	"slices"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// loss is what is to be told after a link was lost.
type loss struct {
	kicked []im.Sink
	failed []pending
}

// lose ends what rested on the link that was lost. Sessions hear of it first,
// then the commands that cannot be repeated are completed, in order.
func (c *Client) lose(cause error) {
	lost := c.sweep(time.Now())
	c.cfg.Logger.Debug("role link lost", "sessions", len(lost.kicked), "commands", len(lost.failed), "err", cause)
	if c.cfg.Reach != nil {
		c.cfg.Reach(nil)
	}
	for _, sink := range lost.kicked {
		c.stats.kicks.Add(1)
		sink.Kick(im.CloseUnavailable, "the link to the mailbox was lost")
	}
	err := unavailable("the link to the mailbox was lost")
	for i := range lost.failed {
		c.finish(&lost.failed[i], nil, err)
	}
}

// sweep takes the state of a lost link apart. What may be sent over the next
// one is queued again, in the order in which it was submitted; when the client
// is closing, or does not wait for links, that is nothing.
func (c *Client) sweep(now time.Time) (lost loss) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil {
		c.stats.losses.Add(1)
	}
	c.link = nil
	c.outbound.set(false)
	c.level.Store(uint32(im.AnyLevel))
	sent := make([]pending, 0, len(c.inFlight)-len(c.free))
	for _, p := range c.inFlight {
		if p.cmd != nil {
			sent = append(sent, p)
		}
	}
	c.inFlight, c.free = nil, nil
	slices.SortFunc(sent, func(a, b pending) int { return int(a.turn - b.turn) })
	waiting := c.queue.take()
	fresh := attaching(waiting)
	none := c.closing || c.cfg.FailFast
	for _, p := range sent {
		if none || !p.repeatable() || !now.Before(p.until) {
			lost.failed = append(lost.failed, p)
			continue
		}
		c.stats.repeated.Add(1)
		c.queue.push(p)
	}
	for _, p := range waiting {
		if none || p.session != 0 && !fresh[p.session] {
			lost.failed = append(lost.failed, p)
			continue
		}
		c.queue.push(p)
	}
	lost.kicked = c.kickable(sent, fresh)
	return lost
}

// attaching are the sessions whose Attach is yet to be sent.
func attaching(list []pending) map[im.SessionID]bool {
	fresh := map[im.SessionID]bool{}
	for i := range list {
		if at, ok := list[i].cmd.(*im.Attach); ok {
			fresh[at.Session] = true
		}
	}
	return fresh
}

// kickable takes out the sinks of the sessions that the mailbox had granted.
// The others hear from their Attach.
func (c *Client) kickable(sent []pending, fresh map[im.SessionID]bool) []im.Sink {
	for i := range sent {
		if at, ok := sent[i].cmd.(*im.Attach); ok {
			c.sessions.remove(at.Session)
		}
	}
	old := c.sessions
	c.sessions = table[im.Sink]{}
	kicked := make([]im.Sink, 0, old.len())
	old.each(func(id im.SessionID, sink im.Sink) {
		if fresh[id] {
			c.sessions.put(id, sink)
			return
		}
		kicked = append(kicked, sink)
	})
	return kicked
}

// expire completes the commands that have waited too long to be sent.
func (c *Client) expire(now time.Time) {
	for {
		c.mu.Lock()
		if c.queue.len() == 0 || now.Before(c.queue.first().until) {
			c.mu.Unlock()
			return
		}
		p := c.queue.pop()
		c.mu.Unlock()
		c.stats.expired.Add(1)
		c.finish(&p, nil, unavailable("the mailbox could not be reached in time"))
	}
}
