package supervise

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/skein-im/skein/internal/im"
)

// Reason is why a worker drains.
type Reason string

// The reasons to drain.
const (
	// Asked: the supervisor drains all workers.
	Asked Reason = "asked"
	// Signalled: the ctx given to Serve ended, as it does when the worker
	// itself gets a signal. The supervisor will start another.
	Signalled Reason = "signalled"
	// Orphaned: the supervisor has died.
	Orphaned Reason = "orphaned"
)

// Input is what a worker is started with.
type Input struct {
	// Index is which worker this is, of Count.
	Index, Count int
	// Settings are Config.Input.
	Settings json.RawMessage
}

// Handler answers one kind of question. Its error goes to the asker with its
// kind. ctx ends when the worker has drained.
type Handler func(ctx context.Context, arg json.RawMessage) (reply any, err error)

// Worker is what a worker process does.
type Worker struct {
	// Start starts the work, and returns what the supervisor should know of
	// it. ctx ends when the worker is no longer wanted.
	Start func(ctx context.Context, in Input) (info any, err error)
	// Handlers answer questions by name, several at once.
	Handlers map[string]Handler
	// Drain ends the work. It is called once, after Start has succeeded; arg
	// is what the supervisor gave when it asked.
	Drain func(ctx context.Context, why Reason, arg json.RawMessage) error
}

// Pipes takes the standard input and output of this process for Serve. From
// then on what is printed to os.Stdout goes to standard error, because standard
// output carries the protocol, and a supervisor that has died does not end the
// process by SIGPIPE at the next line it logs.
func Pipes() (in io.ReadCloser, out io.Writer, err error) {
	signal.Ignore(syscall.SIGPIPE)
	fd := os.Stdin.Fd()
	if err := pollable(fd); err != nil {
		return nil, nil, im.Errorf(im.Internal, "cannot read orders from standard input: %w", err)
	}
	out, os.Stdout = os.Stdout, os.Stderr
	return os.NewFile(fd, "stdin"), out, nil
}

// Serve is a worker's life: it reads the input from in, starts the worker,
// answers questions, and drains it when the supervisor says so, when in ends,
// or when ctx ends. It returns when the worker has drained or could not start;
// the process should then exit, with status 0 if the error is nil.
//
// in is closed in the end. It must be such that this ends a read, as Pipes
// makes it; Serve waits for that.
func Serve(ctx context.Context, in io.ReadCloser, out io.Writer, w Worker) error {
	s := &session{
		worker: w, out: out,
		first: make(chan message, 1), drain: make(chan message, 1), ended: make(chan struct{}),
		asks: make(chan struct{}, MaxAsks),
	}
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.tasks.Go(func() { s.read(in) })
	defer func() {
		cancel()
		in.Close()
		s.tasks.Wait()
	}()
	if up, err := s.start(ctx); !up {
		return err
	}
	return s.untilDrained(ctx)
}
