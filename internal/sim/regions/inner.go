package regions

import (
	"context"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
)

// local is the region's own mailbox.
type local struct{ *proc }

// Submit implements im.Mailbox. Steps of a move may be met by a crash before and
// after them, and by the slot's going to another node.
func (l *local) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	w := l.s.w
	if w.skips(cmd, done) {
		return
	}
	if isStep(cmd) && w.chance(w.crash*5) {
		w.logf("%s crashes before %T", l.h.name(), cmd)
		w.after(0, l.h.crash)
	}
	if isStep(cmd) && len(l.s.hosts) > 1 && w.chance(w.shift) {
		l.s.shift(to.Slot(), w.rng.IntN(len(l.s.hosts)))
	}
	after := isStep(cmd) && w.chance(w.crash*5)
	l.enqueue(shard.Input{To: to, Cmd: cmd, Queued: l.clock(), Done: im.CompletionFunc(func(cmd im.Command, res im.Result, err error) {
		if after {
			w.logf("%s crashes after %T", l.h.name(), cmd)
			w.after(0, l.h.crash)
		}
		if done != nil {
			// It may wake a goroutine, so it is an event of its own.
			w.after(0, func() { done.Complete(cmd, res, err) })
		}
	})})
}

func (l *local) ReadTimeline(context.Context, im.UserID, im.Seq, int) ([][]byte, error) {
	return nil, nil
}

func (l *local) ReadConversation(context.Context, im.UserID, im.Seq, int) ([][]byte, im.Seq, error) {
	return nil, 0, nil
}

func (l *local) ReadStatement(context.Context, im.UserID, im.Seq, int) ([][]byte, im.Seq, error) {
	return nil, 0, nil
}

func (l *local) Level() im.Level { return im.AnyLevel }

func (l *local) Receive(m *entity.Message) { l.enqueue(shard.Input{To: m.To, Msg: m}) }

func (l *local) Records(ctx context.Context, a im.Addr) ([]im.Record, error) {
	e, err := l.s.store.Load(ctx, a, func([]im.Record) im.Seq { return 1 << 62 })
	return l.s.w.spoil(e.Records), err
}

func (l *local) ReadLog(ctx context.Context, a im.Addr, from im.Seq, limit, maxBytes int) ([]im.LogEntry, error) {
	return l.s.store.ReadLog(ctx, a, from, min(limit, 1+l.s.w.rng.IntN(4)), maxBytes)
}

// pass takes a link message to the node that serves its entity: this one, or
// another, unless it gets lost on the way.
func (p *proc) pass(m *entity.Message, take func(at *proc)) {
	w, h := p.s.w, p.h.serving(p.s, m.To)
	if h == p.h {
		take(p)
		return
	}
	w.report.Carried++
	if w.chance(w.lose) {
		w.report.Lost++
		return
	}
	w.after(w.between(0, w.delay), func() {
		if at := h.alive(); at != nil {
			take(at)
		}
	})
}

// carry is what the Region is given to take messages to other nodes.
func (p *proc) carry(m *entity.Message) bool {
	h := p.h.serving(p.s, m.To)
	if p.s.w.opts.Defect == CarriedWrong && len(p.s.hosts) > 1 {
		if wrong := p.s.hosts[(h.index+1)%len(p.s.hosts)].alive(); wrong != nil {
			p.s.w.after(0, func() { wrong.region.Receive(m) })
		}
		return true
	}
	if h == p.h {
		return false
	}
	if p.s.w.opts.Defect == WordNotCarried && m.Body.Kind == entity.BodyMoved {
		return true
	}
	p.pass(m, func(at *proc) { at.region.Receive(m) })
	return true
}

// whole is the way to every entity of the region, past the Regions of its nodes, for
// one of them or a relay.
type whole struct {
	s     *site
	sight *sight
	// own is the process's own mailbox; nil: it has none.
	own *proc
	// enter runs what comes back, unless the process has died; cut: it does not reach the
	// nodes.
	enter func(func())
	cut   func() bool
}

// tries is how often somebody is asked who says that another node serves an
// entity.
const tries = 4

// Submit implements im.Mailbox.
func (m *whole) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	if done == nil {
		done = im.CompletionFunc(func(im.Command, im.Result, error) {})
	}
	m.submit(to, cmd, done, tries)
}

func (m *whole) submit(to im.Addr, cmd im.Command, done im.Completion, left int) {
	w := m.s.w
	answer := im.CompletionFunc(func(cmd im.Command, res im.Result, err error) {
		m.enter(func() {
			if !im.IsElsewhere(err) || left == 0 {
				done.Complete(cmd, res, err)
				return
			}
			w.after(w.between(10*time.Millisecond, 500*time.Millisecond), func() {
				m.enter(func() { m.submit(to, cmd, done, left-1) })
			})
		})
	})
	if h := m.sight.serving(m.s, to); m.own == nil || h != m.own.h {
		m.ask(h, to, cmd, answer)
		return
	}
	(&local{m.own}).Submit(to, cmd, answer)
}

// ask submits a command to another node of the region.
func (m *whole) ask(h *host, to im.Addr, cmd im.Command, done im.Completion) {
	w := m.s.w
	answered := false
	once := func(res im.Result, err error) {
		if !answered {
			answered = true
			done.Complete(cmd, res, err)
		}
	}
	broken := &im.Error{Kind: im.Unavailable, Detail: "the link to another node broke"}
	w.after(w.between(0, w.delay), func() {
		at := h.alive()
		if at == nil || m.cut() || w.chance(w.fail) {
			once(nil, broken)
			return
		}
		at.calls = append(at.calls, func() { once(nil, broken) })
		(&local{at}).Submit(to, cmd, im.CompletionFunc(func(_ im.Command, res im.Result, err error) {
			w.after(w.between(0, w.delay), func() {
				if m.cut() {
					res, err = nil, broken
				}
				once(res, err)
			})
		}))
	})
}

// ReadTimeline implements im.Mailbox.
func (m *whole) ReadTimeline(context.Context, im.UserID, im.Seq, int) ([][]byte, error) {
	return nil, nil
}

// ReadConversation implements im.Mailbox.
func (m *whole) ReadConversation(context.Context, im.UserID, im.Seq, int) ([][]byte, im.Seq, error) {
	return nil, 0, nil
}
