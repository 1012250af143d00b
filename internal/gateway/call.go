package gateway

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// call takes a Call and runs it beside the connection, if there is room.
func (s *session) call(payload []byte) error {
	m := new(skeinv1.Call)
	if err := wire.UnmarshalMessage(payload, m); err != nil {
		return err
	}
	s.g.stats.calls.Add(1)
	begun := s.g.cfg.Now()
	if s.g.cfg.Caller == nil {
		s.answerCall(m.GetId(), begun, nil, im.Errorf(im.Unimplemented, "calls are not served here"))
		return nil
	}
	if err := s.admit(s.g.cfg.Calls, admit.Calls, begun); err != nil {
		s.answerCall(m.GetId(), begun, nil, err)
		return nil
	}
	ctx := s.reserve()
	if ctx == nil {
		s.answerCall(m.GetId(), begun, nil, &im.Error{Kind: im.Busy, RetryAfterMS: windowRetryMS, Detail: "too many calls at a time"})
		return nil
	}
	s.g.tasks.Go(func() {
		defer s.vacate()
		ctx, cancel := context.WithTimeout(ctx, s.g.cfg.CallTimeout)
		defer cancel()
		body, err := s.g.cfg.Caller.Call(ctx, s.user, s.device, m.GetMethod(), m.GetBody())
		s.answerCall(m.GetId(), begun, body, err)
	})
	return nil
}

// reserve takes room for a call, and returns the context of the session; nil:
// there is no room.
func (s *session) reserve() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.is(left) || s.work != nil && s.work.calls >= MaxConnCalls {
		return nil
	}
	select {
	case s.g.slots <- struct{}{}:
	default:
		return nil
	}
	w := s.busy()
	w.calls++
	if w.ctx == nil {
		w.ctx, w.cancel = context.WithCancel(context.Background())
	}
	return w.ctx
}

// vacate makes room for another call.
func (s *session) vacate() {
	<-s.g.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.work; w != nil {
		if w.calls--; w.calls == 0 {
			w.cancel()
			w.ctx, w.cancel = nil, nil
		}
		s.rest()
	}
}

// answerCall sends the Answer to a call that was taken at a time.
func (s *session) answerCall(id uint64, begun time.Time, body []byte, err error) {
	s.g.stats.took[OpCall].Observe(uint64(s.user), s.g.cfg.Now().Sub(begun))
	m := &skeinv1.Answer{Id: id, Body: body}
	if err == nil && proto.Size(m) > im.MaxServerFrame {
		err = im.Errorf(im.TooLarge, "the answer is over %d bytes; ask for less", im.MaxServerFrame)
	}
	if err != nil {
		e := im.AsError(err)
		m.Body, m.Error = nil, wire.ErrorToProto(e)
		s.g.stats.callRefused[kindIndex(e.Kind)].Add(1)
		if e.Kind == im.Internal {
			s.defect("call", err)
		}
	}
	frame, err := wire.AppendMessage(nil, wire.TypeAnswer, m)
	if err != nil {
		s.defect("call", err)
		s.conn.Close(im.CloseInternal, "an answer cannot be sent")
		return
	}
	s.g.stats.frameOut(wire.TypeAnswer)
	_ = s.conn.Send(frame)
}
