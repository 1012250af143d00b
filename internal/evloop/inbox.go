//go:build linux

package evloop

import "sync"

// inbox carries requests from other goroutines to a loop, in order. The loop
// takes everything at once; it is woken only when it sleeps, and once for
// however many requests.
type inbox struct {
	mu sync.Mutex
	ops,
	// spareOps and spareBytes are the arrays that the loop worked off last.
	spareOps []op
	bytes, spareBytes []byte
	asleep, closed    bool
}

// op is a request: to run fn, or to write the next size bytes of the inbox to
// conn.
type op struct {
	fn   func()
	conn *Conn
	size int
}

// How many bytes and requests an inbox keeps room for.
const (
	keepBytesRoom = 256 << 10
	keepOpsRoom   = 8 << 10
)

// post queues a function. Forced ones are taken regardless of the bound; there
// are few of them.
func (l *Loop) post(fn func(), forced bool) error {
	b := &l.inbox
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	if !forced && len(b.ops) >= l.cfg.MaxInbox {
		b.mu.Unlock()
		return ErrBusy
	}
	b.ops = append(b.ops, op{fn: fn})
	l.unlockAndWake()
	return nil
}

// postBytes queues a write.
func (l *Loop) postBytes(c *Conn, p []byte) error {
	b := &l.inbox
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	if len(b.ops) >= l.cfg.MaxInbox || len(b.bytes)+len(p) > l.cfg.MaxInboxBytes {
		b.mu.Unlock()
		return ErrBusy
	}
	b.ops = append(b.ops, op{conn: c, size: len(p)})
	b.bytes = append(b.bytes, p...)
	l.unlockAndWake()
	return nil
}

func (l *Loop) unlockAndWake() {
	wake := l.inbox.asleep
	l.inbox.asleep = false
	l.inbox.mu.Unlock()
	if wake {
		l.poller.wake()
	}
}

// takeInbox works off what is in the inbox.
func (l *Loop) takeInbox() {
	b := &l.inbox
	b.mu.Lock()
	ops, bytes := b.ops, b.bytes
	b.ops, b.bytes = b.spareOps[:0], b.spareBytes[:0]
	b.asleep = false
	b.mu.Unlock()
	rest := bytes
	for i := range ops {
		o := &ops[i]
		if o.fn != nil {
			o.fn()
		} else {
			o.conn.sent(rest[:o.size])
			rest = rest[o.size:]
		}
		*o = op{}
	}
	if cap(bytes) > keepBytesRoom || cap(ops) > keepOpsRoom {
		ops, bytes = nil, nil
	}
	b.spareOps, b.spareBytes = ops, bytes
}

// fallAsleep reports whether the inbox is empty; if it is, the next request
// wakes the loop.
func (l *Loop) fallAsleep() bool {
	b := &l.inbox
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asleep = len(b.ops) == 0
	return b.asleep
}

// closeInbox refuses requests from now on.
func (l *Loop) closeInbox() {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	l.inbox.closed = true
}

// waiting is how many requests the inbox has.
func (l *Loop) waiting() int {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	return len(l.inbox.ops)
}
