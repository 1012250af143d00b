//go:build linux

package swarm

import (
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// The identifier of a shake says when it was due, in microseconds since the
// start of the load, and has a check over that, the load and the connection.
const checkBits = 16

func (m *member) shakeID(cl *client, due int64) uint64 {
	us := uint64(due-m.load.order.Start) / 1000
	x := (us<<8 ^ uint64(m.load.turn)<<40 ^ uint64(cl.index)) * 0x9e3779b97f4a7c15
	return us<<checkBits | x>>(64-checkBits)
}

// shake sends a shake that was due at a time.
func (m *member) shake(cl *client, due, now int64) {
	s := &m.status.Load
	if p := cl.purse; p != nil && now < p.resume {
		s.Held++
		return
	}
	cl.pings++
	s.Sent++
	s.Open++
	m.second(now).Sent++
	m.out = wire.AppendShakeFrame(m.out[:0], &wire.Shake{ID: m.shakeID(cl, due), Campaign: m.load.order.Campaign})
	m.put(cl, m.out)
}

// shaken takes the answer to a shake.
func (m *member) shaken(cl *client, payload []byte, now int64) {
	var a wire.Shaken
	if cl.state != live || a.Unmarshal(payload) != nil {
		m.fail(cl, "an answer to a shake that is not one")
		return
	}
	due := m.load.order.Start + int64(a.ID>>checkBits)*1000
	switch {
	case a.ID != m.shakeID(cl, due):
		m.wrong("an answer to another shake, or too late")
		return
	case cl.pings == 0:
		m.wrong("an answer to a shake too many")
		return
	}
	cl.pings--
	m.status.Load.Open--
	m.outcome(cl, &a, due, now)
}

func (m *member) outcome(cl *client, a *wire.Shaken, due, now int64) {
	s := &m.status.Money
	switch a.Outcome {
	case im.ShakeNothing:
		s.Nothing++
	case im.ShakeWon:
		s.Won++
		s.WonCents += a.Cents
		m.purse(cl).won += a.Cents
		m.second(now).Won++
		record(m.wins, now-due)
	case im.ShakeLimit:
		s.Limited++
	case im.ShakeClosed:
		s.Closed++
	case im.ShakeBusy:
		s.Busy++
		m.status.Load.Shed++
		p := m.purse(cl)
		p.unsure = true
		wait := int64(max(a.RetryAfterMS, 1)) * int64(time.Millisecond)
		p.resume = now + wait + m.rng.Int64N(wait)
		return
	default:
		m.wrong("a shake with an outcome that there is not")
		m.status.Load.Refused++
		return
	}
	m.answered(due, now)
}
