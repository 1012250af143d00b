//go:build linux

package swarm

import (
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// timeline is how far a device has come in what it receives: received is the
// last entry that came, acked the last that the server was told of, ahead what
// would follow an entry beyond a gap.
type timeline struct{ received, acked, ahead im.Seq }

const (
	// ackEntries is how many entries are acknowledged at once, ackEvery how
	// long the last ones wait.
	ackEntries = 64
	ackEvery   = time.Second
)

// again begins a connection.
func (t *timeline) again() { t.acked, t.ahead = 0, 0 }

// deliver takes entries of the timeline.
func (m *member) deliver(cl *client, payload []byte, now int64) {
	var t *timeline
	switch {
	case cl.talk != nil:
		t = &cl.talk.timeline
	case m.job.Money:
		t = &m.purse(cl).timeline
	default:
		// Somebody has written to a device that only waits.
		return
	}
	err := wire.RangeDeliver(payload, func(b []byte) error {
		var e wire.Entry
		if err := e.Unmarshal(b); err != nil {
			return err
		}
		if e.Kind == wire.EntryGone {
			t.received, t.ahead = max(t.received, e.Seq), 0
			return nil
		}
		if m.arrived(cl, t, e.Seq) {
			m.entry(cl, &e, now)
		}
		return nil
	})
	if err != nil {
		m.fail(cl, "a malformed delivery")
		return
	}
	if t.received >= t.acked+ackEntries {
		m.ack(cl, t)
	}
}

// arrived notes an entry of the timeline and reports whether it was the next
// one. Of those beyond a gap the first one asks for what is missing.
func (m *member) arrived(cl *client, t *timeline, seq im.Seq) bool {
	switch {
	case seq <= t.received:
		return false
	case seq == t.received+1:
		t.received, t.ahead = seq, 0
		return true
	case seq != t.ahead:
		m.out = wire.AppendPullFrame(m.out[:0], &wire.Pull{Seq: t.received})
		m.put(cl, m.out)
	}
	t.ahead = seq + 1
	return false
}

// entry takes what is new in a timeline.
func (m *member) entry(cl *client, e *wire.Entry, now int64) {
	if cl.talk != nil {
		m.message(cl, e)
		return
	}
	m.money(cl, e, now)
}

func (m *member) ack(cl *client, t *timeline) {
	t.acked = t.received
	m.out = wire.AppendAckFrame(m.out[:0], &wire.Ack{Seq: t.acked})
	m.put(cl, m.out)
}

// acknowledge tells the server now and then what has come.
func (m *member) acknowledge(now int64) {
	if !m.job.Sends && !m.job.Money || now < m.ackAt {
		return
	}
	m.ackAt = now + int64(ackEvery)
	for i := range m.clients {
		cl := &m.clients[i]
		if t := cl.timeline(); cl.state == live && t != nil && t.received > t.acked {
			m.ack(cl, t)
		}
	}
}

// timeline is nil for a device to which nothing has come.
func (cl *client) timeline() *timeline {
	switch {
	case cl.talk != nil:
		return &cl.talk.timeline
	case cl.purse != nil:
		return &cl.purse.timeline
	}
	return nil
}
