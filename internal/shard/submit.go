package shard

import (
	"math"
	"time"

	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/im"
)

var errStopping = &im.Error{Kind: im.Unavailable, RetryAfterMS: 500, Detail: "the mailbox is stopping"}

// Submit queues an input. A command is refused when Control sheds it or the
// queue is half full, a link message is dropped when it is full.
func (s *Shard) Submit(in Input) {
	if !s.admit(&in) {
		return
	}
	arrived(s.opts.Traces, &in)
	length, bytes := s.limits(&in)
	size := in.size()
	s.mu.Lock()
	if s.closed || len(s.queue) >= length || s.bytes >= bytes {
		closed := s.closed
		s.mu.Unlock()
		s.turnAway(&in, closed)
		return
	}
	s.queue = append(s.queue, in)
	s.bytes += size
	first := len(s.queue) == 1
	s.mu.Unlock()
	if first {
		s.nudge()
	}
}

// admit asks Control about a command; a link message is work that follows from
// others. It is one of the first things that happen to an input, and has to
// cost little.
func (s *Shard) admit(in *Input) bool {
	if in.Msg != nil {
		if s.opts.Control != nil {
			s.opts.Control.Enter()
		}
		return true
	}
	in.Queued = s.opts.Now()
	if s.opts.Control == nil {
		return true
	}
	level := admit.Priority(in.Cmd, im.UserID(in.To.ID), admit.Hour(in.Queued))
	if s.opts.Control.Admit(level) {
		return true
	}
	in.finish(s.opts.Control.Overloaded(level))
	return false
}

// started tells Control that an input waits no longer.
func (s *Shard) started(in *Input, queued im.Millis) {
	if in.Msg != nil {
		s.opts.Control.Start()
		return
	}
	s.opts.Control.Observe(time.Duration(queued) * time.Millisecond)
}

// limits are how long the queue may be, in inputs and bytes, for an input to
// be taken.
func (s *Shard) limits(in *Input) (length, bytes int) {
	length, bytes = s.opts.QueueSize, s.opts.QueueBytes
	if bytes == 0 {
		bytes = math.MaxInt
	}
	if in.Msg != nil {
		return length, bytes
	}
	if _, ok := in.Cmd.(*im.Detach); ok {
		// It frees what an Attach took, so the queue is bounded by those.
		return math.MaxInt, math.MaxInt
	}
	return length / 2, bytes / 2
}

// turnAway is for an input that finds no room, or a shard that is closed.
func (s *Shard) turnAway(in *Input, closed bool) {
	if in.Msg != nil {
		s.Dropped.Add(1)
		if s.opts.Control != nil {
			s.opts.Control.Leave()
		}
		return
	}
	if s.opts.Control != nil {
		s.opts.Control.Withdraw()
	}
	if closed {
		in.finish(errStopping)
		return
	}
	s.Busy.Add(1)
	in.finish(&im.Error{Kind: im.Busy, RetryAfterMS: 200, Detail: "the mailbox has too much to do"})
}

// QueueLen is how many inputs wait, and how many bytes they hold.
func (s *Shard) QueueLen() (inputs, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue), s.bytes
}
