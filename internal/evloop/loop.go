//go:build linux

package evloop

import (
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// tickLength is the resolution of timers.
	tickLength = 100 * time.Millisecond
	// readSize is the most that is read from a connection in a turn.
	readSize = 64 << 10
	// plainSize is how many bytes out of TLS are handed over at once.
	plainSize = 32 << 10
)

// Loop owns connections: all that happens to them happens on its goroutine.
type Loop struct {
	engine  *Engine
	cfg     *Config
	handler Handler
	poller  *poller
	table   *table
	wheel   *wheel
	budget  *Budget
	buffers buffers
	inbox   inbox
	stats   counters

	started time.Time
	// now is when the turn began, tick the same in ticks since started.
	now  time.Time
	tick uint32
	// alarm is to run at alarmAt; nil: nothing is.
	alarm   func()
	alarmAt time.Time
	// armed is when the poller wakes the loop, after started.
	armed time.Duration

	// peer is where the last connection that was accepted comes from.
	peer unix.RawSockaddrAny
	// buf is what connections are read into, plain what TLS makes of it.
	buf, plain []byte
	// again are connections that have more to read than a turn takes, or
	// something to do that no event will tell of.
	again []*Conn
	// dirty are connections with something to write.
	dirty []*Conn
	// ended are connections to be closed at the end of the turn, when no
	// event of the turn can be for them any more.
	ended     []ending
	walks     []*walk
	listeners []*acceptor
	tls       handshakes
	// more: the kernel has more events than the turn took. unread: so has
	// the inbox.
	more, unread bool
	// walking counts walks, and those in the inbox.
	walking  atomic.Int32
	stopping bool
	done     chan struct{}
}

func newLoop(e *Engine) (*Loop, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	t := newTable()
	now := time.Now()
	budget := NewBudget(e.cfg.MaxLoopBytes, e.cfg.Budget)
	return &Loop{
		engine: e, cfg: &e.cfg, handler: e.cfg.Handler,
		poller: p, table: t, wheel: newWheel(t), budget: budget, buffers: buffers{budget: budget},
		started: now, now: now,
		buf:  make([]byte, readSize),
		done: make(chan struct{}),
	}, nil
}

// Now is when the loop's turn began. It is for the loop's goroutine.
func (l *Loop) Now() time.Time { return l.now }

// Budget counts what the loop holds for its connections. A handler that keeps
// bytes of its own for them adds these.
func (l *Loop) Budget() *Budget { return l.budget }

// Post runs fn on the loop, after what was requested before. It fails with
// ErrBusy when the inbox is full and with ErrClosed after Shutdown; otherwise
// fn runs. It is safe for concurrent use.
func (l *Loop) Post(fn func()) error { return l.post(fn, false) }

// run is the loop's goroutine.
func (l *Loop) run() {
	defer close(l.done)
	for !l.finished() {
		// With the old deadline, wait would return before the first turn.
		l.armed = never
		l.poller.wakeAt(time.Time{})
		if err := l.poller.wait(l.work); err != nil {
			panic(fmt.Sprintf("evloop: waiting for events: %v", err))
		}
	}
	l.closeInbox()
	for l.waiting() > 0 {
		l.takeInbox()
	}
	for len(l.walks) > 0 {
		l.walk()
	}
	l.closeEnded()
	l.budget.lease()
	l.poller.close()
}

func (l *Loop) finished() bool { return l.stopping && l.table.used == 0 }

// work takes turns until there is nothing to do. It reports whether the loop
// has come to its end.
func (l *Loop) work() (end bool) {
	for {
		l.turn()
		if l.finished() {
			return true
		}
		if l.more || l.unread || l.late() || len(l.again)+len(l.dirty)+len(l.walks)+len(l.tls.ready) > 0 {
			continue
		}
		// Whoever wakes the loop does so after it has fallen asleep, and
		// so after the timer is set.
		l.arm()
		if l.fallAsleep() {
			return false
		}
	}
}

// turn does a bounded piece of whatever there is to do. What it produces for a
// connection leaves in one go at its end.
func (l *Loop) turn() {
	l.stats.turns.Add(1)
	l.now = time.Now()
	l.tick = uint32(l.now.Sub(l.started) / tickLength)
	l.events()
	l.readAgain()
	l.stepHandshakes()
	l.unread = l.takeInbox()
	l.walk()
	l.timers()
	l.ring()
	l.flushAll()
	l.closeEnded()
}

// events works off what the kernel tells.
func (l *Loop) events() {
	events, err := l.poller.poll()
	if err != nil {
		panic(fmt.Sprintf("evloop: taking events: %v", err))
	}
	l.more = len(events) == maxEvents
	for i := range events {
		ev := &events[i]
		if ev.Fd < 0 {
			l.accept(^ev.Fd)
		} else if c := l.table.find(ev.Fd, uint32(ev.Pad)); c != nil {
			c.event(ev.Events)
		} else {
			l.stats.stale.Add(1)
		}
	}
}

// readAgain goes on with the connections that the turn before had to leave.
func (l *Loop) readAgain() {
	conns := l.again
	l.again = nil
	for i, c := range conns {
		c.flags &^= inAgain
		c.proceed()
		conns[i] = nil
	}
	if l.again == nil {
		l.again = conns[:0]
	}
}

// flushAll writes what the turn has produced. What Drained adds is for the
// next turn.
func (l *Loop) flushAll() {
	conns := l.dirty
	l.dirty = nil
	for i, c := range conns {
		c.flags &^= inDirty
		c.flush()
		conns[i] = nil
	}
	if l.dirty == nil {
		l.dirty = conns[:0]
	}
}

// add makes a connection of a socket and watches it. If that fails, the socket
// is closed, the handler told, and the result nil.
func (l *Loop) add(fd int, state state, opts *Options) *Conn {
	c := &Conn{loop: l, value: opts.Value, fd: int32(fd), state: state}
	c.slot = l.table.alloc(c)
	if err := l.poller.add(fd, interest, c.slot, l.table.at(c.slot).gen); err != nil {
		l.table.release(c.slot)
		unix.Close(fd)
		l.fail(opts.Value, err)
		return nil
	}
	return c
}

// fail tells the handler of a connection that came to nothing.
func (l *Loop) fail(value any, err error) {
	l.engine.open.Add(-1)
	l.stats.failed.Add(1)
	l.handler.Failed(&Conn{loop: l, value: value, fd: -1, state: closed}, err)
}

// adopt takes over a socket for Engine.Adopt.
func (l *Loop) adopt(fd int, early []byte, opts Options) {
	c := l.add(fd, handshaking, &opts)
	if c == nil {
		return
	}
	if opts.TLS != nil && len(early) > 0 {
		c.need().in = append(l.buffers.get(len(early)), early...)
		c.later()
	}
	c.establish(&opts)
	if c.state == open && len(early) > 0 {
		c.received(early)
	}
}

// do runs fn on the loop and waits for that, unless the loop is gone.
func (l *Loop) do(fn func()) {
	done := make(chan struct{})
	if l.post(func() { fn(); close(done) }, true) == nil {
		<-done
	}
}

// closeAll cuts every connection, and counts them.
func (l *Loop) closeAll() (cut int) {
	for slot := range l.table.size {
		if c := l.table.at(slot).conn; c != nil {
			c.end(ErrShutdown)
			cut++
		}
	}
	return cut
}
