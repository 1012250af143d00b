package shard

import (
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/trace"
)

// followed is an input that is traced and waits for the commit.
type followed struct {
	id      im.TraceID
	hop     *trace.Hop
	applied int64
}

// trace is the trace of an input; 0: it has none.
func (in *Input) trace() im.TraceID {
	if in.Msg != nil {
		return in.Msg.Body.Trace
	}
	if cmd, ok := in.Cmd.(*im.Send); ok && cmd.Trace != nil {
		return cmd.Trace.ID
	}
	return 0
}

// at is where a traced input keeps when it was handed over.
func (in *Input) at() *int64 {
	if in.Msg != nil {
		return &in.Msg.At
	}
	return &in.Cmd.(*im.Send).Trace.At
}

// hop says which steps an input takes.
func (in *Input) hop() *trace.Hop {
	switch {
	case in.Msg == nil:
		return &trace.AtSender
	case in.Msg.Seq == 0:
		return &trace.OfAck
	}
	return &trace.AtReceiver
}

// seq is the number of a link message.
func (in *Input) seq() uint64 {
	if in.Msg == nil {
		return 0
	}
	return uint64(max(in.Msg.Seq, in.Msg.Ack))
}

// arrived records how a traced input came here. From now on At is when it was
// queued.
func arrived(rec *trace.Recorder, in *Input) {
	id := in.trace()
	if id == 0 || rec == nil {
		return
	}
	now, at := rec.Now(), in.at()
	rec.Record(trace.Span{Trace: id, Step: in.hop().Arrive, Start: *at, End: now, Of: trace.Entity(in.To), Seq: in.seq()})
	*at = now
}

// applyTraced is run for an input that is traced.
func (c *Core) applyTraced(cl *cell, in *Input, id im.TraceID) {
	rec, hop := c.cfg.Traces, in.hop()
	s := trace.Span{Trace: id, Of: trace.Entity(cl.addr), Seq: in.seq()}
	begun := rec.Now()
	c.run(cl, *in)
	applied := rec.Now()
	s.Step, s.Start, s.End = hop.Queue, *in.at(), begun
	rec.Record(s)
	s.Step, s.Start, s.End = hop.Apply, begun, applied
	rec.Record(s)
	if cl.fill != nil && hop.Commit != 0 {
		cl.fill.followed = append(cl.fill.followed, followed{id, hop, applied})
	}
}

// leave lets a link message out.
func (c *Core) leave(m *entity.Message) {
	if m.Body.Trace != 0 {
		m.At = c.cfg.Traces.Now()
	}
	c.host.Forward(m)
}

// departed notes when a batch goes to the store, if anybody asks.
func (c *Core) departed(b *batch) {
	for _, p := range b.parts {
		if len(p.followed) > 0 {
			b.traced, b.cut = true, c.cfg.Traces.Now()
			return
		}
	}
}

// committed notes when the store has answered.
func (b *batch) committed(rec *trace.Recorder) {
	if b.traced {
		b.stored = rec.Now()
	}
}

// released records what a part that was let out has come through.
func (c *Core) released(b *batch, p *part, err error) {
	rec := c.cfg.Traces
	stored, now := b.stored, rec.Now()
	if stored == 0 {
		stored = now
	}
	if len(p.followed) == 0 {
		return
	}
	for _, f := range p.followed {
		s := trace.Span{Trace: f.id, Of: trace.Entity(p.cell.addr), Error: im.KindOf(err)}
		s.Step, s.Start, s.End = f.hop.Commit, b.cut, stored
		rec.Record(s)
		s.Error = 0
		s.Step, s.Start, s.End = f.hop.Batch, f.applied, b.cut
		rec.Record(s)
		s.Step, s.Start, s.End = f.hop.Release, stored, now
		if err == nil {
			rec.Record(s)
		}
	}
}
