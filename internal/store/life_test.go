package store

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/patience"
)

// TestLife: an end waits for calls, comes once, and no call begins after it.
func TestLife(t *testing.T) {
	var l Life
	if err := errors.Join(l.Enter(t.Context()), l.Enter(t.Context())); err != nil {
		t.Fatal(err)
	}
	var closed atomic.Int32
	ended, failure := make(chan error, 1), errors.New("it does not close well")
	go func() {
		ended <- l.End(func() error {
			closed.Add(1)
			return failure
		})
	}()
	for l.mu.TryRLock() { // until the end waits
		l.mu.RUnlock()
		runtime.Gosched()
	}
	l.Exit()
	if closed.Load() != 0 {
		t.Error("the end did not wait for a call")
	}
	l.Exit()
	if err := patience.Receive(t, "the end", ended); !errors.Is(err, failure) || closed.Load() != 1 {
		t.Errorf("closed %d times, %v", closed.Load(), err)
	}
	if err := l.End(func() error { return failure }); err != nil {
		t.Errorf("the second end: %v", err)
	}
	if err := l.Enter(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("a call after the end: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Enter(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that was given up: %v", err)
	}
}

func TestCheckSlots(t *testing.T) {
	if err := CheckSlots(0, 4095); err != nil {
		t.Error(err)
	}
	if err := CheckSlots(1, im.Slots); im.KindOf(err) != im.Invalid {
		t.Error(err)
	}
}
