package gateway

import (
	"sync"
	"sync/atomic"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/trace"
	"github.com/skein-im/skein/internal/wire"
)

// follow decides whether the n-th send is traced; nil: it is not. asked is the
// trace that the client wants.
func (s *session) follow(n uint64, asked im.TraceID) *im.Trace {
	id := s.g.cfg.Sampler.Pick(n, s.user, asked)
	if id == 0 {
		return nil
	}
	return &im.Trace{ID: id, Begun: s.g.cfg.Traces.Now()}
}

// span begins a span of this session's user.
func (s *session) span(id im.TraceID, step trace.Step, start int64) trace.Span {
	return trace.Span{Trace: id, Step: step, Start: start, Of: trace.Entity(s.addr())}
}

// submit hands a send to the mailbox.
func (s *session) submit(cmd *im.Send) {
	if t := cmd.Trace; t != nil {
		span := s.span(t.ID, trace.Receive, t.Begun)
		if t.At != 0 {
			span.Step, span.Start = trace.Hold, t.At
		}
		span.End = s.g.cfg.Traces.Now()
		s.g.cfg.Traces.Record(span)
		t.At = span.End
	}
	s.g.cfg.Mailbox.Submit(s.addr(), cmd, s)
}

// answerTraced is answer for a send that may be traced.
func (s *session) answerTraced(seq im.ClientSeq, taken uint32, t *im.Trace, sent *im.Sent, err error) {
	if t == nil {
		s.answer(seq, taken, sent, err)
		return
	}
	rec := s.g.cfg.Traces
	came := rec.Now()
	s.answer(seq, taken, sent, err)
	whole := s.span(t.ID, trace.Send, t.Begun)
	whole.End, whole.Error = rec.Now(), im.KindOf(err)
	last := s.span(t.ID, trace.Answer, came)
	last.End = whole.End
	if sent != nil {
		whole.Seq, last.Seq = uint64(sent.Seq), uint64(sent.Seq)
	}
	rec.Record(whole)
	rec.Record(last)
}

// delivery is a traced entry on its way to a device.
type delivery struct {
	id  im.TraceID
	seq im.Seq
	at  int64
}

// tracedIn finds the traced ones among encoded entries.
func (g *Gateway) tracedIn(entries [][]byte) (found []delivery) {
	if g.cfg.Traces == nil {
		return nil
	}
	for _, e := range entries {
		if id, seq := wire.EntryTrace(e); id != 0 {
			found = append(found, delivery{id, seq, g.cfg.Traces.Now()})
		}
	}
	return found
}

// delivered records deliveries that have been written, and expects their acks.
func (s *session) delivered(written []delivery) {
	now := s.g.cfg.Traces.Now()
	for i := range written {
		d := &written[i]
		span := s.span(d.id, trace.Deliver, d.at)
		span.End, span.Seq = now, uint64(d.seq)
		s.g.cfg.Traces.Record(span)
		d.at = now
	}
	s.g.unacked.add(s, written)
}

// maxUnacked is how many deliveries are watched for their acks; the acks of more
// are not recorded.
const maxUnacked = 4096

// unacked has the traced deliveries that clients have not acknowledged.
type unacked struct {
	// count is how many there are: mostly none, and then there is no need for
	// the mutex.
	count atomic.Int32
	mu    sync.Mutex
	by    map[*session][]delivery
}

func (u *unacked) add(s *session, ds []delivery) {
	u.mu.Lock()
	defer u.mu.Unlock()
	ds = ds[:min(len(ds), maxUnacked-int(u.count.Load()))]
	if len(ds) == 0 {
		return
	}
	if u.by == nil {
		u.by = map[*session][]delivery{}
	}
	u.by[s] = append(u.by[s], ds...)
	u.count.Add(int32(len(ds)))
}

// take removes a session's deliveries up to an entry, and returns them.
func (u *unacked) take(s *session, upTo im.Seq) []delivery {
	if u.count.Load() == 0 {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.by[s]
	n := 0
	for n < len(all) && all[n].seq <= upTo {
		n++
	}
	if n == len(all) {
		delete(u.by, s)
	} else {
		u.by[s] = all[n:]
	}
	u.count.Add(-int32(n))
	return all[:n]
}

// acknowledged records that the client has what was delivered up to an entry.
func (s *session) acknowledged(upTo im.Seq) {
	for _, d := range s.g.unacked.take(s, upTo) {
		span := s.span(d.id, trace.ClientAck, d.at)
		span.Seq = uint64(d.seq)
		s.g.cfg.Traces.Record(span)
	}
}
