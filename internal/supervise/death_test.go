//go:build unix

package supervise

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
)

func TestOneDiesAndTheOthersGoOn(t *testing.T) {
	c := start(t, 3, "good")
	before := c.Workers()
	hanging := make(chan error, 1)
	go func() { hanging <- c.Ask(context.Background(), 1, "hang", nil, nil) }()
	c.stderr.await("hanging")
	if err := c.Ask(t.Context(), 1, "exit", 3, nil); im.KindOf(err) != im.Unavailable {
		t.Errorf("asked to die: %v", err)
	}
	if err := <-hanging; im.KindOf(err) != im.Unavailable {
		t.Errorf("asked when it died: %v", err)
	}
	w := c.await(1, Waiting)
	if w.PID != 0 || w.Failures != 1 || w.Restarts != 1 || !strings.Contains(w.LastError, "exit status 3") || !w.RetryAt.Equal(w.Since.Add(DefaultMinBackoff)) {
		t.Errorf("%+v", w)
	}
	if err := c.Ask(t.Context(), 1, "echo", 1, nil); im.KindOf(err) != im.Unavailable {
		t.Errorf("asked a worker that is not there: %v", err)
	}
	if d := c.clock.next(); d != DefaultMinBackoff {
		t.Errorf("waits %v", d)
	}
	c.await(1, Ready)
	after := c.Workers()
	if before[0].PID != after[0].PID || before[2].PID != after[2].PID || before[1].PID == after[1].PID || after[1].PID == 0 {
		t.Errorf("%+v\n%+v", before, after)
	}
	if err := c.Ask(t.Context(), 1, "echo", 1, nil); err != nil {
		t.Error(err)
	}
}

func TestGarbageEndsAWorker(t *testing.T) {
	c := start(t, 1, "good")
	_ = c.Ask(t.Context(), 0, "garble", nil, nil)
	if w := c.await(0, Waiting); !strings.Contains(w.LastError, "not a message") {
		t.Errorf("%+v", w)
	}
}

func TestACrashLoopWaitsLongerEachTimeAndIsForgiven(t *testing.T) {
	c := start(t, 1, "good")
	crash := func() time.Duration {
		_ = c.Ask(t.Context(), 0, "exit", 1, nil)
		c.await(0, Waiting)
		d := c.clock.next()
		c.await(0, Ready)
		return d
	}
	var waits []time.Duration
	for range 9 {
		waits = append(waits, crash())
	}
	ms := time.Millisecond
	if want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 10000 * ms, 10000 * ms}; !slices.Equal(waits, want) {
		t.Errorf("%v", waits)
	}
	c.clock.advance(DefaultForgive - 1)
	if d := crash(); d != DefaultMaxBackoff {
		t.Errorf("forgiven too early: %v", d)
	}
	c.clock.advance(DefaultForgive)
	if d := crash(); d != DefaultMinBackoff {
		t.Errorf("not forgiven: %v", d)
	}
	if w := c.Workers()[0]; w.Failures != 1 || w.Restarts != 11 {
		t.Errorf("%+v", w)
	}
}

func TestAReplacementThatCannotStartIsTriedAgain(t *testing.T) {
	var mu sync.Mutex
	modes := []string{"good", "refuse", "missing", "good"}
	c := start(t, 1, "good", func(cfg *Config) {
		cfg.Command = func(i int) *exec.Cmd {
			mu.Lock()
			defer mu.Unlock()
			mode := modes[0]
			modes = modes[1:]
			if mode == "missing" {
				return exec.Command("/no/such/program")
			}
			return command(mode)(i)
		}
	})
	_ = c.Ask(t.Context(), 0, "exit", 1, nil)
	for i, says := range []string{"exit status 1", "nothing to serve", "cannot be run"} {
		if w := c.await(0, Waiting); w.Failures != i+1 || !strings.Contains(w.LastError, says) {
			t.Errorf("%+v", w)
		}
		if d := c.clock.next(); d != DefaultMinBackoff<<i {
			t.Errorf("waits %v", d)
		}
	}
	c.await(0, Ready)
}

func TestSIGTERMDrainsOneWorkerAndIsNoFailure(t *testing.T) {
	c := start(t, 2, "good")
	kill(t, c.Workers()[0].PID, syscall.SIGTERM)
	c.await(0, Draining)
	w := c.await(0, Waiting)
	if w.Failures != 0 || w.LastError != "" || w.Restarts != 1 {
		t.Errorf("%+v", w)
	}
	if !strings.Contains(c.stderr.String(), "drained signalled \n") {
		t.Errorf("%q", c.stderr)
	}
	if d := c.clock.next(); d != DefaultMinBackoff {
		t.Errorf("waits %v", d)
	}
	c.await(0, Ready)
}

func TestSIGTERMBeforeItCanListenIsNoFailure(t *testing.T) {
	modes := make(chan string, 3)
	modes <- "good"
	modes <- "hang"
	modes <- "good"
	c := start(t, 1, "", func(cfg *Config) { cfg.Command = func(i int) *exec.Cmd { return command(<-modes)(i) } })
	_ = c.Ask(t.Context(), 0, "exit", 1, nil)
	c.clock.next()
	kill(t, c.await(0, Starting).PID, syscall.SIGTERM)
	if w := c.await(0, Waiting); w.Failures != 1 || w.LastError != "" {
		t.Errorf("%+v", w)
	}
	c.clock.next()
	c.await(0, Ready)
}

func TestWorkersAreOutOfReachOfTheTerminal(t *testing.T) {
	c := start(t, 1, "good")
	pid := c.Workers()[0].PID
	if group, err := syscall.Getpgid(pid); err != nil || group != pid {
		t.Errorf("group %d, %v", group, err)
	}
}

func TestWorkersOfADeadSupervisorDrainAndExit(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(os.Args[0], "supervisor", "")
	cmd.ExtraFiles = []*os.File{w}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "started\n" {
		t.Errorf("%q, %v", line, err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	// The pipe ends when the last process that holds it has exited.
	said, err := io.ReadAll(r)
	if err != nil || strings.Count(string(said), "drained orphaned \n") != 2 {
		t.Errorf("%q, %v", said, err)
	}
}

func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}
