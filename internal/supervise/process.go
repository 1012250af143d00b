package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// outputWait is how long the output of a process that is gone may stay open,
// because something that it started holds it.
const outputWait = 2 * time.Second

// process is one run of a worker.
type process struct {
	index int
	cmd   *exec.Cmd
	stdin io.WriteCloser
	// out are lines to the worker: its input, at most MaxAsks questions, and
	// the order to drain, which therefore never waits.
	out  chan []byte
	errs *stderr
	tail tail

	// ready is closed when the worker is ready, with info set; draining when
	// it drains; exited when it is gone, with err set.
	ready, draining, exited chan struct{}
	info                    json.RawMessage
	err                     error

	mu sync.Mutex
	// fault is why the process was killed, or will exit.
	fault   error
	pending map[uint64]chan<- message
	lastID  atomic.Uint64
}

// spawn starts a process for worker i.
func (s *Supervisor) spawn(i int) (*process, error) {
	p := &process{
		index: i, cmd: s.cfg.Command(i), errs: &s.stderr,
		out:   make(chan []byte, MaxAsks+2),
		ready: make(chan struct{}), draining: make(chan struct{}), exited: make(chan struct{}),
		pending: map[uint64]chan<- message{},
	}
	stdout := &lines{max: MaxLine, line: p.stdoutLine}
	stderr := &lines{max: stderrMax, line: p.stderrLine}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.WaitDelay = stdout, stderr, outputWait
	ownGroup(p.cmd)
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return p, im.Errorf(im.Unavailable, "worker %d cannot be run: %w", i, err)
	}
	p.out <- s.inputs[i]
	s.tasks.Go(p.feed)
	s.tasks.Go(func() {
		err := p.cmd.Wait()
		stderr.flush()
		p.gone(err)
	})
	return p, nil
}

// feed writes lines to the worker. When the worker is gone its standard input
// is closed, which ends a write that waits.
func (p *process) feed() {
	for {
		select {
		case line := <-p.out:
			// A worker that does not read will be found dead, or not ready.
			_, _ = p.stdin.Write(line)
		case <-p.exited:
			return
		}
	}
}

func (p *process) stderrLine(line []byte, whole bool) {
	p.errs.write(line, whole)
	p.tail.add(line)
}

// stdoutLine takes one line from the worker.
func (p *process) stdoutLine(line []byte, whole bool) {
	if !whole {
		p.kill(im.Errorf(im.Invalid, "its output has a line of more than %d bytes", MaxLine))
		return
	}
	m, err := decode(line)
	if err == nil {
		err = p.take(m)
	}
	if err != nil {
		p.kill(err)
	}
}

// take takes one message from the worker. It runs on one goroutine.
func (p *process) take(m message) error {
	switch {
	case m.Kind == kindAnswer:
		p.mu.Lock()
		asker := p.pending[m.ID]
		delete(p.pending, m.ID)
		p.mu.Unlock()
		if asker != nil {
			// Nobody waits any more for those that are not pending.
			asker <- m
		}
	case m.Kind == kindReady && !closed(p.ready):
		p.info = m.Body
		close(p.ready)
	case m.Kind == kindFailed && !closed(p.ready):
		p.blame(m.Error.err())
	case m.Kind == kindDraining && !closed(p.draining):
		close(p.draining)
	default:
		return im.Errorf(im.Invalid, "a message that is not expected: %q", m.Kind)
	}
	return nil
}

// blame says why the process ends, unless that is known.
func (p *process) blame(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == nil {
		p.fault = err
	}
}

func (p *process) kill(why error) {
	p.blame(why)
	_ = p.cmd.Process.Kill()
}

// ask sends a question and waits for its answer.
func (p *process) ask(ctx context.Context, name string, arg json.RawMessage) (message, error) {
	id := p.lastID.Add(1)
	line, err := encode(message{Kind: kindAsk, ID: id, Name: name, Body: arg})
	if err != nil {
		return message{}, err
	}
	answer := make(chan message, 1)
	if !p.enqueue(id, line, answer) {
		return message{}, p.busy()
	}
	defer p.forget(id)
	select {
	case m := <-answer:
		return m, nil
	case <-p.exited:
	case <-ctx.Done():
		return message{}, im.Errorf(im.Unavailable, "worker %d did not answer %q in time: %w", p.index, name, context.Cause(ctx))
	}
	select {
	case m := <-answer:
		// It answered before it died.
		return m, nil
	default:
		return message{}, im.Errorf(im.Unavailable, "worker %d ended before it answered %q", p.index, name)
	}
}

// enqueue sends a question; false when there are too many. Questions that
// nobody waits for any more may still be in out, so both are bounded.
func (p *process) enqueue(id uint64, line []byte, answer chan<- message) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pending) >= MaxAsks || len(p.out) >= MaxAsks {
		return false
	}
	p.pending[id] = answer
	p.out <- line
	return true
}

func (p *process) busy() error {
	err := im.Errorf(im.Busy, "worker %d has %d questions to answer", p.index, MaxAsks)
	err.RetryAfterMS = 1000
	return err
}

func (p *process) forget(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pending, id)
}

// gone notes how the process ended.
func (p *process) gone(err error) {
	defer close(p.exited)
	p.mu.Lock()
	defer p.mu.Unlock()
	status, _ := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case p.fault != nil:
		p.err = p.fault
	case status.Signaled() && status.Signal() == syscall.SIGTERM:
		// Somebody wanted it gone before it could listen to signals.
	case !p.cmd.ProcessState.Success():
		p.err = im.Errorf(im.Unavailable, "it died: %w", err)
	case !closed(p.ready) && !closed(p.draining):
		p.err = im.Errorf(im.Unavailable, "it ended before it was ready")
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		p.err = im.Errorf(im.Unavailable, "its output cannot be read: %w", err)
	}
}
