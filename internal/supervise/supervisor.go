package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/skein-im/skein/internal/im"
)

// Supervisor keeps workers running.
type Supervisor struct {
	cfg    Config
	inputs [][]byte
	stderr stderr
	slots  []*slot

	// leave is closed when all workers are to drain, with drainLine set;
	// kill when they are to be killed.
	leave, kill         chan struct{}
	leaveOnce, killOnce sync.Once
	drainLine           []byte

	// tasks are the goroutines; done is closed when all have ended.
	tasks sync.WaitGroup
	done  chan struct{}
}

// Start starts the workers and returns when all of them are ready. It returns
// the error of the first that cannot be, with the last lines of its standard
// error, and then nothing is left running. The end of ctx afterwards changes
// nothing.
func Start(ctx context.Context, cfg Config) (*Supervisor, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	inputs, err := cfg.inputs()
	if err != nil {
		return nil, err
	}
	s := &Supervisor{
		cfg: cfg, inputs: inputs, stderr: stderr{to: cfg.Stderr}, slots: make([]*slot, cfg.Count),
		leave: make(chan struct{}), kill: make(chan struct{}), done: make(chan struct{}),
	}
	first := make(chan error, cfg.Count)
	for i := range s.slots {
		s.slots[i] = &slot{sup: s, info: WorkerInfo{Index: i, State: Starting, Since: cfg.Now()}}
	}
	for _, w := range s.slots {
		s.tasks.Go(func() { w.run(first) })
	}
	go func() {
		s.tasks.Wait()
		close(s.done)
	}()
	if err := s.allReady(ctx, first); err != nil {
		s.killAll()
		<-s.done
		return nil, err
	}
	return s, nil
}

func (s *Supervisor) allReady(ctx context.Context, first <-chan error) error {
	for range s.slots {
		select {
		case err := <-first:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return im.Errorf(im.Unavailable, "the workers were not ready in time: %w", context.Cause(ctx))
		}
	}
	return nil
}

// Ask asks worker i for name with arg, and puts what it answers into reply,
// which may be nil. A worker that is not ready or dies is Unavailable, one
// with MaxAsks questions before it is Busy.
func (s *Supervisor) Ask(ctx context.Context, i int, name string, arg, reply any) error {
	if i < 0 || i >= len(s.slots) {
		return im.Errorf(im.Invalid, "there is no worker %d; there are %d", i, len(s.slots))
	}
	body, err := json.Marshal(arg)
	if err != nil {
		return im.Errorf(im.Invalid, "the argument of %q is not JSON: %w", name, err)
	}
	p := s.slots[i].process()
	if p == nil || !closed(p.ready) {
		return im.Errorf(im.Unavailable, "worker %d is not ready", i)
	}
	m, err := p.ask(ctx, name, body)
	if err != nil {
		return err
	}
	if m.Error != nil {
		return m.Error.err()
	}
	if reply == nil {
		return nil
	}
	if err := json.Unmarshal(m.Body, reply); err != nil {
		return im.Errorf(im.Internal, "worker %d answered %q with something else: %w", i, name, err)
	}
	return nil
}

// Answer is one worker's answer to AskAll.
type Answer struct {
	Index int
	// Reply is what newReply made for this worker, filled when Err is nil.
	Reply any
	Err   error
}

// AskAll asks all workers at once. A worker that hangs costs no more than
// what ctx allows, and the others' answers are there all the same.
func (s *Supervisor) AskAll(ctx context.Context, name string, arg any, newReply func() any) []Answer {
	answers := make([]Answer, len(s.slots))
	var asking sync.WaitGroup
	for i := range answers {
		asking.Go(func() {
			reply := newReply()
			answers[i] = Answer{Index: i, Reply: reply, Err: s.Ask(ctx, i, name, arg, reply)}
		})
	}
	asking.Wait()
	return answers
}

// Drain tells all workers to drain, with arg, and waits until they have
// exited. Those that still run when ctx ends are killed, and an error says how
// many there were. A second Drain waits with the first; its arg is not used.
func (s *Supervisor) Drain(ctx context.Context, arg any) error {
	body, err := json.Marshal(arg)
	if err != nil {
		return im.Errorf(im.Invalid, "the argument of the drain is not JSON: %w", err)
	}
	line, err := encode(message{Kind: kindDrain, Body: body})
	if err != nil {
		return err
	}
	s.leaveOnce.Do(func() {
		s.drainLine = line
		close(s.leave)
	})
	select {
	case <-s.done:
		return s.finalErrors()
	case <-ctx.Done():
	}
	left := 0
	for _, w := range s.Workers() {
		if w.PID != 0 {
			left++
		}
	}
	s.killAll()
	<-s.done
	if left == 0 {
		return s.finalErrors()
	}
	return im.Errorf(im.Unavailable, "%d of %d workers did not drain in time and were killed: %w", left, len(s.slots), context.Cause(ctx))
}

// finalErrors are those of the workers that failed while they drained.
func (s *Supervisor) finalErrors() error {
	var errs []error
	for _, w := range s.slots {
		errs = append(errs, w.final)
	}
	return errors.Join(errs...)
}

// Stop kills all workers and waits until they are gone, or ctx ends. Their
// clients are not told; that is what Drain is for. A Drain that goes on ends.
func (s *Supervisor) Stop(ctx context.Context) error {
	s.killAll()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return im.Errorf(im.Unavailable, "workers were killed and are not gone yet: %w", context.Cause(ctx))
	}
}

func (s *Supervisor) killAll() { s.killOnce.Do(func() { close(s.kill) }) }

// stopping reports whether no worker may be started any more.
func (s *Supervisor) stopping() bool { return closed(s.leave) || closed(s.kill) }

// Workers says how all workers are.
func (s *Supervisor) Workers() []WorkerInfo {
	list := make([]WorkerInfo, len(s.slots))
	for i, w := range s.slots {
		list[i] = w.snapshot()
	}
	return list
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
