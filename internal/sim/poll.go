package sim

import (
	"time"

	"github.com/skein-im/skein/internal/im"
)

// poll is a long poll over HTTP: a session beside the device's link, which
// says what the device has when it begins and acknowledges nothing after.
type poll struct {
	w    *world
	dev  *device
	core *core
	id   im.SessionID
	// next is the entry that is due; total counts those that came.
	next  im.Seq
	total int
}

// poll looks for news beside the device's link.
func (d *device) poll() {
	w := d.w
	n := w.gateways[w.rng.IntN(len(w.gateways))].nodeOf(d.user.addr)
	cursor, known := d.core.Cursor()
	if !n.up || !known || d.gone {
		return
	}
	w.sessions++
	p := &poll{w: w, dev: d, core: n.coreOf(d.user.addr.Slot()), id: w.sessions, next: cursor + 1}
	w.after(w.between(0, w.plan.lag), func() {
		cmd := &im.Attach{Device: d.id, TokenHash: d.token, Cursor: &cursor, Session: p.id, Sink: p, Poll: true}
		w.submit(p.core, d.user.addr, cmd, p.attached)
		w.after(w.between(0, 3*time.Second), p.end)
	})
}

func (p *poll) attached(res im.Result, err error) {
	p.w.logf("session %d of %v: polls after %d: %+v, %v", p.id, p.dev, p.next-1, res, err)
	kind := im.KindOf(err)
	if err != nil && !kind.Temporary() && !(kind == im.Unauthenticated && p.dev.revoking) {
		p.w.fail("%v cannot poll: %v", p.dev, err)
	}
}

// end gives up waiting.
func (p *poll) end() {
	if !p.core.dead {
		p.w.submit(p.core, p.dev.user.addr, &im.Detach{Session: p.id}, func(im.Result, error) {})
	}
}

// Deliver implements im.Sink.
func (p *poll) Deliver(first, last im.Seq, entries [][]byte) {
	p.w.logf("session %d of %v: deliver %d..%d", p.id, p.dev, first, last)
	if p.w.ledger(p.dev.user.addr).checkGone(p.dev, first, last, entries) {
		p.next, p.total = last+1, 0
		return
	}
	p.total += len(entries)
	if first != p.next || p.total > max(1, p.w.plan.core.WindowEntries) {
		p.w.fail("session %d: entries %d..%d where %d was due; %d without an ack", p.id, first, last, p.next, p.total)
	}
	p.next = last + 1
	for i, e := range entries {
		p.w.ledger(p.dev.user.addr).checkVisible(p.dev, first+im.Seq(i), e)
	}
}

// Kick implements im.Sink.
func (p *poll) Kick(code im.CloseCode, reason string) {
	p.w.logf("session %d of %v: kicked: %d %s", p.id, p.dev, code, reason)
	if code == im.CloseReplaced {
		p.w.fail("a poll of %v was replaced", p.dev)
	}
}
