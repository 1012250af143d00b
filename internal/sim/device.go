package sim

import (
	"bytes"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/skein-im/skein/internal/im"
)

// device is a client. What it has stored and what it still has to send
// survive everything; its connection does not.
type device struct {
	w     *world
	user  *user
	id    im.DeviceID
	token [32]byte

	// cursor is the last timeline entry stored; stored holds the hash of
	// each, 0 for one that an answer stood for.
	cursor im.Seq
	stored []uint64
	// outbox are the sends without an answer, history all of them:
	// client_seq n is history[n-1].
	outbox  []*sending
	history []*sending
	// sent is how many of the outbox were sent on this connection.
	sent int

	conn *conn
	// got is the last entry received on this connection, stored or not.
	got     im.Seq
	pulling bool
	ackDue  bool
	// revoking: somebody asked for the device to be revoked; gone: it was.
	revoking, gone bool
	dials          int
}

// sending is a message a device was told to send.
type sending struct {
	to      im.UserID
	seq     im.ClientSeq
	content im.Content
	// answered for good: sent, or refused with a kind.
	answered bool
	sent     *im.Sent
	kind     im.ErrorKind
}

func (d *device) String() string { return fmt.Sprintf("device %d/%d", d.user.id, d.id) }

// connect opens a connection and logs in.
func (d *device) connect() {
	w := d.w
	if d.gone || d.user.dark || d.conn != nil {
		return
	}
	d.dials++
	c := w.dial(d)
	if c == nil {
		d.connectLater()
		return
	}
	d.attach(c)
}

// attach logs in on a connection, which replaces the one there is.
func (d *device) attach(c *conn) {
	w := d.w
	d.conn, d.sent, d.pulling, d.ackDue = c, 0, false, false
	cmd := &im.Attach{Device: d.id, TokenHash: d.token, Session: c.id, Sink: c}
	if w.chance(0.8) {
		cursor := d.cursor
		cmd.Cursor = &cursor
	}
	w.logf("session %d of %v: attach with cursor %d", c.id, d, d.cursor)
	c.submit(cmd, func(res im.Result, err error) {
		if err != nil {
			d.refused(err)
			return
		}
		d.welcome(c, res.(*im.Attached))
	})
	w.after(8*time.Second, func() {
		if c.open && !c.attached {
			c.tear()
		}
	})
}

func (d *device) connectLater() {
	d.w.after(d.w.between(5*time.Millisecond, 500*time.Millisecond), d.connect)
}

// disconnected: the connection is gone; what it carried may be lost.
func (d *device) disconnected() {
	d.conn = nil
	d.connectLater()
}

// drop gives the connection up and comes back after a while.
func (d *device) drop(wait time.Duration) {
	if d.conn != nil {
		d.conn.close()
		d.conn = nil
	}
	d.w.after(wait, d.connect)
}

// refused: the mailbox did not let the device in.
func (d *device) refused(err error) {
	switch kind := im.KindOf(err); {
	case kind.Temporary():
		d.drop(d.w.between(5*time.Millisecond, 500*time.Millisecond))
	case kind == im.Unauthenticated && d.revoking:
		d.leave()
	default:
		d.w.fail("%v cannot log in with cursor %d: %v", d, d.cursor, err)
	}
}

// kicked: the mailbox ended the session.
func (d *device) kicked(code im.CloseCode) {
	switch {
	case code == im.CloseRevoked && d.revoking:
		d.leave()
	case code == im.CloseReplaced || code.Reconnect():
		// Only the simulator's own second connection replaces one.
		d.conn = nil
		d.connectLater()
	default:
		d.w.fail("%v was kicked with code %d", d, code)
	}
}

// leave ends the device.
func (d *device) leave() {
	d.w.logf("%v leaves", d)
	d.gone = true
	if d.conn != nil {
		d.conn.close()
		d.conn = nil
	}
}

// welcome starts over on a connection: deliveries follow the mailbox's
// cursor, and every send without an answer is sent again.
func (d *device) welcome(c *conn, at *im.Attached) {
	w := d.w
	w.logf("session %d of %v: welcome: head %d cursor %d client_seq %d", c.id, d, at.Head, at.Cursor, at.ClientSeq)
	switch {
	case at.Cursor > d.cursor:
		w.fail("%v has stored up to %d, the mailbox believes %d", d, d.cursor, at.Cursor)
	case at.ClientSeq > im.ClientSeq(len(d.history)):
		w.fail("%v has sent %d messages, the mailbox took %d", d, len(d.history), at.ClientSeq)
	case at.ClientSeq < d.lastAnswered():
		w.fail("%v has an answer to client_seq %d, the mailbox has only %d", d, d.lastAnswered(), at.ClientSeq)
	}
	c.attached = true
	d.got = at.Cursor
	d.pump()
}

func (d *device) lastAnswered() im.ClientSeq {
	for i := len(d.history) - 1; i >= 0; i-- {
		if d.history[i].answered {
			return d.history[i].seq
		}
	}
	return 0
}

// send puts a message in the outbox.
func (d *device) send(to im.UserID, body []byte) {
	m := &sending{to: to, seq: im.ClientSeq(len(d.history) + 1), content: im.Content{Type: im.ContentText, Body: body}}
	d.history = append(d.history, m)
	d.outbox = append(d.outbox, m)
	d.pump()
}

// pump sends what the window has room for.
func (d *device) pump() {
	c := d.conn
	if c == nil || !c.attached {
		return
	}
	for d.sent < min(len(d.outbox), d.w.plan.sendWindow) {
		m := d.outbox[d.sent]
		d.sent++
		cmd := &im.Send{To: m.to, Device: d.id, Session: c.id, ClientSeq: m.seq, Content: m.content}
		c.submit(cmd, func(res im.Result, err error) { d.answer(c, m, res, err) })
	}
	if len(d.outbox) > 0 {
		d.watch(c, d.outbox[0])
	}
}

// watch gives a connection up on which the first send gets no answer.
func (d *device) watch(c *conn, first *sending) {
	d.w.after(6*time.Second, func() {
		if d.conn == c && c.open && !first.answered && len(d.outbox) > 0 && d.outbox[0] == first {
			d.w.logf("%v waits in vain", d)
			c.tear()
		}
	})
}

// answer takes what the mailbox says to a send.
func (d *device) answer(c *conn, m *sending, res im.Result, err error) {
	d.w.logf("%v: client_seq %d: %+v, %v", d, m.seq, res, err)
	switch kind := im.KindOf(err); {
	case err == nil:
		sent := *res.(*im.Sent)
		if sent.InTimeline && d.conn == c {
			d.saw(sent.Seq)
		}
		d.settle(m, &sent, 0)
	case kind == im.NotContact || kind == im.Blocked:
		d.settle(m, nil, kind)
	case kind == im.Unauthenticated && d.revoking:
		d.leave()
	case kind == im.Unavailable && d.conn == c:
		d.drop(d.w.between(5*time.Millisecond, 300*time.Millisecond))
	case kind == im.Busy || kind == im.SequenceGap:
		d.w.after(d.w.between(5*time.Millisecond, 300*time.Millisecond), func() {
			if d.conn == c {
				d.sent = 0
				d.pump()
			}
		})
	case !kind.Temporary():
		d.w.fail("%v: client_seq %d: %v", d, m.seq, err)
	}
}

// settle ends a send with its first answer.
func (d *device) settle(m *sending, sent *im.Sent, kind im.ErrorKind) {
	if m.answered {
		return
	}
	m.answered, m.sent, m.kind = true, sent, kind
	if len(d.outbox) == 0 || d.outbox[0] != m {
		d.w.fail("%v: client_seq %d was answered before the one before it", d, m.seq)
	}
	d.outbox = d.outbox[1:]
	d.sent = max(0, d.sent-1)
	d.pump()
}

// saw counts an entry as received in the answer to the send that made it.
func (d *device) saw(seq im.Seq) {
	if seq != d.got+1 && !d.conn.torn {
		d.w.fail("%v: the answer stands for entry %d, but the one received before is %d", d, seq, d.got)
	}
	d.got = max(d.got, seq)
	if seq == d.cursor+1 {
		d.stored = append(d.stored, 0)
		d.store(seq)
	}
}

// deliver takes entries: what is new is stored, a gap is asked for again.
func (d *device) deliver(first, last im.Seq, entries [][]byte) {
	if first != d.got+1 && !d.conn.torn {
		d.w.fail("%v: entries %d..%d follow %d on the same connection", d, first, last, d.got)
	}
	d.got = last
	switch {
	case first > d.cursor+1:
		d.pull()
	case last > d.cursor:
		d.pulling = false
		for _, e := range entries[d.cursor+1-first:] {
			d.stored = append(d.stored, xxhash.Sum64(e))
		}
		d.store(last)
	default:
		// Acknowledged again, or the mailbox would wait for it for ever.
		d.ackSoon()
	}
}

// store makes entries up to seq the device's own.
func (d *device) store(seq im.Seq) {
	d.cursor = seq
	d.ackSoon()
}

// pull asks for what follows the cursor.
func (d *device) pull() {
	c := d.conn
	if d.pulling || c == nil {
		return
	}
	d.w.logf("%v: pulls after %d", d, d.cursor)
	c.torn, d.pulling = true, true
	c.submit(&im.Redeliver{Session: c.id, Seq: d.cursor}, func(_ im.Result, err error) {
		if err != nil && !im.KindOf(err).Temporary() {
			d.w.fail("%v: pull after %d: %v", d, d.cursor, err)
		}
	})
	d.w.after(500*time.Millisecond, func() { d.pulling = false })
}

// ackSoon acknowledges what is stored: at once, or together with more.
func (d *device) ackSoon() {
	if d.ackDue {
		return
	}
	wait := time.Duration(0)
	if d.w.chance(0.5) {
		wait = d.w.between(0, 300*time.Millisecond)
	}
	d.ackDue = true
	c := d.conn
	d.w.after(wait, func() {
		if d.conn == c && c != nil {
			d.ackDue = false
			d.ack(c, d.cursor)
		}
	})
}

func (d *device) ack(c *conn, seq im.Seq) {
	c.submit(&im.AckDelivered{Device: d.id, Session: c.id, Seq: seq}, func(_ im.Result, err error) {
		kind := im.KindOf(err)
		if err != nil && !kind.Temporary() && !(kind == im.Unauthenticated && d.revoking) {
			d.w.fail("%v: ack of %d: %v", d, seq, err)
		}
	})
}

// again repeats an answered client_seq with its own content, or another,
// whose answer the ledger checks.
func (d *device) again(other bool) {
	c := d.conn
	if c == nil || !c.attached || len(d.history) == 0 {
		return
	}
	m := d.history[d.w.rng.IntN(len(d.history))]
	if !m.answered {
		return
	}
	content := m.content
	if other {
		content.Body = append(bytes.Clone(content.Body), '!')
	}
	d.w.logf("%v: repeats client_seq %d, other content: %v", d, m.seq, other)
	c.submit(&im.Send{To: m.to, Device: d.id, Session: c.id, ClientSeq: m.seq, Content: content},
		func(_ im.Result, err error) {
			if other && err == nil {
				d.w.fail("%v: client_seq %d was taken twice", d, m.seq)
			}
		})
}
