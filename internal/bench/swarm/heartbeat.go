//go:build linux

package swarm

import (
	"time"

	"github.com/skein-im/skein/internal/wire"
)

// heartbeats come up as devices do: an interval after each was connected, and
// again after each further one. A cursor goes through all clients in the order in
// which they were.
type heartbeats struct {
	// begun is when connecting each beatChunk clients began.
	begun []int64
	// next is the client whose turn it is, round how many each before it has
	// had more than those behind.
	next, round int
	// resting: none are sent any more.
	resting bool
}

const (
	beatTick  = 20 * time.Millisecond
	beatChunk = 64
	maxBeats  = 1<<8 - 1
)

var heartbeat = wire.AppendPing(nil)

// beat sends the heartbeats that are due.
func (m *member) beat(now int64) (next int64) {
	if m.status.HeartbeatMS == 0 || m.beats.resting {
		return never
	}
	h := &m.beats
	interval := int64(m.status.HeartbeatMS) * int64(time.Millisecond)
	for chunk := h.next / beatChunk; chunk < len(h.begun); chunk = h.next / beatChunk {
		if due := h.begun[chunk] + int64(h.round+1)*interval; due > now {
			return max(due, now+int64(beatTick))
		}
		m.beatOne(&m.clients[h.next])
		if h.next++; h.next == len(m.clients) {
			h.next, h.round = 0, h.round+1
		}
	}
	return now + int64(beatTick)
}

// dialed notes that a client is connected for the first time.
func (h *heartbeats) dialed(client int, now int64) {
	if client%beatChunk == 0 {
		h.begun = append(h.begun, now)
	}
}

// beatOne sends a heartbeat. One whose answer has not come by the next is
// missed.
func (m *member) beatOne(cl *client) {
	if cl.state != live {
		return
	}
	switch cl.beats {
	case 0:
		m.status.BeatsOpen++
	case maxBeats:
		// Something is very wrong, and known by now.
		m.status.BeatsMissed++
		return
	default:
		m.status.BeatsMissed++
	}
	cl.beats++
	m.status.BeatsSent++
	m.put(cl, heartbeat)
}

// pong takes the answer to a heartbeat, or to a request, which has bytes.
func (m *member) pong(cl *client, payload []byte, now int64) {
	switch {
	case cl.state != live:
		m.fail(cl, "a pong before welcome")
	case len(payload) > 0:
		m.pinged(cl, payload, now)
	case cl.beats > 0:
		if cl.beats--; cl.beats == 0 {
			m.status.BeatsOpen--
		}
	default:
		m.wrong("a pong that brings nothing back")
	}
}
