//go:build unix

package supervise

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
)

func TestWorkersAreReadyWhenStartReturns(t *testing.T) {
	c := start(t, 3, "good")
	pids := map[int]bool{}
	for i, w := range c.Workers() {
		var said introduction
		if err := json.Unmarshal(w.Info, &said); err != nil {
			t.Fatal(err)
		}
		if want := (introduction{w.PID, i, 3, "sesame"}); said != want || w.Index != i || w.State != Ready || w.Restarts != 0 {
			t.Errorf("%+v said %+v", w, said)
		}
		pids[w.PID] = true
	}
	if len(pids) != 3 {
		t.Errorf("%d processes", len(pids))
	}
}

func TestTheInputIsNeitherOnTheCommandLineNorInTheEnvironment(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("no /proc")
	}
	c := start(t, 1, "good")
	for _, name := range []string{"cmdline", "environ"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", c.Workers()[0].PID, name))
		if err != nil || strings.Contains(string(b), "sesame") {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func TestWorkersThatCannotStart(t *testing.T) {
	for mode, want := range map[string]struct {
		kind im.ErrorKind
		says []string
	}{
		"refuse":  {im.NotFound, []string{"looking around\nnothing here", "nothing to serve"}},
		"panic":   {im.Unavailable, []string{"a worker that panics", "exit status 2"}},
		"silent":  {im.Unavailable, []string{"ended before it was ready"}},
		"garbage": {im.Invalid, []string{"hello, parent"}},
		"endless": {im.Invalid, []string{"more than"}},
	} {
		t.Run(mode, func(t *testing.T) {
			c, err := tryStart(t, 2, "good", func(cfg *Config) {
				cfg.Command = func(i int) *exec.Cmd {
					return command([]string{"good", mode}[i])(i)
				}
			})
			if im.KindOf(err) != want.kind {
				t.Errorf("%v: %v", im.KindOf(err), err)
			}
			for _, s := range append(want.says, "worker 1") {
				if err == nil || !strings.Contains(err.Error(), s) {
					t.Errorf("the error does not say %q: %v", s, err)
				}
			}
			c.await(0, Stopped)
		})
	}
}

func TestAWorkerThatHangsAtItsStart(t *testing.T) {
	_, err := tryStart(t, 1, "hang", func(cfg *Config) {
		c := newClock()
		c.hurry = true
		cfg.After = c.After
	})
	if im.KindOf(err) != im.Unavailable || !strings.Contains(err.Error(), "not ready within 30s") {
		t.Error(err)
	}
}

func TestAStartThatIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Start(ctx, Config{Count: 2, Command: command("hang"), OnChange: func(WorkerInfo) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestConfigsThatCannotWork(t *testing.T) {
	for _, cfg := range []Config{
		{Count: 0, Command: command("good")},
		{Count: MaxCount + 1, Command: command("good")},
		{Count: 1},
		{Count: 1, Command: command("good"), Input: make(chan int)},
		{Count: 1, Command: command("good"), Input: strings.Repeat("x", MaxLine)},
		{Count: 1, Command: func(int) *exec.Cmd { return exec.Command("/no/such/program") }},
	} {
		if _, err := Start(t.Context(), cfg); err == nil {
			t.Errorf("%+v works", cfg)
		}
	}
}

func TestAskAnswersAndErrors(t *testing.T) {
	c := start(t, 1, "good")
	ctx := t.Context()
	var got []int
	if err := c.Ask(ctx, 0, "echo", []int{1, 2}, &got); err != nil || !reflect.DeepEqual(got, []int{1, 2}) {
		t.Errorf("%v, %v", got, err)
	}
	if err := c.Ask(ctx, 0, "echo", nil, nil); err != nil {
		t.Error(err)
	}
	if err := c.Ask(ctx, 0, "print", nil, nil); err != nil {
		t.Errorf("a stray line did harm: %v", err)
	}
	c.stderr.await("a stray line")
	for _, q := range []struct {
		i    int
		name string
		arg  any
		kind im.ErrorKind
	}{
		{1, "echo", nil, im.Invalid}, {-1, "echo", nil, im.Invalid}, {0, "sing", nil, im.Unimplemented},
		{0, "fail", nil, im.Busy}, {0, "large", nil, im.TooLarge}, {0, "strange", nil, im.Internal},
		{0, "echo", strings.Repeat("x", MaxLine), im.TooLarge}, {0, "echo", make(chan int), im.Invalid},
		{0, "echo", "a string", im.Internal},
	} {
		if err := c.Ask(ctx, q.i, q.name, q.arg, &got); im.KindOf(err) != q.kind {
			t.Errorf("%s of %d: %v", q.name, q.i, err)
		}
	}
	err := c.Ask(ctx, 0, "fail", nil, nil)
	if e := im.AsError(err); e.RetryAfterMS != 7 || e.Detail != "not now: tired" {
		t.Errorf("%+v", e)
	}
}

func TestManyAskAtOnce(t *testing.T) {
	c := start(t, 2, "good")
	var asking sync.WaitGroup
	for i := range 2 * MaxAsks {
		asking.Go(func() {
			for n := range 50 {
				var got int
				if err := c.Ask(t.Context(), i%2, "echo", i*100+n, &got); err != nil || got != i*100+n {
					t.Errorf("%d, %v", got, err)
					return
				}
			}
		})
	}
	asking.Wait()
}

func TestAWorkerThatDoesNotAnswer(t *testing.T) {
	c := start(t, 2, "good")
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	for range MaxAsks {
		asking.Go(func() {
			if err := c.Ask(ctx, 0, "hang", nil, nil); im.KindOf(err) != im.Unavailable || !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	for strings.Count(c.stderr.String(), "hanging") < MaxAsks {
		<-c.stderr.more
	}
	if err := c.Ask(t.Context(), 0, "echo", 1, nil); im.KindOf(err) != im.Busy || im.AsError(err).RetryAfterMS == 0 {
		t.Errorf("beyond the bound: %v", err)
	}
	answers := c.AskAll(t.Context(), "echo", 1, func() any { return new(int) })
	if len(answers) != 2 || answers[0].Err == nil || answers[1].Err != nil || *answers[1].Reply.(*int) != 1 {
		t.Errorf("%+v", answers)
	}
	cancel()
	asking.Wait()
	// The worker answers as many still, though nobody waits for it.
	if err := c.Ask(t.Context(), 0, "echo", 1, nil); im.KindOf(err) != im.Busy {
		t.Errorf("beyond the worker's bound: %v", err)
	}
}

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

func TestDrain(t *testing.T) {
	c := start(t, 3, "good")
	if err := c.Drain(t.Context(), "now"); err != nil {
		t.Error(err)
	}
	if n := strings.Count(c.stderr.String(), `drained asked "now"`+"\n"); n != 3 {
		t.Errorf("%d drained: %s", n, c.stderr)
	}
	for _, w := range c.Workers() {
		if w.State != Stopped || w.PID != 0 || w.LastError != "" {
			t.Errorf("%+v", w)
		}
	}
	if err := c.Ask(t.Context(), 0, "echo", 1, nil); im.KindOf(err) != im.Unavailable {
		t.Error(err)
	}
	if err := c.Drain(t.Context(), "again"); err != nil {
		t.Error(err)
	}
}

func TestADrainThatFailsIsReported(t *testing.T) {
	c := start(t, 2, "good")
	if err := c.Drain(t.Context(), "fail"); err == nil || strings.Count(err.Error(), "exit status 1") != 2 {
		t.Error(err)
	}
}

func TestADrainThatTakesTooLongKills(t *testing.T) {
	c := start(t, 2, "good")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		c.await(0, Draining)
		c.stderr.await("drained asked")
		cancel()
	}()
	err := c.Drain(ctx, "hang")
	if im.KindOf(err) != im.Unavailable || !strings.Contains(err.Error(), "2 of 2 workers") {
		t.Error(err)
	}
}

func TestStopEndsADrain(t *testing.T) {
	c := start(t, 2, "good")
	drained := make(chan error, 1)
	go func() { drained <- c.Drain(context.Background(), "hang") }()
	c.await(0, Draining)
	if err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-drained; err == nil {
		t.Error("a drain that was cut short is no error")
	}
}

func TestDrainDoesNotWaitForAWorkerThatIsNotThere(t *testing.T) {
	c := start(t, 1, "good")
	_ = c.Ask(t.Context(), 0, "exit", 1, nil)
	c.await(0, Waiting)
	if err := c.Drain(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if w := c.Workers()[0]; w.State != Stopped {
		t.Errorf("%+v", w)
	}
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
