package sim

import (
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// conn is a connection of a device through a gateway to a session of its
// user's mailbox, and what the gateway does on it. Both directions are in
// order until it breaks; then what is on the way to the device is lost, and
// what is on the way to the mailbox may still arrive.
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
	// got is the last entry that came down, delivered or in an answer;
	// acked the last that went up as an ack.
	got, acked im.Seq
	// torn: a delivery was lost, or was asked for again.
	torn bool
	// paused: the application had enough to do, and left entries behind.
	paused bool
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

// frames sends frames of the device up, as commands.
func (c *conn) frames(b []byte) {
	for len(b) > 0 {
		t, payload, n, err := wire.Parse(b, im.MaxClientFrame)
		if err != nil || n == 0 {
			c.w.fail("%v sends %x: %v", c.dev, b, err)
		}
		b = b[n:]
		switch t {
		case wire.TypeSend:
			c.send(payload)
		case wire.TypePull:
			c.pull(payload)
		case wire.TypeAck:
			c.ack(payload)
		default:
			c.w.fail("%v sends a %v", c.dev, t)
		}
	}
}

func (c *conn) send(payload []byte) {
	var m wire.Send
	if err := m.Unmarshal(payload); err != nil {
		c.w.fail("%v: %v", c.dev, err)
	}
	cmd := &im.Send{To: m.To, Device: c.dev.id, Session: c.id, ClientSeq: m.ClientSeq, Content: m.Content}
	c.submit(cmd, func(res im.Result, err error) {
		c.w.logf("%v: client_seq %d: %+v, %v", c.dev, m.ClientSeq, res, err)
		c.answer(m.ClientSeq, res, err)
	})
}

// answer hands the mailbox's word on a send to the device.
func (c *conn) answer(cs im.ClientSeq, res im.Result, err error) {
	a := wire.SendAck{ClientSeq: cs, Error: im.AsError(err)}
	if err == nil {
		sent := res.(*im.Sent)
		a.Seq, a.Time, a.InTimeline, a.PairID = sent.Seq, sent.Time, sent.InTimeline, sent.PairID
	}
	if a.InTimeline {
		c.came(a.Seq, a.Seq)
	}
	c.dev.frame(c, wire.TypeSendAck, wire.AppendSendAck(nil, &a))
	switch kind := im.KindOf(err); {
	case kind == im.Unauthenticated && c.dev.revoking:
		c.dev.leave()
	case kind == im.Unavailable && c.dev.conn == c:
		// The gateway's mailbox is gone.
		c.dev.drop(c.w.between(5*time.Millisecond, 300*time.Millisecond))
	}
}

func (c *conn) pull(payload []byte) {
	var m wire.Pull
	if err := m.Unmarshal(payload); err != nil {
		c.w.fail("%v: %v", c.dev, err)
	}
	if !c.torn && !c.paused {
		c.w.fail("%v pulls after %d, though nothing was lost", c.dev, m.Seq)
	}
	c.torn = true
	c.w.logf("%v: pulls after %d", c.dev, m.Seq)
	c.submit(&im.Redeliver{Session: c.id, Seq: m.Seq}, func(_ im.Result, err error) {
		if err != nil && !im.KindOf(err).Temporary() {
			c.w.fail("%v: pull after %d: %v", c.dev, m.Seq, err)
		}
	})
}

func (c *conn) ack(payload []byte) {
	var m wire.Ack
	if err := m.Unmarshal(payload); err != nil {
		c.w.fail("%v: %v", c.dev, err)
	}
	c.acked = max(c.acked, m.Seq)
	c.submit(&im.AckDelivered{Device: c.dev.id, Session: c.id, Seq: m.Seq}, func(_ im.Result, err error) {
		kind := im.KindOf(err)
		if err != nil && !kind.Temporary() && !(kind == im.Unauthenticated && c.dev.revoking) {
			c.w.fail("%v: ack of %d: %v", c.dev, m.Seq, err)
		}
	})
}

// came checks that entries come densely and once, unless something was lost;
// what the device has already may be left out.
func (c *conn) came(first, last im.Seq) {
	left := first > c.got && first <= c.acked+1
	if first != c.got+1 && !left && !c.torn {
		c.w.fail("%v: entries %d..%d follow %d on the same connection", c.dev, first, last, c.got)
	}
	c.got = last
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
		c.dev.disconnected(c)
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
	c.deliver(first, last, entries)
}

// deliver hands entries to the device.
func (c *conn) deliver(first, last im.Seq, entries [][]byte) {
	c.down(func() {
		c.came(first, last)
		c.dev.frame(c, wire.TypeDeliver, wire.AppendDeliver(nil, entries))
	})
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
		c.dev.kicked(c, code)
	})
}
