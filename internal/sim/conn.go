package sim

import (
	"bytes"
	"io"
	"net"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// conn is a connection of a device to a gateway, and that gateway's link.Conn.
// Both directions are in order until it breaks; then what is on the way to the
// device is lost, and what is on the way to the gateway may still arrive.
type conn struct {
	w    *world
	dev  *device
	gate *gateway
	life int
	// value is the gateway's.
	value any
	// core is the last one that attached a session of the connection, and
	// newest the sink of the last session asked for.
	core   *core
	newest im.Sink
	// login is when the gateway got Hello.
	login im.Millis
	// upAt and downAt are when the last thing sent arrives.
	upAt, downAt time.Duration
	// open: the device has it. closing: the gateway has said goodbye. ended:
	// the gateway knows that it is over.
	open, closing, ended bool
	// deaf: nothing that is on the way up arrives any more.
	deaf bool
	// attached: Welcome has come.
	attached bool
	// got is the last entry that came down, delivered or in an answer;
	// acked the last that went up as an ack.
	got, acked im.Seq
	// torn: a delivery was lost, or was asked for again.
	torn bool
	// paused: the application had enough to do, and left entries behind.
	paused bool
	// asked counts the sends without an answer, by client_seq.
	asked map[im.ClientSeq]int
	// refused: a send was to be repeated later, so those behind it find a gap.
	refused bool
	// replaceable: the mailbox was asked for another connection of the
	// device, not by an older login's resumption.
	replaceable bool
}

// dial opens a connection; nil: nobody is there.
func (w *world) dial(d *device) *conn {
	g := w.gateways[w.rng.IntN(len(w.gateways))]
	if !g.up {
		return nil
	}
	c := &conn{w: w, dev: d, gate: g, life: g.life, open: true, asked: map[im.ClientSeq]int{}}
	g.conns = append(g.conns, c)
	c.up(func() { g.role.Open(c) })
	return c
}

// up sends something to the gateway.
func (c *conn) up(f func()) {
	w := c.w
	c.upAt = max(c.upAt, w.now+w.between(0, w.plan.lag))
	w.at(c.upAt, func() {
		if !c.deaf && !c.ended && c.gate.life == c.life {
			f()
		}
	})
}

// frames sends frames of the device up.
func (c *conn) frames(b []byte) {
	for len(b) > 0 {
		t, payload, n, err := wire.Parse(b, im.MaxClientFrame)
		if err != nil || n == 0 {
			c.w.fail("%v sends %x: %v", c.dev, b, err)
		}
		b = b[n:]
		c.note(t, payload)
		c.up(func() {
			if !c.closing {
				c.gate.role.Frame(c, t, payload)
			}
		})
	}
}

// note keeps account of what the device sends.
func (c *conn) note(t wire.Type, payload []byte) {
	switch t {
	case wire.TypeSend:
		var m wire.Send
		c.must(m.Unmarshal(payload))
		c.asked[m.ClientSeq]++
	case wire.TypePull:
		var m wire.Pull
		c.must(m.Unmarshal(payload))
		if !c.torn && !c.paused {
			c.w.fail("%v pulls after %d, though nothing was lost", c.dev, m.Seq)
		}
		c.torn = true
		c.w.logf("%v: pulls after %d", c.dev, m.Seq)
	case wire.TypeAck:
		var m wire.Ack
		c.must(m.Unmarshal(payload))
		c.acked = max(c.acked, m.Seq)
	}
}

func (c *conn) must(err error) {
	if err != nil {
		c.w.fail("%v: %v", c.dev, err)
	}
}

// hello logs in. The gateway gets no two of a device in one millisecond: it
// could not say which is newer.
func (c *conn) hello(frame []byte) {
	d := c.dev
	c.upAt = max(c.upAt, d.loginAt+time.Millisecond)
	c.up(func() {
		c.login = c.gate.clock()
		d.logins[c.login] = c
		_, payload, _, _ := wire.Parse(frame, im.MaxClientFrame)
		c.gate.role.Frame(c, wire.TypeHello, payload)
	})
	d.loginAt = c.upAt
}

// Send implements link.Conn.
func (c *conn) Send(frames []byte) error {
	if c.closing || c.ended {
		return link.ErrClosed
	}
	b := bytes.Clone(frames)
	if wire.Type(b[0]) == wire.TypeDeliver && c.w.fault(c.w.plan.loseDown) {
		// The device pulls when more comes, or finds the connection dead.
		c.torn = true
		c.w.after(c.w.between(time.Second, 4*time.Second), c.tear)
		return nil
	}
	c.down(func() { c.receive(b) })
	return nil
}

// Close implements link.Conn.
func (c *conn) Close(code im.CloseCode, reason string) { c.CloseRetry(code, reason, 0) }

// CloseRetry implements link.Conn.
func (c *conn) CloseRetry(code im.CloseCode, reason string, after time.Duration) {
	if c.closing || c.ended {
		return
	}
	c.w.logf("gateway %d: closes a connection of %v: %d %s", c.gate.id, c.dev, code, reason)
	frame, err := wire.AppendMessage(nil, wire.TypeClose, &skeinv1.Close{Code: skeinv1.CloseCode(code), Reason: reason})
	c.must(err)
	_ = c.Send(frame)
	c.closing = true
	c.w.after(c.w.between(0, 100*time.Millisecond), func() { c.end(&link.CloseError{Code: code, Reason: reason, RetryAfter: after}) })
}

// CloseTo implements link.Conn.
func (c *conn) CloseTo(code im.CloseCode, reason string, _ []string) { c.CloseRetry(code, reason, 0) }

// RemoteAddr implements link.Conn.
func (c *conn) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// SetIdle implements link.Conn: heartbeats are not simulated.
func (c *conn) SetIdle(time.Duration) {}

// SetMaxFrame implements link.Conn.
func (c *conn) SetMaxFrame(int) {}

// Value implements link.Conn.
func (c *conn) Value() any { return c.value }

// SetValue implements link.Conn.
func (c *conn) SetValue(v any) { c.value = v }

// end tells the gateway that the connection is over.
func (c *conn) end(err error) {
	if !c.ended && c.gate.life == c.life {
		c.ended = true
		c.gate.forget(c)
		if c.value != nil {
			c.gate.role.Closed(c, err)
		}
	}
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

// receive hands frames to the device.
func (c *conn) receive(b []byte) {
	for len(b) > 0 && c.open {
		t, payload, n, err := wire.Parse(b, im.MaxServerFrame)
		if err != nil || n == 0 {
			c.w.fail("gateway %d sends %x: %v", c.gate.id, b, err)
		}
		b = b[n:]
		c.check(t, payload)
		c.dev.frame(c, t, payload)
	}
}

// check holds what the gateway sends against what was asked and came before.
func (c *conn) check(t wire.Type, payload []byte) {
	switch t {
	case wire.TypeDeliver:
		c.must(wire.RangeDeliver(payload, func(b []byte) error {
			var e wire.Entry
			err := e.Unmarshal(b)
			if e.Kind == wire.EntryGone {
				c.got = max(c.got, e.Seq-1)
			}
			c.came(e.Seq)
			return err
		}))
	case wire.TypeSendAck:
		var a wire.SendAck
		c.must(a.Unmarshal(payload))
		c.w.logf("%v: client_seq %d: %+v", c.dev, a.ClientSeq, a)
		c.answered(&a)
	}
}

// answered checks that each send is answered once, and that none overtook the
// one before.
func (c *conn) answered(a *wire.SendAck) {
	if c.asked[a.ClientSeq] == 0 {
		c.w.fail("%v: client_seq %d was answered twice on the same connection", c.dev, a.ClientSeq)
	}
	if c.asked[a.ClientSeq]--; c.asked[a.ClientSeq] == 0 {
		delete(c.asked, a.ClientSeq)
	}
	switch {
	case a.Error == nil && a.InTimeline:
		c.came(a.Seq)
	case a.Error == nil:
	case a.Error.Kind == im.SequenceGap && !c.refused:
		c.w.fail("%v: client_seq %d overtook the one before", c.dev, a.ClientSeq)
	case a.Error.Kind.Temporary():
		c.refused = true
	}
}

// came checks that entries come densely and once, unless something was lost;
// what the device has already may be left out.
func (c *conn) came(seq im.Seq) {
	left := seq > c.got && seq <= c.acked+1
	if seq != c.got+1 && !left && !c.torn {
		c.w.fail("%v: entry %d follows %d on the same connection", c.dev, seq, c.got)
	}
	c.got = seq
}

// tear breaks the connection under the device; the device finds out.
func (c *conn) tear() {
	if c.open {
		c.close()
		c.dev.disconnected(c)
	}
}

// close ends the device's side. The gateway has to find out; a connection that
// is half open stays with it for long.
func (c *conn) close() {
	w := c.w
	c.open = false
	c.deaf = w.chance(0.5)
	late := 3 * time.Second
	if w.fault(w.plan.halfOpen) {
		late, c.deaf = 20*time.Second, true
	}
	w.after(w.between(0, late), func() { c.end(io.EOF) })
}

// inject hands entries to the device that its gateway knows nothing of.
func (c *conn) inject(entries [][]byte) {
	c.torn = true
	c.down(func() { c.receive(wire.AppendDeliverFrame(nil, entries)) })
}
