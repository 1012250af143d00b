package sim

import (
	"bytes"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/clientcore"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// device is a client: the SDK's core with an application around it. What the
// application keeps survives everything; its connection does not.
type device struct {
	w     *world
	user  *user
	id    im.DeviceID
	token [32]byte
	core  *clientcore.Core[struct{}]

	// history are the messages written: client_seq n is history[n-1].
	history []*sending
	// stored holds the hash of each entry that the application has taken;
	// untaken are those that it has not got to.
	stored  map[im.Seq]uint64
	untaken []wire.Entry
	// missed are those that were gone when the device came for them.
	missed []span
	taking bool
	paused bool

	conn   *conn
	acking bool
	// logins are the connections that have said Hello, by when; loginAt is
	// when the last one did.
	logins  map[im.Millis]*conn
	loginAt time.Duration
	// revoking: somebody asked for the device to be revoked; gone: it was.
	revoking, gone bool
}

// sending is a message a device was told to send, and its final answer.
type sending struct {
	to       im.UserID
	seq      im.ClientSeq
	content  im.Content
	answered bool
	// sentAs is its entry; 0: it was refused with a kind.
	sentAs im.Seq
	kind   im.ErrorKind
}

func newDevice(u *user, id im.DeviceID, token [32]byte) *device {
	d := &device{w: u.w, user: u, id: id, token: token, stored: map[im.Seq]uint64{}, logins: map[im.Millis]*conn{}}
	d.core = clientcore.New[struct{}](d.config(), clientcore.State{})
	return d
}

func (d *device) config() clientcore.Config {
	return clientcore.Config{Window: d.w.plan.sendWindow, Outbox: 1 << 20}
}

func (d *device) String() string { return fmt.Sprintf("device %d/%d", d.user.id, d.id) }

// cursor is the last entry that the application has taken.
func (d *device) cursor() im.Seq {
	seq, _ := d.core.Cursor()
	return seq
}

// connect opens a connection and logs in.
func (d *device) connect() {
	if d.gone || d.user.dark || d.conn != nil {
		return
	}
	c := d.w.dial(d)
	if c == nil {
		d.connectLater()
		return
	}
	d.attach(c)
}

// attach logs in on a connection.
func (d *device) attach(c *conn) {
	d.conn = c
	c.paused = d.paused
	hello := &skeinv1.Hello{Token: tokenText(d.token)}
	frame, err := d.core.AppendHello(nil, hello)
	if d.w.chance(0.2) {
		hello.Cursor = nil
		frame, err = wire.AppendMessage(nil, wire.TypeHello, hello)
	}
	if err != nil {
		d.w.fail("%v: %v", d, err)
	}
	d.w.logf("%v: says hello to gateway %d with cursor %d", d, c.gate.id, hello.GetCursor())
	c.hello(frame)
}

// rivals notes that the mailbox gets an Attach which may replace the newest
// connection: any login, or the resumption of a newer one.
func (d *device) rivals(c *conn, cmd *im.Attach) {
	if o := d.conn; o != nil && o != c && (cmd.Resume == nil || c.login > o.login) {
		o.replaceable = true
	}
}

func (d *device) connectLater() {
	d.w.after(d.w.between(5*time.Millisecond, 500*time.Millisecond), d.connect)
}

// disconnected: the connection is gone; what it carried may be lost.
func (d *device) disconnected(c *conn) {
	if d.conn == c {
		d.hangUp()
		d.connectLater()
	}
}

// hangUp forgets the connection.
func (d *device) hangUp() {
	d.conn = nil
	d.core.Disconnected()
}

// drop gives the connection up and comes back after a while.
func (d *device) drop(wait time.Duration) {
	if d.conn != nil {
		d.conn.close()
		d.hangUp()
	}
	d.w.after(wait, d.connect)
}

// restart ends the program and starts it again after a while, with what it
// kept.
func (d *device) restart() {
	d.w.logf("%v: restarts", d)
	d.drop(d.w.between(0, 3*time.Second))
	d.untaken = nil
	d.core = clientcore.New[struct{}](d.config(), d.core.Export())
}

// closed: the gateway ended the connection.
func (d *device) closed(c *conn, code im.CloseCode) {
	c.open = false
	switch {
	case d.revoking && (code == im.CloseRevoked || code == im.CloseUnauthenticated):
		d.leave()
	case code == im.CloseReplaced && c.replaceable, code == im.CloseUnavailable:
		// Only the simulator's own second connection replaces one.
		d.disconnected(c)
	default:
		d.w.fail("%v: its newest connection is closed with code %d", d, code)
	}
}

// leave ends the device.
func (d *device) leave() {
	d.w.logf("%v leaves", d)
	d.gone = true
	if d.conn != nil {
		d.conn.close()
		d.hangUp()
	}
}

// welcome starts over on a connection.
func (d *device) welcome(c *conn, payload []byte) {
	w := d.w
	var m skeinv1.Welcome
	c.must(wire.UnmarshalMessage(payload, &m))
	at := clientcore.WelcomeOf(&m)
	w.logf("%v: welcome: head %d cursor %d client_seq %d", d, at.Head, at.Cursor, at.ClientSeq)
	_, known := d.core.Cursor()
	switch {
	case known && at.Cursor > d.cursor():
		w.fail("%v has stored up to %d, the mailbox believes %d", d, d.cursor(), at.Cursor)
	case at.ClientSeq > im.ClientSeq(len(d.history)):
		w.fail("%v has sent %d messages, the mailbox took %d", d, len(d.history), at.ClientSeq)
	case at.ClientSeq < d.lastAnswered():
		w.fail("%v has an answer to client_seq %d, the mailbox has only %d", d, d.lastAnswered(), at.ClientSeq)
	}
	c.attached = true
	c.got = at.Cursor
	d.core.Welcome(at)
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

// send writes a message.
func (d *device) send(to im.UserID, body []byte) {
	m := &sending{to: to, seq: im.ClientSeq(len(d.history) + 1), content: im.Content{Type: im.ContentText, Body: body}}
	d.history = append(d.history, m)
	if err := d.core.Send(to, m.content, struct{}{}); err != nil {
		d.w.fail("%v: %v", d, err)
	}
	d.pump()
}

// frame takes what the gateway sent.
func (d *device) frame(c *conn, t wire.Type, payload []byte) {
	switch {
	case d.conn != c:
		return
	case t == wire.TypeWelcome && !c.attached:
		d.welcome(c, payload)
		return
	case t == wire.TypeClose:
		var m skeinv1.Close
		c.must(wire.UnmarshalMessage(payload, &m))
		d.closed(c, im.CloseCode(m.GetCode()))
		return
	case !c.attached:
		d.w.fail("%v: a %v frame before welcome", d, t)
	}
	if err := d.core.Frame(t, payload); err != nil {
		d.w.fail("%v: %v", d, err)
	}
	for _, a := range d.core.Answers() {
		d.settle(a)
	}
	for _, e := range d.core.Entries() {
		e.Content.Body = bytes.Clone(e.Content.Body)
		d.untaken = append(d.untaken, e)
	}
	d.takeSoon()
	d.pump()
}

// settle ends a send with its answer.
func (d *device) settle(a clientcore.Answer[struct{}]) {
	m := d.history[a.ClientSeq-1]
	if a.Err != nil && a.Err.Kind == im.Unauthenticated && d.revoking {
		d.leave()
		return
	}
	if m.answered {
		d.w.fail("%v: client_seq %d was answered twice", d, m.seq)
	}
	m.answered, m.sentAs = true, a.Seq
	if a.Err != nil {
		m.kind = a.Err.Kind
	}
	if m.kind != 0 && m.kind != im.NotContact && m.kind != im.Blocked {
		d.w.fail("%v: client_seq %d: %v", d, m.seq, a.Err)
	}
}

// takeSoon lets the application store what has come, at once or later.
func (d *device) takeSoon() {
	if d.taking {
		return
	}
	if d.w.chance(0.8) {
		d.take()
		return
	}
	d.taking = true
	if d.w.chance(0.3) && d.conn != nil {
		d.core.Pause()
		d.paused, d.conn.paused = true, true
	}
	d.w.after(d.w.between(0, 300*time.Millisecond), func() {
		d.taking, d.paused = false, false
		d.take()
		d.core.Unpause()
		d.pump()
	})
}

func (d *device) take() {
	for _, e := range d.untaken {
		if e.Kind == wire.EntryGone {
			d.missed = append(d.missed, span{d.cursor() + 1, e.Seq})
			d.core.Taken(e.Seq)
			continue
		}
		hash := xxhash.Sum64(wire.AppendEntry(nil, &e))
		if old, ok := d.stored[e.Seq]; ok && old != hash {
			d.w.fail("%v: entry %d has changed", d, e.Seq)
		}
		d.stored[e.Seq] = hash
		d.core.Taken(e.Seq)
	}
	d.untaken = nil
}

// pump writes what the core has to say.
func (d *device) pump() {
	c := d.conn
	if c == nil || !c.attached {
		return
	}
	for d.core.Ready() {
		c.frames(d.core.AppendFrames(nil, 1))
	}
	d.resumeLater()
	d.ackSoon(c)
}

// resumeLater ends the pause that a busy server asked for.
func (d *device) resumeLater() {
	if _, _, held := d.core.Hold(); !held {
		return
	}
	core := d.core
	d.w.after(d.w.between(5*time.Millisecond, 300*time.Millisecond), func() {
		if d.core == core {
			core.Resume()
			d.pump()
		}
	})
}

// ackSoon acknowledges what is stored: at once, or together with more.
func (d *device) ackSoon(c *conn) {
	if d.acking || !d.core.AckPending() {
		return
	}
	wait := time.Duration(0)
	if !d.core.AckDue() && d.w.chance(0.5) {
		wait = d.w.between(0, 300*time.Millisecond)
	}
	d.acking = true
	d.w.after(wait, func() {
		d.acking = false
		if d.conn == c {
			c.frames(d.core.AppendAck(nil))
		} else {
			d.pump()
		}
	})
}

// again repeats an answered client_seq with its own content, or another; the
// ledger checks the answer.
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
	c.frames(wire.AppendSendFrame(nil, &wire.Send{To: m.to, ClientSeq: m.seq, Content: content}))
}
