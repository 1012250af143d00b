package store

import (
	"context"
	"errors"
	"sync"
)

// ErrClosed: the store was closed.
var ErrClosed = errors.New("the store is closed")

// Life is the part of an engine that lets Close wait for running calls. The zero
// value has not ended.
type Life struct {
	// mu is held for reading by every running call and taken by End.
	mu    sync.RWMutex
	ended bool
}

// Enter begins a call, which ends with Exit.
func (l *Life) Enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.RLock()
	if l.ended {
		l.mu.RUnlock()
		return ErrClosed
	}
	return nil
}

// Exit ends a call.
func (l *Life) Exit() { l.mu.RUnlock() }

// End waits for running calls and then closes what they use, the first time.
func (l *Life) End(closeAll func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil
	}
	l.ended = true
	return closeAll()
}
