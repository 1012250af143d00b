package pebble

import (
	"context"
	"sync"
	"sync/atomic"
)

// stopSublevels is how many overlapping layers of tables may wait for
// compaction before commits do. Every layer costs reads a table lookup.
const stopSublevels = 24

// gate holds commits back while compactions are behind. Pebble has a gate of
// its own, which it waits in with its mutexes held and which a dead disk would
// never open; so that one is off, and this one lets go when the store fails.
type gate struct {
	depth func() int    // layers waiting; takes Pebble's mutex
	grown atomic.Uint64 // counts flushes
	fine  atomic.Uint64 // the value of grown that was found to be fine
	shut  atomic.Bool

	mu   sync.Mutex
	wake chan struct{}
}

func newGate(depth func() int) *gate {
	return &gate{depth: depth, wake: make(chan struct{})}
}

// grew says that a flush may have added a layer.
func (g *gate) grew() {
	g.grown.Add(1)
	g.shrank()
}

// shrank says that a compaction may have removed layers.
func (g *gate) shrank() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.wake)
	g.wake = make(chan struct{})
}

func (g *gate) changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wake
}

// closed reports whether commits wait.
func (g *gate) closed() bool { return g.shut.Load() }

// pass waits until commits may go on, and reports whether it had to. It costs
// two loads when nothing was flushed since the last call.
func (g *gate) pass(ctx context.Context, failed <-chan struct{}) (waited bool, err error) {
	for {
		grown := g.grown.Load()
		if grown == g.fine.Load() {
			return waited, nil
		}
		changed := g.changed()
		full := g.depth() >= stopSublevels
		g.shut.Store(full)
		if !full {
			g.fine.Store(grown)
			return waited, nil
		}
		waited = true
		select {
		case <-changed:
		case <-failed:
			return waited, nil
		case <-ctx.Done():
			return waited, context.Cause(ctx)
		}
	}
}
