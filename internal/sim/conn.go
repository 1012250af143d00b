package sim

import (
	"time"

	"github.com/skein-im/skein/internal/im"
)

// conn is a connection of a device through a gateway to a session of its
// user's mailbox. Both directions are in order until it breaks; then what is
// on the way to the device is lost, and what is on the way to the mailbox may
// still arrive.
type conn struct {
	w    *world
	dev  *device
	gate *gateway
	core *core
	id   im.SessionID
	// upAt and downAt are when the last thing sent arrives.
	upAt, downAt time.Duration
	open         bool
	// deaf: nothing that is on the way up arrives any more.
	deaf bool
	// attached: the mailbox has answered the Attach.
	attached bool
	// torn: a delivery was lost, or was asked for again.
	torn bool
}

// dial opens a connection; nil: nobody is there.
func (w *world) dial(d *device) *conn {
	g := w.gateways[w.rng.IntN(len(w.gateways))]
	n := g.nodeOf(d.user.addr)
	if !g.up || !n.up {
		return nil
	}
	w.sessions++
	return &conn{w: w, dev: d, gate: g, core: n.coreOf(d.user.addr.Slot()), id: w.sessions, open: true}
}

// submit sends a command up.
func (c *conn) submit(cmd im.Command, then func(im.Result, error)) {
	w := c.w
	c.upAt = max(c.upAt, w.now+w.between(0, w.plan.lag))
	w.at(c.upAt, func() {
		switch {
		case c.deaf:
		case c.core.dead:
			c.tear()
		default:
			w.submit(c.core, c.dev.user.addr, cmd, func(res im.Result, err error) {
				c.down(func() { then(res, err) })
			})
		}
	})
}

// down sends something to the device.
func (c *conn) down(f func()) {
	w := c.w
	c.downAt = max(c.downAt, w.now+w.between(0, w.plan.lag))
	w.at(c.downAt, func() {
		if c.open {
			f()
		}
	})
}

// tear breaks the connection under the device; the device finds out.
func (c *conn) tear() {
	if c.open {
		c.close()
		c.dev.disconnected()
	}
}

// close ends the device's side. The mailbox learns of it later, like a
// gateway that has to find out.
func (c *conn) close() {
	w := c.w
	c.open = false
	c.deaf = w.chance(0.5)
	w.after(w.between(0, 3*time.Second), func() {
		if !c.core.dead {
			w.submit(c.core, c.dev.user.addr, &im.Detach{Session: c.id}, func(im.Result, error) {})
		}
	})
}

// Deliver implements im.Sink.
func (c *conn) Deliver(first, last im.Seq, entries [][]byte) {
	w := c.w
	c.checkDelivery(first, last, entries)
	w.logf("session %d of %v: deliver %d..%d", c.id, c.dev, first, last)
	if w.defect == CursorAhead {
		w.submit(c.core, c.dev.user.addr, &im.AckDelivered{Device: c.dev.id, Session: c.id, Seq: last}, func(im.Result, error) {})
	}
	if w.fault(w.plan.loseDown) {
		// The device pulls when more comes, or finds the connection dead.
		c.torn = true
		w.after(w.between(time.Second, 4*time.Second), c.tear)
		return
	}
	c.down(func() { c.dev.deliver(first, last, entries) })
}

// checkDelivery holds a delivery against what is durable.
func (c *conn) checkDelivery(first, last im.Seq, entries [][]byte) {
	w, l := c.w, c.w.ledger(c.dev.user.addr)
	switch {
	case last != first+im.Seq(len(entries))-1 || len(entries) == 0:
		w.fail("session %d: a delivery says %d..%d and has %d entries", c.id, first, last, len(entries))
	case len(entries) > max(1, w.plan.core.WindowEntries):
		w.fail("session %d: a delivery of %d entries is over the window of %d", c.id, len(entries), w.plan.core.WindowEntries)
	}
	for i, e := range entries {
		l.checkVisible(c.dev, first+im.Seq(i), e)
	}
}

// Kick implements im.Sink.
func (c *conn) Kick(code im.CloseCode, reason string) {
	c.w.logf("session %d of %v: kicked: %d %s", c.id, c.dev, code, reason)
	c.down(func() {
		c.open = false
		c.dev.kicked(code)
	})
}
