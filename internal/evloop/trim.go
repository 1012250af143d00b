//go:build linux

package evloop

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// trimAfter is how many handshakes leave memory behind that is worth
	// giving back, some 10 MiB.
	trimAfter = 256
	// trimEvery is how much time there is between two times at least, and
	// trimPause how long there was no handshake before.
	trimEvery = 5 * time.Second
	trimPause = 500 * time.Millisecond
)

// trimmer gives memory back to the system when a storm of handshakes is over:
// they take several times what the connections need afterwards, and as long as
// little is allocated, the garbage collector would not look for it. It collects
// garbage in the whole process, off the loops.
type trimmer struct {
	running, since atomic.Int64
	busy           atomic.Bool
	trims          atomic.Uint64
	stop           chan struct{}
	stopOnce       sync.Once
	done           sync.WaitGroup
}

func newTrimmer() *trimmer { return &trimmer{stop: make(chan struct{})} }

func (t *trimmer) begin() { t.running.Add(1) }

// end is for the end of a handshake, on any loop.
func (t *trimmer) end() {
	if n := t.since.Add(1); t.running.Add(-1) > 0 || n < trimAfter || !t.busy.CompareAndSwap(false, true) {
		return
	}
	t.done.Go(t.trim)
}

// trim gives memory back, and again if there was another storm meanwhile.
func (t *trimmer) trim() {
	defer t.busy.Store(false)
	for t.since.Load() >= trimAfter && t.calm() {
		t.since.Store(0)
		debug.FreeOSMemory()
		t.trims.Add(1)
		if !t.sleep(trimEvery) {
			return
		}
	}
}

// calm waits until there has been no handshake for a while.
func (t *trimmer) calm() bool {
	for last := int64(-1); last != t.since.Load() || t.running.Load() > 0; {
		last = t.since.Load()
		if !t.sleep(trimPause) {
			return false
		}
	}
	return true
}

func (t *trimmer) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.stop:
		return false
	}
}

// close waits for the last. No handshake begins any more.
func (t *trimmer) close() {
	t.stopOnce.Do(func() { close(t.stop) })
	t.done.Wait()
}
