package api

import (
	"context"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/trace"
	"github.com/skein-im/skein/internal/wire"
)

// submitSend hands a send to the user's mailbox, traced if the client asks for
// it, or if it is drawn.
func (a *API) submitSend(ctx context.Context, user im.UserID, cmd *im.Send, asked string) (*im.Sent, error) {
	var want im.TraceID
	if asked != "" {
		var err error
		if want, err = im.ParseTraceID(asked); err != nil {
			return nil, err
		}
	}
	id := a.cfg.Sampler.Pick(a.sends.Add(1), user, want)
	if id == 0 {
		return im.Ask[*im.Sent](ctx, a.mailbox, im.User(user), cmd)
	}
	now := a.cfg.Traces.Now()
	cmd.Trace = &im.Trace{ID: id, Begun: now, At: now}
	sent, err := im.Ask[*im.Sent](ctx, a.mailbox, im.User(user), cmd)
	s := trace.Span{Trace: id, Step: trace.Send, Start: now, Of: trace.Entity(im.User(user)), Error: im.KindOf(err)}
	if err == nil {
		s.Seq = uint64(sent.Seq)
	}
	a.cfg.Traces.Record(s)
	return sent, err
}

// handedOut records that a poll is answered with traced entries.
func (a *API) handedOut(user im.UserID, entries [][]byte) {
	if a.cfg.Traces == nil {
		return
	}
	for _, e := range entries {
		if id, seq := wire.EntryTrace(e); id != 0 {
			a.cfg.Traces.Record(trace.Span{Trace: id, Step: trace.Deliver, Of: trace.Entity(im.User(user)), Seq: uint64(seq)})
		}
	}
}
