package supervise

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

// TestReadyComesBeforeDraining: a worker may say both before it is listened to.
func TestReadyComesBeforeDraining(t *testing.T) {
	for range 50 {
		p := &process{
			cmd:   &exec.Cmd{Process: &os.Process{Pid: 1}},
			ready: make(chan struct{}), draining: make(chan struct{}), exited: make(chan struct{}),
		}
		close(p.ready)
		close(p.draining)
		var states []State
		cfg := Config{After: newClock().After, OnChange: func(i WorkerInfo) {
			if states = append(states, i.State); i.State == Draining {
				close(p.exited)
			}
		}}
		w := &slot{sup: &Supervisor{cfg: cfg.withDefaults()}}
		if _, isReady := w.watch(p, func() {}); !isReady || !slices.Equal(states, []State{Ready, Draining}) {
			t.Fatalf("%v, ready: %v", states, isReady)
		}
	}
}

func TestTheWaitIsBounded(t *testing.T) {
	cfg := Config{}.withDefaults()
	failed := end{err: os.ErrClosed}
	for _, failures := range []int{0, 1, 7, 1 << 40} {
		n, wait := nextTry(&cfg, failures, failed)
		if n != failures+1 || wait < cfg.MinBackoff || wait > cfg.MaxBackoff {
			t.Errorf("%d failures: %v", failures, wait)
		}
	}
	equal := Config{MinBackoff: 20 * DefaultMaxBackoff}.withDefaults()
	if _, wait := nextTry(&equal, 5, failed); wait != equal.MinBackoff {
		t.Errorf("waits %v", wait)
	}
}
