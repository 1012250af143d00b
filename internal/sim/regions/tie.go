package regions

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/route"
)

// tie is a node's role link to a relay for another region: in order both ways until it
// breaks, and made again then. Commands that are under way, or find no link, fail at once.
type tie struct {
	from  *proc
	h     *relayHost
	x     int
	heard func(*im.Reach)
	// at is the process at the other end, nil while there is no link; life counts links.
	at   *relayProc
	life int
	// breaking: the link carries nothing any more, and nobody has noticed.
	breaking bool
	// upAt and downAt are when the last thing sent arrives.
	upAt, downAt time.Duration
	calls        []*tieCall
	// closed is set by a goroutine of package route; world.collect does the rest.
	closed atomic.Bool
	ended  bool
}

// tieCall is a command without an answer.
type tieCall struct {
	cmd  im.Command
	done im.Completion
}

var _ route.Link = (*tie)(nil)

var errTie = &im.Error{Kind: im.Unavailable, RetryAfterMS: 100, Detail: "simulated: the link to the relay broke"}

func newTie(from *proc, h *relayHost, x int, heard func(*im.Reach)) *tie {
	t := &tie{from: from, h: h, x: x, heard: heard}
	from.ties = append(from.ties, t)
	from.s.w.after(0, t.connect)
	return t
}

// connect makes the link, now or when the relay can be reached.
func (t *tie) connect() {
	w := t.from.s.w
	if t.from.dead || t.closed.Load() || t.at != nil {
		return
	}
	r := t.h.alive()
	if r == nil || t.h.cutIn || t.h.paused > w.now || w.chance(w.fail) {
		w.after(w.between(10*time.Millisecond, time.Second), t.connect)
		return
	}
	t.at, t.breaking = r, false
	r.ties = append(r.ties, t)
	t.tell()
}

// tell is the relay's word of how it stands with the region.
func (t *tie) tell() {
	reach := t.at.out[t.x].Reach()
	t.down(func() { t.heard(&reach) })
}

// up lets f happen in the relay.
func (t *tie) up(f func(r *relayProc)) {
	w, r, life := t.from.s.w, t.at, t.life
	t.upAt = max(t.upAt, w.now+w.between(0, w.delay))
	w.after(t.upAt-w.now, func() {
		if t.passes(life) {
			r.enter(func() { f(r) })
		}
	})
}

// down lets f happen in the node.
func (t *tie) down(f func()) {
	w, life := t.from.s.w, t.life
	t.downAt = max(t.downAt, w.now+w.between(0, w.delay))
	w.after(t.downAt-w.now, func() {
		if t.passes(life) && !t.from.dead {
			f()
		}
	})
}

// passes reports whether something under way arrives; if not, the link breaks.
func (t *tie) passes(life int) bool {
	w := t.from.s.w
	if t.life != life {
		return false
	}
	if t.h.cutIn || w.chance(w.lose/8) {
		t.breaks(3 * time.Second)
	}
	return !t.breaking
}

// breaks ends the link; the node notices after a while.
func (t *tie) breaks(notice time.Duration) {
	w, life := t.from.s.w, t.life
	if t.at == nil || t.breaking {
		return
	}
	t.breaking = true
	w.report.Ties++
	w.after(w.between(0, notice), func() {
		if t.life == life {
			t.lose()
			w.after(w.between(10*time.Millisecond, time.Second), t.connect)
		}
	})
}

// lose tells the node that the link is gone, and fails what was under way.
func (t *tie) lose() {
	w := t.from.s.w
	t.at.ties = slices.DeleteFunc(t.at.ties, func(o *tie) bool { return o == t })
	t.at, t.breaking = nil, false
	t.life++
	calls := t.calls
	t.calls = nil
	if t.from.dead {
		return
	}
	t.heard(nil)
	for _, c := range calls {
		w.after(0, func() { t.complete(c, nil, errTie) })
	}
}

func (t *tie) complete(c *tieCall, res im.Result, err error) {
	if !t.from.dead && c.done != nil {
		c.done.Complete(c.cmd, res, err)
	}
}

// Submit implements route.Link.
func (t *tie) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	c := &tieCall{cmd, done}
	if t.at == nil || t.closed.Load() {
		t.complete(c, nil, errTie)
		return
	}
	w, r, life := t.from.s.w, t.at, t.life
	t.calls = append(t.calls, c)
	t.up(func(*relayProc) {
		if _, inhabits := cmd.(*im.Inhabit); inhabits && w.opts.Defect == RelayAnswersEarly {
			t.answer(life, c, &im.Arrival{}, nil)
		}
		far := w.far(r.s, w.sites[t.x].name, r.enter, func() bool { return r.h.cutOut })
		far.Submit(to, cmd, im.CompletionFunc(func(_ im.Command, res im.Result, err error) { t.answer(life, c, res, err) }))
	})
}

// answer carries an answer back.
func (t *tie) answer(life int, c *tieCall, res im.Result, err error) {
	if t.life != life {
		return
	}
	t.down(func() {
		if i := slices.Index(t.calls, c); i >= 0 {
			t.calls = slices.Delete(t.calls, i, i+1)
			t.complete(c, res, err)
		}
	})
}

// Forward implements route.Link.
func (t *tie) Forward(m *entity.Message) {
	if t.at != nil && !t.closed.Load() {
		one := *m
		t.up(func(r *relayProc) { r.put(t.x, &one, 0) })
	}
}

// Close implements route.Link. It is called beside the run.
func (t *tie) Close(context.Context) { t.closed.Store(true) }

// end is the rest of Close, which takes a while.
func (t *tie) end() {
	w := t.from.s.w
	if t.closed.Load() && !t.ended {
		t.ended = true
		w.after(w.between(0, 2*time.Second), func() {
			if t.at != nil {
				t.lose()
			}
		})
	}
}

// Health implements route.Link.
func (t *tie) Health() error { return nil }

// Level implements route.Link.
func (t *tie) Level() im.Level { return im.AnyLevel }

// Announce implements route.Link; nobody serves slots in another region.
func (t *tie) Announce([]im.Slot, []im.Epoch) {}

// Offer implements route.Link; there are no sessions.
func (t *tie) Offer(im.Addr, im.Command, im.Completion) bool { return false }

// ReadTimeline implements route.Link.
func (t *tie) ReadTimeline(context.Context, im.UserID, im.Seq, int) ([][]byte, error) {
	return nil, nil
}

// ReadConversation implements route.Link.
func (t *tie) ReadConversation(context.Context, im.UserID, im.Seq, int) ([][]byte, im.Seq, error) {
	return nil, 0, nil
}

// ReadStatement implements route.Link.
func (t *tie) ReadStatement(context.Context, im.UserID, im.Seq, int) ([][]byte, im.Seq, error) {
	return nil, 0, nil
}
