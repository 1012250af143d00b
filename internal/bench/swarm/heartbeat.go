//go:build linux

package swarm

import (
	"time"

	"github.com/skein-im/skein/internal/wire"
)

// heartbeats come up evenly: a cursor goes once through all clients in each
// interval.
type heartbeats struct {
	start int64
	// done is how many clients have come up since start.
	done int64
	// resting: none are sent any more.
	resting bool
}

const (
	beatTick = 100 * time.Millisecond
	maxBeats = 1<<8 - 1
)

var heartbeat = wire.AppendPing(nil)

// beat sends the heartbeats that are due.
func (m *member) beat(now int64) (next int64) {
	if m.status.HeartbeatMS == 0 || m.beats.resting {
		return never
	}
	h := &m.beats
	if h.start == 0 {
		h.start = now
	}
	clients := int64(len(m.clients))
	interval := int64(m.status.HeartbeatMS) * int64(time.Millisecond)
	for due := (now - h.start) * clients / interval; h.done < due; h.done++ {
		m.beatOne(&m.clients[h.done%clients])
	}
	return now + int64(beatTick)
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
	_ = cl.conn.Write(heartbeat) // If that fails, Closed follows.
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
