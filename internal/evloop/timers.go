//go:build linux

package evloop

import (
	"math"
	"time"
)

// maxTimer is the longest time that is told apart, three years.
const maxTimer = tickLength << 30

// ticks is how many ticks a time takes, rounded up.
func ticks(d time.Duration) uint32 {
	return uint32((min(d, maxTimer) + tickLength - 1) / tickLength)
}

// after is the first tick that begins at least d after the turn.
func (l *Loop) after(d time.Duration) uint32 {
	// The turn began somewhere within its tick.
	return l.tick + ticks(d) + 1
}

// due is the tick at which something is to be done about a connection, 0 if at
// none.
func (c *Conn) due() uint32 {
	due := c.deadline
	if b := c.busy; b != nil && b.stallBy != 0 && (due == 0 || b.stallBy < due) {
		due = b.stallBy
	}
	return due
}

// schedule makes sure that the wheel brings the connection up in time. It
// leaves an earlier moment as it is: when that comes, it is put back. So data
// that arrives moves a deadline by writing a number.
func (c *Conn) schedule() {
	if c.state == closed {
		return
	}
	due := c.due()
	when := c.loop.table.at(c.slot).when
	if due != 0 && (when == 0 || due < when) {
		c.loop.wheel.set(c.slot, due)
	}
}

// At runs fn in the first turn that begins at a time or later, in place of what
// At was to run before. It is for the loop's goroutine, and more exact than the
// timers of connections.
func (l *Loop) At(t time.Time, fn func()) { l.alarm, l.alarmAt = fn, t }

// ring runs what At has set, if it is time. What that sets in turn is for a
// later one.
func (l *Loop) ring() {
	if l.late() {
		fn := l.alarm
		l.alarm = nil
		fn()
	}
}

// late reports whether it was time for the alarm when the turn began.
func (l *Loop) late() bool { return l.alarm != nil && !l.now.Before(l.alarmAt) }

// timers works off what the wheel brings up.
func (l *Loop) timers() {
	if l.tick == l.wheel.now {
		return
	}
	l.wheel.advance(l.tick, func(slot int32) { l.table.at(slot).conn.expire() })
	for _, a := range l.listeners {
		l.retryAccept(a)
	}
}

// expire sees what of a connection is over.
func (c *Conn) expire() {
	tick := c.loop.tick
	if b := c.busy; b != nil && b.stallBy != 0 && b.stallBy <= tick {
		c.end(ErrStalled)
		return
	}
	if c.deadline != 0 && c.deadline <= tick {
		c.deadline, c.idle = 0, 0
		switch c.state {
		case connecting, handshaking:
			c.end(ErrTimeout)
		case closing:
			c.end(nil)
		case open:
			c.loop.handler.Timeout(c)
		}
	}
	c.schedule()
}

// arm sets the timer of the poller. One that is early is left as it is.
func (l *Loop) arm() {
	next, ok := l.wheel.next()
	for _, a := range l.listeners {
		if a.retryAt != 0 && (!ok || a.retryAt < next) {
			next, ok = a.retryAt, true
		}
	}
	at := never
	if ok {
		at = time.Duration(next) * tickLength
	}
	if l.alarm != nil {
		at = min(at, l.alarmAt.Sub(l.started))
	}
	if at < l.armed {
		l.armed = at
		l.poller.wakeAt(l.started.Add(at))
	}
}

// never is an armed that comes after everything else.
const never = time.Duration(math.MaxInt64)
