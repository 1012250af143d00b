//go:build linux

package evloop

import "sync"

// inbox carries functions from other goroutines to a loop, in order. The loop
// takes all at once, and works them off a slice a turn; it is woken only when
// it sleeps, and once for however many.
type inbox struct {
	mu  sync.Mutex
	fns []func()
	// left is how many of the batch were left last turn.
	left           int
	asleep, closed bool

	// batch is what the loop has taken, next the first that has not run.
	// They are the loop's alone.
	batch []func()
	next  int
}

const (
	// inboxSlice is how many functions a turn runs.
	inboxSlice = 1000
	// keepInbox is how many an inbox keeps room for when it needs less.
	keepInbox = 4 << 10
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
	if !forced && len(b.fns)+b.left >= l.cfg.MaxInbox {
		b.mu.Unlock()
		return ErrBusy
	}
	b.fns = append(b.fns, fn)
	wake := b.asleep
	b.asleep = false
	b.mu.Unlock()
	if wake {
		l.poller.wake()
	}
	return nil
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
		b.batch[b.next]()
		b.batch[b.next] = nil
	}
	left := len(b.batch) - b.next
	if left != b.left {
		b.mu.Lock()
		b.left = left
		b.mu.Unlock()
	}
	return left > 0
}

// refill takes what has come, in exchange for the array of the last batch,
// which it lets go of if it was large and mostly empty.
func (b *inbox) refill() {
	fns := b.batch[:0]
	if cap(fns) > keepInbox && len(b.batch) < cap(fns)/4 {
		fns = nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.batch, b.next, b.fns = b.fns, 0, fns
	b.asleep = false
}

// fallAsleep reports whether the inbox is empty; if it is, the next request
// wakes the loop.
func (l *Loop) fallAsleep() bool {
	b := &l.inbox
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asleep = len(b.fns) == 0
	return b.asleep
}

// closeInbox refuses requests from now on.
func (l *Loop) closeInbox() {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	l.inbox.closed = true
}

// waiting is how many functions the inbox has.
func (l *Loop) waiting() int {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	return len(l.inbox.fns) + l.inbox.left
}
