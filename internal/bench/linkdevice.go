package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/clientcore"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// linkDevice is a device on a long link. It uses the same protocol core as the
// SDK with as little around it as will do: one goroutine, which reads, writes
// what follows from what it read, and reads on.
type linkDevice struct {
	counts
	chat  *chat
	user  int
	token string

	mu sync.Mutex
	// conn is nil while there is none.
	conn *link.ClientConn
	core *clientcore.Core[handed]
	plan *schedule
	// addr is where to connect: home, unless a server sent the device
	// elsewhere and that works. It belongs to the goroutine that connects.
	addr string
	out  []byte
	// bodies are free to be used again.
	bodies [][]byte
	begun  bool
	// When the link last brought and took something, and when a held send
	// may go on; nanoseconds since the run began.
	lastRead, lastWrite, resumeAt int64
}

// handed is what a device wants to know when a send is answered.
type handed struct {
	due  int64
	body []byte
}

const (
	// writeSize is how much is written at once, readFrames how many frames
	// are read before what follows from them is written.
	writeSize  = 64 << 10
	readFrames = 64
	// loginTimeout bounds the time to Welcome, quietAfter how long a link
	// is silent before it is checked, deadAfter before it is given up.
	loginTimeout = 10 * time.Second
	quietAfter   = 20 * time.Second
	deadAfter    = 40 * time.Second
)

func newLinkDevice(c *chat, user int, token string, plan *schedule) *linkDevice {
	cfg := clientcore.Config{Window: c.cfg.Window, Outbox: 1 << 30}
	if c.cfg.Rate > 0 {
		cfg.Window = im.SendWindow
	}
	d := &linkDevice{chat: c, user: user, token: token, plan: plan, addr: c.cfg.Link, core: clientcore.New[handed](cfg, clientcore.State{})}
	d.ledger = c.newLedger(user)
	return d
}

func (d *linkDevice) run(ctx context.Context, ready func()) {
	first := true
	for attempt := 0; ; attempt++ {
		d.find(ctx, attempt)
		conn, err := d.connect(ctx)
		if err == nil {
			if first {
				first = false
				ready()
			} else {
				d.reconnects.Add(1)
			}
			attempt = 0
			err = d.serve(ctx, conn)
		}
		if ctx.Err() != nil {
			return
		}
		d.move(conn != nil, err)
		after, final := judge(err)
		if final != nil {
			d.chat.failed.fail(fmt.Errorf("user %d: %w", d.user, final))
			return
		}
		if !pause(ctx, backoff(attempt, after)) {
			return
		}
	}
}

// move decides where to connect next: where the server sent the device, and home
// when that does not work.
func (d *linkDevice) move(connected bool, err error) {
	var closed *link.CloseError
	switch {
	case errors.As(err, &closed) && len(closed.Addresses) > 0:
		d.addr = closed.Addresses[0]
		if scheme, _, ok := strings.Cut(d.chat.cfg.Link, "://"); ok && !strings.Contains(d.addr, "://") {
			d.addr = scheme + "://" + d.addr
		}
	case !connected:
		d.addr = d.chat.cfg.Link
	}
}

// serve reads the link until it ends.
func (d *linkDevice) serve(ctx context.Context, conn *link.ClientConn) error {
	said := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		defer close(said)
		d.goodbye()
	})
	err := d.read(conn)
	if !unwatch() {
		<-said
	}
	_ = conn.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn = nil
	d.core.Disconnected()
	return err
}

func (d *linkDevice) read(conn *link.ClientConn) error {
	for n := 1; ; n++ {
		t, payload, err := conn.ReadFrame()
		if err != nil {
			return err
		}
		if t == wire.TypeClose {
			return closeError(payload)
		}
		d.mu.Lock()
		err = d.frame(t, payload)
		if !conn.Buffered() || n%readFrames == 0 {
			d.topUp()
			d.flush()
		}
		d.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// frame takes what came. The caller holds mu, also below.
func (d *linkDevice) frame(t wire.Type, payload []byte) error {
	now := d.chat.now()
	d.lastRead = now
	if t == wire.TypePong {
		return nil
	}
	err := d.core.Frame(t, payload)
	for _, a := range d.core.Answers() {
		d.answered(&a, now)
	}
	entries := d.core.Entries()
	for i := range entries {
		e := &entries[i]
		if e.Kind != wire.EntryMessage || e.Outgoing {
			continue
		}
		if due, ok := d.ledger.take(e.Peer, e.Content.Body, now); ok {
			d.chat.delivered.record(d.user, now-due)
		}
	}
	d.core.Taken(d.core.Received())
	return err
}

func (d *linkDevice) answered(a *clientcore.Answer[handed], now int64) {
	if a.Err != nil {
		d.refused.Add(1)
		d.chat.refuse(d.user, a.Err)
	} else {
		d.acked.Add(1)
		d.lastAck.Store(now)
		d.chat.acked.record(d.user, now-a.Tag.due)
	}
	d.bodies = append(d.bodies, a.Tag.body)
}

// topUp keeps the window full when there is no rate to follow.
func (d *linkDevice) topUp() {
	if !d.begun || d.chat.cfg.Rate > 0 {
		return
	}
	for d.core.Unanswered() < d.chat.cfg.Window && d.next(d.chat.now()) {
	}
}

// next puts the next message into the outbox.
func (d *linkDevice) next(due int64) bool {
	if d.plan == nil || d.chat.over.Load() {
		return false
	}
	friend, ordinal, ok := d.plan.next()
	if !ok {
		return false
	}
	var body []byte
	if n := len(d.bodies); n > 0 {
		body, d.bodies = d.bodies[n-1], d.bodies[:n-1]
	} else {
		body = make([]byte, d.chat.cfg.Body)
	}
	s := d.chat.stamp(d.user, friend, ordinal, due)
	s.encode(body)
	content := im.Content{Type: im.ContentCustom, Body: body}
	if err := d.core.Send(d.ledger.ids[friend], content, handed{due, body}); err != nil {
		d.chat.failed.fail(err)
		return false
	}
	d.sent.Add(1)
	return true
}

// flush writes what is to be written.
func (d *linkDevice) flush() {
	if d.conn == nil {
		return
	}
	d.resume()
	for {
		d.out = d.core.AppendFrames(d.out[:0], writeSize)
		if d.core.AckDue() {
			d.out = d.core.AppendAck(d.out)
		}
		if len(d.out) == 0 || !d.write() {
			return
		}
	}
}

// write writes out; the reader hears of failures.
func (d *linkDevice) write() bool {
	d.lastWrite = d.chat.now()
	if d.conn.Write(d.out) != nil {
		_ = d.conn.Close()
		return false
	}
	return true
}

// resume goes on after a server was busy, in time.
func (d *linkDevice) resume() {
	ms, attempt, held := d.core.Hold()
	switch now := d.chat.now(); {
	case !held:
		d.resumeAt = 0
	case d.resumeAt == 0:
		d.resumeAt = now + int64(backoff(attempt-1, time.Duration(ms)*time.Millisecond))
	case now >= d.resumeAt:
		d.resumeAt = 0
		d.core.Resume()
	}
}

func (d *linkDevice) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begun = true
	d.topUp()
	d.flush()
}

func (d *linkDevice) hand(due int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.next(due)
}

func (d *linkDevice) push() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flush()
}

// tick acknowledges what is left over, goes on after a server was busy, and
// looks after a quiet link.
func (d *linkDevice) tick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == nil {
		return
	}
	d.flush()
	now := d.chat.now()
	d.out = d.core.AppendAck(d.out[:0])
	switch quiet := time.Duration(now - min(d.lastRead, d.lastWrite)); {
	case time.Duration(now-d.lastRead) > deadAfter:
		_ = d.conn.Close()
		return
	case quiet > quietAfter:
		d.out = wire.AppendPing(d.out)
	}
	if len(d.out) > 0 {
		d.write()
	}
}

// goodbye ends the link in order.
func (d *linkDevice) goodbye() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == nil {
		return
	}
	d.out = d.core.AppendAck(d.out[:0])
	frame, err := wire.AppendMessage(d.out, wire.TypeClose, &skeinv1.Close{Code: skeinv1.CloseCode(im.CloseNormal)})
	if err == nil {
		err = d.conn.Write(frame)
	}
	if err = errors.Join(err, d.conn.Close()); err != nil && !errors.Is(err, io.EOF) {
		d.chat.say("user %d: closing the link: %v", d.user, err)
	}
}
