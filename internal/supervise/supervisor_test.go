//go:build unix

package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"

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
