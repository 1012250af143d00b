//go:build linux

package evloop

import "sync"

// inbox carries requests from other goroutines to a loop, in order. The loop
// takes everything at once, and works it off a slice a turn; it is woken only
// when it sleeps, and once for however many requests.
type inbox struct {
	mu    sync.Mutex
	ops   []op
	bytes []byte
	// leftOps and leftBytes are what of the batch was left last turn.
	leftOps, leftBytes int
	asleep, closed     bool

	// batch is what the loop has taken, next the first that is not done,
	// batchBytes the bytes from there on. They are the loop's alone.
	batch      []op
	next       int
	batchBytes []byte
	// spareBytes is the whole array of batchBytes.
	spareBytes []byte
}

// inboxSlice is how many requests a turn works off.
const inboxSlice = 1000

// op is a request: to run fn, or to write the next size bytes of the inbox to
// conn.
type op struct {
	fn   func()
	conn *Conn
	size int
}

// How many bytes and requests an inbox keeps room for when it needs less.
const (
	keepInboxBytes = 64 << 10
	keepInboxOps   = 4 << 10
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
	if !forced && len(b.ops)+b.leftOps >= l.cfg.MaxInbox {
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
	if len(b.ops)+b.leftOps >= l.cfg.MaxInbox || len(b.bytes)+b.leftBytes+len(p) > l.cfg.MaxInboxBytes {
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

// takeInbox works off a slice of what is in the inbox, and reports whether
// there is more of what it has taken.
func (l *Loop) takeInbox() (more bool) {
	b := &l.inbox
	if b.next == len(b.batch) {
		b.refill()
	}
	end := min(b.next+inboxSlice, len(b.batch))
	for ; b.next < end; b.next++ {
		o := &b.batch[b.next]
		if o.fn != nil {
			o.fn()
		} else {
			o.conn.sent(b.batchBytes[:o.size])
			b.batchBytes = b.batchBytes[o.size:]
		}
		*o = op{}
	}
	left := len(b.batch) - b.next
	if left != b.leftOps {
		b.mu.Lock()
		b.leftOps, b.leftBytes = left, len(b.batchBytes)
		b.mu.Unlock()
	}
	return left > 0
}

// refill takes what has come, in exchange for the arrays of the last batch.
func (b *inbox) refill() {
	ops, bytes := keep(b.batch, keepInboxOps), keep(b.spareBytes, keepInboxBytes)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.batch, b.next, b.ops = b.ops, 0, ops
	b.batchBytes, b.spareBytes, b.bytes = b.bytes, b.bytes, bytes
	b.asleep = false
}

// keep lets go of an array that was mostly empty, unless it is small.
func keep[T any](s []T, small int) []T {
	if cap(s) > small && len(s) < cap(s)/4 {
		return nil
	}
	return s[:0]
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
	return len(l.inbox.ops) + l.inbox.leftOps
}
