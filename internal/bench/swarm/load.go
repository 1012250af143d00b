//go:build linux

package swarm

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/skein-im/skein/internal/wire"
)

// load is what requests are sent at present.
type load struct {
	order    Load
	schedule schedule
	// next is the first request that has not been sent.
	next uint64
	// turn tells the requests of this load from those of the last one.
	turn uint32
}

const (
	// closedTick is how often a closed loop looks after devices that were
	// held up.
	closedTick = 10 * time.Millisecond
	// turnRequests is how many requests are sent before the loop gets to
	// write them, so that the lateness of the generator shows.
	turnRequests = 256
)

func (m *member) startLoad(o Load) {
	l := &m.load
	l.order, l.next = o, 0
	if o.Window <= 0 || o.Window > maxPings {
		l.order.Window = maxPings
	}
	l.turn++
	if o.Rate > 0 {
		l.schedule = newSchedule(&m.job, &o)
	}
	m.seconds = nil
	m.status.Load = LoadStatus{Running: 1}
	m.status.Load.Open = m.calls.sending
	for i := range m.clients {
		m.clients[i].pings = 0
		if t := m.clients[i].talk; t != nil {
			m.status.Load.Open += t.open
		}
	}
}

// changeRate changes the rate of a load that runs.
func (m *member) changeRate(r Rate) {
	if m.status.Load.Running == 1 && m.load.order.Rate > 0 {
		m.load.schedule.change(r.At, r.Rate)
	}
}

// request sends the requests that are due.
func (m *member) request(now int64) (next int64) {
	l := &m.load
	switch {
	case m.status.Load.Running == 0:
		return never
	case now < l.order.Start:
		return l.order.Start
	case l.order.Rate > 0:
		return m.openLoop(now)
	case now >= l.order.end():
		m.status.Load.Running = 0
		return never
	}
	for i := range m.active() {
		m.topUp(&m.clients[i], now)
	}
	return now + int64(closedTick)
}

// active is how many clients take part in a closed loop.
func (m *member) active() int { return min(m.load.order.Active, len(m.clients)) }

// openLoop sends requests whose time has come.
func (m *member) openLoop(now int64) (next int64) {
	l := &m.load
	for range turnRequests {
		if _, ok := l.schedule.number(l.next); !ok {
			m.status.Load.Running = 0
			return never
		}
		due := l.schedule.due(l.next)
		if due > now {
			return due
		}
		m.issue(&m.clients[l.schedule.conn(l.next)], due, now)
		record(m.lateness, m.clock.now()-due)
		l.next++
	}
	return now
}

// topUp keeps a client of a closed loop busy.
func (m *member) topUp(cl *client, now int64) {
	if m.load.order.Rate > 0 || now >= m.load.order.end() || int(cl.index) >= m.active() {
		return
	}
	for cl.state == live && cl.open() < m.load.order.Depth && (cl.talk == nil || cl.talk.free(now)) {
		m.issue(cl, now, now)
	}
}

// open is how many requests of a client are unanswered.
func (cl *client) open() int {
	if cl.talk != nil {
		return cl.talk.open
	}
	return int(cl.pings)
}

// issue sends a request that was due at a time.
func (m *member) issue(cl *client, due, now int64) {
	s := &m.status.Load
	s.Due++
	switch {
	case m.load.order.What == Envelopes:
		m.sendEnvelope(cl, due, now)
	case cl.state != live:
		s.Offline++
	case m.load.order.What == Sends:
		m.send(cl, due, now)
	case int(cl.pings) >= m.load.order.Window:
		s.Full++
	case m.load.order.What == Shakes:
		m.shake(cl, due, now)
	default:
		m.ping(cl, due)
	}
}

// answered accounts for a request that was done.
func (m *member) answered(due, now int64) {
	s := &m.status.Load
	s.Answered++
	if now <= m.load.order.end() {
		s.InTime++
	}
	m.second(now).Answered++
	record(m.latency, now-due)
}

// maxPings is the most requests of a connection that may be unanswered.
const maxPings = 1<<16 - 1

// A request carries when it was due, for which load and connection it is, and
// a checksum.
const (
	pingSize = 8 + 4 + 4 + 4
	pingSum  = pingSize - 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (m *member) ping(cl *client, due int64) {
	var b [pingSize]byte
	binary.LittleEndian.PutUint64(b[:], uint64(due))
	binary.LittleEndian.PutUint32(b[8:], m.load.turn)
	binary.LittleEndian.PutUint32(b[12:], cl.index)
	binary.LittleEndian.PutUint32(b[pingSum:], crc32.Checksum(b[:pingSum], castagnoli))
	cl.pings++
	m.status.Load.Sent++
	m.status.Load.Open++
	m.out = wire.AppendFrame(m.out[:0], wire.TypePing, b[:])
	m.put(cl, m.out)
}

// pinged takes the answer to a request.
func (m *member) pinged(cl *client, b []byte, now int64) {
	switch {
	case len(b) != pingSize || binary.LittleEndian.Uint32(b[pingSum:]) != crc32.Checksum(b[:pingSum], castagnoli) ||
		binary.LittleEndian.Uint32(b[12:]) != cl.index:
		m.wrong("a pong with other bytes than the ping's")
		return
	case binary.LittleEndian.Uint32(b[8:]) != m.load.turn:
		m.wrong("a pong that came too late")
		return
	case cl.pings == 0:
		m.wrong("a pong too many")
		return
	}
	cl.pings--
	m.status.Load.Open--
	m.answered(int64(binary.LittleEndian.Uint64(b)), now)
	m.topUp(cl, now)
}
