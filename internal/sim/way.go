package sim

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/route"
)

// way is a gateway's link to a node as its routing sees it: whatever tie there is
// at the moment.
type way struct {
	im.Mailbox
	im.StatementReader
	g *gateway
	n *node
}

// openRoute makes the routing of a new process.
func (g *gateway) openRoute() {
	life := g.life
	g.route = route.New(route.Config{
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Dial:   func(m cluster.Member) (route.Link, error) { return &way{g: g, n: g.w.nodeNamed(m.Node)}, nil },
		Stale:  func() { g.catchUp(life) },
		After:  g.repeatAfter,
		Now:    func() time.Time { return time.UnixMilli(int64(g.clock())) },
		Rand:   g.w.jitter,
	})
	g.placed()
}

// repeatAfter is after for the routing, unless a defect makes that forget.
func (g *gateway) repeatAfter(d time.Duration, f func()) (stop func() bool) {
	if g.w.defect == RepeatForgotten {
		return func() bool { return true }
	}
	return g.after(d, f)
}

// catchUp asks for the newest placement, which takes its time.
func (g *gateway) catchUp(life int) {
	w := g.w
	if g.asking {
		return
	}
	g.asking = true
	w.after(w.between(0, 100*time.Millisecond), func() {
		if g.life != life {
			return
		}
		g.asking = false
		g.view = w.placement.snapshot()
		g.placed()
	})
}

// learn hears of a change of the placement.
func (g *gateway) learn(pos int, version uint64, owner int) {
	if g.view.learn(pos, version, owner) && g.up {
		g.placed()
	}
}

// placed tells the routing what the gateway believes.
func (g *gateway) placed() { g.route.Update(g.w.members, &g.view) }

// Owner implements route.Placement.
func (v *view) Owner(slot im.Slot) (cluster.Member, bool) {
	pos := v.w.posOf[slot]
	if pos < 0 {
		return cluster.Member{}, false
	}
	return v.w.members[v.owner[pos]], true
}

// describe makes the records of the nodes.
func (w *world) describe() {
	for i := range w.posOf {
		w.posOf[i] = -1
	}
	for slot, pos := range w.slotPos {
		w.posOf[slot] = int16(pos)
	}
	for _, n := range w.nodes {
		name := fmt.Sprint("node ", n.id)
		w.members = append(w.members, cluster.Member{Node: name, Roles: name, State: cluster.Up})
	}
}

func (w *world) nodeNamed(name string) *node {
	return w.nodes[slices.IndexFunc(w.members, func(m cluster.Member) bool { return m.Node == name })]
}

// Submit implements route.Link.
func (l *way) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	w, g := l.g.w, l.g
	if done == nil {
		done = im.CompletionFunc(func(im.Command, im.Result, error) {})
	}
	call := &roleCall{to: to, cmd: cmd, done: done}
	if attach, ok := cmd.(*im.Attach); ok {
		call.sink = &tiedSink{c: g.attaching, id: attach.Session, sink: attach.Sink}
	}
	switch t := g.ties[l.n.id]; {
	case t != nil:
		t.submit(call)
	case w.chance(0.5):
		done.Complete(cmd, nil, errTie)
	default:
		life := g.life
		w.after(w.between(0, 10*time.Millisecond), func() {
			if g.life == life {
				done.Complete(cmd, nil, errTie)
			}
		})
	}
}

// Offer implements route.Link.
func (l *way) Offer(to im.Addr, cmd im.Command, done im.Completion) bool {
	t := l.g.ties[l.n.id]
	id := im.SessionOf(cmd)
	if t == nil || !slices.ContainsFunc(t.sinks, func(s *tiedSink) bool { return s.id == id }) {
		return false
	}
	l.Submit(to, cmd, done)
	return true
}

// Level implements route.Link.
func (l *way) Level() im.Level { return im.AnyLevel }

// Health implements route.Link.
func (l *way) Health() error { return nil }

// Forward implements route.Link; gateways have no link messages.
func (l *way) Forward(*entity.Message) {}

// Announce implements route.Link; gateways serve no slots.
func (l *way) Announce([]im.Slot, []im.Epoch) {}

// Close implements route.Link; the nodes are always the same.
func (l *way) Close(context.Context) {}
