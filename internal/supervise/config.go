package supervise

import (
	"cmp"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// Defaults of Config, and what a worker can have unanswered.
const (
	DefaultReadyTimeout = 30 * time.Second
	DefaultMinBackoff   = 100 * time.Millisecond
	DefaultMaxBackoff   = 10 * time.Second
	DefaultForgive      = 30 * time.Second
	MaxAsks             = 64
)

// MaxCount is the most workers a supervisor has.
const MaxCount = 4096

// Config is what a Supervisor needs. Zero values mean the defaults.
type Config struct {
	// Count is how many workers there are.
	Count int
	// Command makes the command of worker i, not yet started. Its standard
	// input, output and error belong to the supervisor.
	Command func(i int) *exec.Cmd
	// Input is given to every worker as JSON when it starts.
	Input any
	// ReadyTimeout is how long a worker may take until it is ready.
	ReadyTimeout time.Duration
	// MinBackoff is the wait before a worker is started again; it doubles
	// with every failure up to MaxBackoff, until a worker has been ready for
	// Forgive.
	MinBackoff, MaxBackoff, Forgive time.Duration
	// Stderr takes the workers' standard error; nil: that of this process.
	Stderr io.Writer
	// Logger hears of every worker that starts and ends.
	Logger *slog.Logger
	// OnChange, when set, is called with every change of a worker, by the
	// goroutine that looks after it, which waits meanwhile.
	OnChange func(WorkerInfo)
	// Now and After are the time; nil: the system's.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

func (c Config) withDefaults() Config {
	c.ReadyTimeout = cmp.Or(c.ReadyTimeout, DefaultReadyTimeout)
	c.MinBackoff = cmp.Or(c.MinBackoff, DefaultMinBackoff)
	c.MaxBackoff = max(cmp.Or(c.MaxBackoff, DefaultMaxBackoff), c.MinBackoff)
	c.Forgive = cmp.Or(c.Forgive, DefaultForgive)
	if c.Stderr == nil {
		c.Stderr = os.Stderr
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OnChange == nil {
		c.OnChange = func(WorkerInfo) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.After == nil {
		c.After = time.After
	}
	return c
}

func (c Config) validate() error {
	if c.Count < 1 || c.Count > MaxCount {
		return im.Errorf(im.Invalid, "%d workers; between 1 and %d are possible", c.Count, MaxCount)
	}
	if c.Command == nil {
		return im.Errorf(im.Invalid, "no command for the workers")
	}
	return nil
}

// inputs are the first lines to the workers.
func (c Config) inputs() ([][]byte, error) {
	body, err := json.Marshal(c.Input)
	if err != nil {
		return nil, im.Errorf(im.Invalid, "the workers' input is not JSON: %w", err)
	}
	list := make([][]byte, c.Count)
	for i := range list {
		if list[i], err = encode(message{Kind: kindStart, Index: i, Count: c.Count, Body: body}); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// State is what a worker is doing.
type State string

// The states of a worker.
const (
	// Starting: the process runs and is not ready.
	Starting State = "starting"
	// Ready: it does its work.
	Ready State = "ready"
	// Draining: it sends its clients elsewhere and will exit.
	Draining State = "draining"
	// Waiting: there is no process; a new one is started at RetryAt.
	Waiting State = "waiting"
	// Stopped: there is no process, and there will be none.
	Stopped State = "stopped"
)

// WorkerInfo says how a worker is.
type WorkerInfo struct {
	Index int   `json:"index"`
	State State `json:"state"`
	// Since is when it came into this state.
	Since time.Time `json:"since"`
	// PID is the process's; 0 when there is none.
	PID int `json:"pid,omitempty"`
	// Restarts counts the processes after the first.
	Restarts int `json:"restarts"`
	// Failures counts those that failed in a row; a worker that has been
	// ready for Config.Forgive starts a new row.
	Failures int `json:"failures"`
	// RetryAt is when Waiting ends.
	RetryAt time.Time `json:"retry_at,omitzero"`
	// LastError is why the last process ended; empty if it was told to.
	LastError string `json:"last_error,omitempty"`
	// Info is what the process said of itself when it became ready.
	Info json.RawMessage `json:"info,omitempty"`
}
