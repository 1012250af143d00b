package supervise

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/patience"
)

// TestMain is also the workers, and a supervisor that can be killed: the test
// binary runs itself with one of these as its first argument.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 {
		switch os.Args[1] {
		case "worker":
			os.Exit(runWorker(os.Args[2]))
		case "supervisor":
			os.Exit(runSupervisor())
		}
	}
	goleak.VerifyTestMain(m)
}

// settings are the input of the test's workers.
type settings struct {
	Secret string `json:"secret"`
}

// introduction is what they say of themselves.
type introduction struct {
	PID, Index, Count int
	Secret            string
}

func runWorker(mode string) int {
	switch mode {
	case "hang":
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	case "garbage":
		fmt.Println("hello, parent")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	case "endless":
		for {
			if _, err := os.Stdout.Write(bytes.Repeat([]byte("x"), 64<<10)); err != nil {
				return 0
			}
		}
	case "silent":
		return 0
	case "panic":
		panic("a worker that panics")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	in, out, err := Pipes()
	if err == nil {
		err = Serve(ctx, in, out, goodWorker(mode, out))
	}
	if err != nil {
		return 1
	}
	return 0
}

// goodWorker is a worker that does what it is asked; it tells on standard
// error, or on descriptor 3 in mode "tell", how it ended.
func goodWorker(mode string, out io.Writer) Worker {
	end := io.Writer(os.Stderr)
	if mode == "tell" {
		end = os.NewFile(3, "end")
	}
	return Worker{
		Start: func(_ context.Context, in Input) (any, error) {
			if mode == "refuse" {
				fmt.Fprintln(os.Stderr, "looking around\nnothing here")
				return nil, im.Errorf(im.NotFound, "nothing to serve")
			}
			var s settings
			err := json.Unmarshal(in.Settings, &s)
			return introduction{os.Getpid(), in.Index, in.Count, s.Secret}, err
		},
		Handlers: map[string]Handler{
			"echo": func(_ context.Context, arg json.RawMessage) (any, error) { return arg, nil },
			"hang": func(ctx context.Context, _ json.RawMessage) (any, error) {
				fmt.Fprintln(os.Stderr, "hanging")
				<-ctx.Done()
				return nil, ctx.Err()
			},
			"exit": func(_ context.Context, arg json.RawMessage) (any, error) {
				os.Exit(int(arg[0] - '0'))
				return nil, nil
			},
			"fail": func(context.Context, json.RawMessage) (any, error) {
				e := im.Errorf(im.Busy, "not now: %w", errors.New("tired"))
				e.RetryAfterMS = 7
				return nil, e
			},
			"large":   func(context.Context, json.RawMessage) (any, error) { return strings.Repeat("x", MaxLine), nil },
			"strange": func(context.Context, json.RawMessage) (any, error) { return make(chan int), nil },
			"print":   func(context.Context, json.RawMessage) (any, error) { fmt.Println("a stray line"); return 0, nil },
			"garble":  func(context.Context, json.RawMessage) (any, error) { fmt.Fprintln(out, "{"); return 0, nil },
		},
		Drain: func(_ context.Context, why Reason, arg json.RawMessage) error {
			fmt.Fprintf(end, "drained %s %s\n", why, arg)
			switch string(arg) {
			case `"hang"`:
				select {}
			case `"fail"`:
				return errors.New("cannot drain")
			}
			return nil
		},
	}
}

// runSupervisor starts workers that tell their end on descriptor 3, says so,
// and waits to be killed.
func runSupervisor() int {
	_, err := Start(context.Background(), Config{Count: 2, Input: settings{}, Command: func(i int) *exec.Cmd {
		cmd := command("tell")(i)
		cmd.ExtraFiles = []*os.File{os.NewFile(3, "end")}
		return cmd
	}})
	if err != nil {
		return 1
	}
	fmt.Println("started")
	select {}
}

func command(mode string) func(int) *exec.Cmd {
	return func(int) *exec.Cmd {
		cmd := exec.Command(os.Args[0], "worker", mode)
		// The race detector would have every process linger for a second.
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
		return cmd
	}
}

// clock is a time at which nothing happens until the test says so.
type clock struct {
	mu  sync.Mutex
	now time.Time
	// waits are the waits that were begun, but for those until a worker is
	// ready, which never end unless hurry is set.
	waits chan wait
	hurry bool
}

type wait struct {
	d   time.Duration
	end chan<- time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1_000_000, 0), waits: make(chan wait, 100)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) After(d time.Duration) <-chan time.Time {
	end := make(chan time.Time, 1)
	switch {
	case d != DefaultReadyTimeout:
		c.waits <- wait{d, end}
	case c.hurry:
		end <- c.now
	}
	return end
}

// next is the next wait that was begun; it ends at once.
func (c *clock) next() time.Duration {
	defer patience.Bound("a wait to begin")()
	w := <-c.waits
	w.end <- c.Now()
	return w.d
}

// crew is a supervisor under test.
type crew struct {
	*Supervisor
	clock   *clock
	changes chan WorkerInfo
	stderr  *output
}

// output keeps what is written and says when there is more.
type output struct {
	mu   sync.Mutex
	text string
	more chan struct{}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text += string(b)
	select {
	case o.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

// await waits until something was written.
func (o *output) await(what string) {
	defer patience.Bound(what)()
	for !strings.Contains(o.String(), what) {
		<-o.more
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text
}

// tryStart starts n workers.
func tryStart(t *testing.T, n int, mode string, tweak ...func(*Config)) (*crew, error) {
	t.Helper()
	c := &crew{clock: newClock(), changes: make(chan WorkerInfo, 1000), stderr: &output{more: make(chan struct{}, 1)}}
	cfg := Config{
		Count: n, Command: command(mode), Input: settings{Secret: "sesame"}, Stderr: c.stderr, Logger: slog.New(slog.DiscardHandler),
		OnChange: func(i WorkerInfo) { c.changes <- i }, Now: c.clock.Now, After: c.clock.After,
	}
	for _, f := range tweak {
		f(&cfg)
	}
	var err error
	c.Supervisor, err = Start(t.Context(), cfg)
	if err == nil {
		t.Cleanup(func() {
			if err := c.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	return c, err
}

func start(t *testing.T, n int, mode string, tweak ...func(*Config)) *crew {
	t.Helper()
	c, err := tryStart(t, n, mode, tweak...)
	if err != nil {
		t.Fatal(err)
	}
	defer patience.Bound("workers")()
	for range 2 * n {
		<-c.changes // starting, ready
	}
	return c
}

// await waits until worker i is in a state.
func (c *crew) await(i int, state State) WorkerInfo {
	defer patience.Bound(fmt.Sprintf("worker %d to be %v", i, state))()
	for info := range c.changes {
		if info.Index == i && info.State == state {
			return info
		}
	}
	panic("unreachable")
}
