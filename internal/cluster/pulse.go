package cluster

import (
	"time"

	"github.com/skein-im/skein/internal/im"
)

// A record that is not refreshed says after a TTL that its node is gone. That is
// long for a process that has died, and the shortest that is safe for one that is
// only slow. What tells them apart is somebody else: the system of a process that
// is there takes connections for it, however slow it is, and that of one that has
// died refuses them. Either alone may be a mistake, of a store that is away or of
// an address that is wrong; both together are believed.

// pulse is when a member's record was last seen to have been refreshed.
type pulse struct {
	started im.Millis
	beat    uint64
	at      time.Time
	// gone: the member counts as gone already.
	gone bool
}

// hasteEvery is how often records are read while one of them is overdue.
const hasteEvery = 100 * time.Millisecond

// silence is after how long without a refresh a node is believed to be gone whose
// address refuses connections.
func (m *Membership) silence() time.Duration { return 2 * m.cfg.Every }

// Refused says whether the last attempt to connect to a node's mailboxes was
// refused: nobody listens there.
func (m *Membership) Refused(node string, refused bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if refused {
		m.refused[node] = true
	} else {
		delete(m.refused, node)
	}
}

// feel notes whose record has been refreshed, and leaves out those that count as
// gone before it has expired.
func (m *Membership) feel(members []Member, now time.Time) (living []Member) {
	pulses := make(map[string]pulse, len(members))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.overdue = false
	for _, o := range members {
		p := m.pulses[o.Node]
		if p.started != o.Started || p.beat != o.Beat || p.at.IsZero() {
			p = pulse{started: o.Started, beat: o.Beat, at: now}
		}
		// Nodes of earlier versions do not say when they refresh their records.
		quiet, refused := now.Sub(p.at), m.refused[o.Node]
		beats := o.Beat != 0 && o.Node != m.self.Node
		m.overdue = m.overdue || beats && (quiet >= m.silence() || quiet >= m.cfg.Every && refused)
		gone := beats && quiet >= m.silence() && refused && !now.Before(m.forgive)
		if gone && !p.gone {
			m.cfg.Logger.Warn("a node refuses connections and does not refresh its record; it counts as gone", "node", o.Node)
		}
		p.gone = gone
		pulses[o.Node] = p
		if !gone {
			living = append(living, o)
		}
	}
	m.pulses = pulses
	return living
}

// haste is when to read the records again before it is time: one is overdue, so it
// may expire at any moment. stop ends the wait.
func (m *Membership) haste() (soon <-chan time.Time, stop func() bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.overdue {
		return nil, func() bool { return true }
	}
	timer := time.NewTimer(hasteEvery)
	return timer.C, timer.Stop
}
