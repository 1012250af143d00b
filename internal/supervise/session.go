package supervise

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/skein-im/skein/internal/im"
)

// session is the worker's side of the conversation.
type session struct {
	worker Worker
	// ctx is that of the handlers; it ends with the session.
	ctx context.Context
	up  atomic.Bool

	// first gets the first line, drain the order to drain; they have room for
	// it, and it comes once. ended is closed when there is no more to read,
	// with err set if that is a mistake.
	first, drain         chan message
	saidStart, saidDrain bool
	ended                chan struct{}
	err                  error

	// asks has a place for every question that is being answered.
	asks  chan struct{}
	tasks sync.WaitGroup

	mu  sync.Mutex
	out io.Writer
}

// read takes what the supervisor says until it ends.
func (s *session) read(in io.Reader) {
	defer close(s.ended)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, MaxLine)
	for lines.Scan() {
		m, err := decode(lines.Bytes())
		if err == nil {
			err = s.take(m)
		}
		if err != nil {
			s.err = err
			return
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		s.err = im.Errorf(im.Invalid, "the supervisor sent a line of more than %d bytes", MaxLine)
	}
}

// take takes one message from the supervisor. It runs on one goroutine.
func (s *session) take(m message) error {
	switch {
	case m.Kind == kindAsk:
		s.handle(m)
	case m.Kind == kindStart && !s.saidStart:
		s.saidStart = true
		s.first <- m
	case m.Kind == kindDrain && !s.saidDrain:
		s.saidDrain = true
		s.drain <- m
	default:
		return im.Errorf(im.Invalid, "the supervisor sent a message that is not expected: %q", m.Kind)
	}
	return nil
}

// handle answers a question on a goroutine of its own.
func (s *session) handle(m message) {
	answer := message{Kind: kindAnswer, ID: m.ID}
	handler, known := s.worker.Handlers[m.Name]
	switch {
	case !s.up.Load():
		answer.Error = failureOf(im.Errorf(im.Unavailable, "the worker is not ready"))
	case !known:
		answer.Error = failureOf(im.Errorf(im.Unimplemented, "the worker cannot answer %q", m.Name))
	default:
		select {
		case s.asks <- struct{}{}:
			s.tasks.Go(func() { s.reply(s.answer(answer, handler, m.Body), s.asks) })
			return
		default:
			answer.Error = failureOf(im.Errorf(im.Busy, "the worker answers %d questions already", MaxAsks))
		}
	}
	s.reply(answer, nil)
}

func (s *session) answer(m message, handler Handler, arg json.RawMessage) message {
	reply, err := handler(s.ctx, arg)
	if err == nil {
		m.Body, err = json.Marshal(reply)
	}
	if err != nil {
		m.Body, m.Error = nil, failureOf(err)
	}
	return m
}

// send writes a message. An error is one of the message; that the supervisor
// is gone will be read.
func (s *session) send(m message) error {
	line, err := encode(m)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.out.Write(line)
	return nil
}

// reply sends an answer, or why it cannot be sent, and frees its place, if it
// has one, before the supervisor can know of it and ask again.
func (s *session) reply(m message, place <-chan struct{}) {
	line, err := encode(m)
	if err != nil {
		line, _ = encode(message{Kind: kindAnswer, ID: m.ID, Error: failureOf(err)})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if place != nil {
		<-place
	}
	_, _ = s.out.Write(line)
}

// start starts the worker when its input has come. up is false when there is
// nothing to drain: it could not start, or nobody wants it any more.
func (s *session) start(ctx context.Context) (up bool, err error) {
	var first message
	select {
	case first = <-s.first:
	case <-ctx.Done():
		return false, s.unwanted()
	case <-s.ended:
		return false, s.unwanted()
	}
	wanted, cancel := context.WithCancel(ctx)
	s.tasks.Go(func() {
		defer cancel()
		select {
		case <-s.ended:
		case <-wanted.Done():
		}
	})
	info, err := s.worker.Start(wanted, Input{Index: first.Index, Count: first.Count, Settings: first.Body})
	gaveUp := err != nil && wanted.Err() != nil
	cancel()
	if gaveUp {
		return false, s.unwanted()
	}
	var body json.RawMessage
	if err == nil {
		body, err = json.Marshal(info)
	}
	if err == nil {
		s.up.Store(true)
		err = s.send(message{Kind: kindReady, Body: body})
	}
	if err != nil {
		_ = s.send(message{Kind: kindFailed, Error: failureOf(err)})
		return false, err
	}
	return true, nil
}

// unwanted ends a worker that was not ready yet: by a signal, which is no
// failure, or because the supervisor is gone.
func (s *session) unwanted() error {
	if !closed(s.ended) {
		return s.send(message{Kind: kindDraining, Name: string(Signalled)})
	}
	if s.err != nil {
		return s.err
	}
	return im.Errorf(im.Unavailable, "the supervisor ended before this worker was ready")
}

// untilDrained waits for a reason to drain, and drains.
func (s *session) untilDrained(ctx context.Context) error {
	var why Reason
	var arg json.RawMessage
	select {
	case m := <-s.drain:
		why, arg = Asked, m.Body
	case <-ctx.Done():
		why = Signalled
	case <-s.ended:
		why = Orphaned
	}
	_ = s.send(message{Kind: kindDraining, Name: string(why)})
	err := s.worker.Drain(context.WithoutCancel(ctx), why, arg)
	if why == Orphaned {
		err = errors.Join(err, s.err)
	}
	return err
}
