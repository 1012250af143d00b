package sim

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"time"

	role "github.com/skein-im/skein/internal/gateway"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/route"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/trace"
)

// gateway is a gateway process: the real one with its routing, on simulated
// connections and ties, by its own view of the placement.
type gateway struct {
	w    *world
	id   int
	up   bool
	view view
	// life counts the processes: what is left of earlier ones has no effect.
	life  int
	role  *role.Gateway
	route *route.Mailbox
	ties  []*tie
	conns []*conn
	// counter is nil where there are no campaigns.
	counter *counter
	// attaching is the connection whose Attach is being submitted.
	attaching *conn
	// asking: the newest placement is under way.
	asking bool
	// held are sends that a defect keeps while holding.
	held    []*roleCall
	holding bool
}

// clock is the gateways' one.
func (g *gateway) clock() im.Millis { return im.Millis(epochStart + g.w.now.Milliseconds()) }

// boot starts the process.
func (g *gateway) boot() {
	w := g.w
	g.up, g.asking, g.view = true, false, w.placement.snapshot()
	g.life++
	var err error
	g.role, err = role.New(role.Config{
		Mailbox: g, ParseToken: w.parseToken, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		NextSession: func() im.SessionID { w.sessions++; return w.sessions },
		Now:         func() time.Time { return time.UnixMilli(int64(g.clock())) },
		Rand:        w.jitter,
		After:       g.after,
		ResumeFor:   w.plan.resumeFor, MaxAttaching: w.plan.attaching,
		Sampler: trace.NewSampler(tracedPercent, nil, uint64(g.id)<<32|uint64(g.life)), Traces: w.recorder(g.clock),
	})
	if err != nil {
		w.fail("gateway %d: %v", g.id, err)
	}
	g.ties = make([]*tie, len(w.nodes))
	for _, n := range w.nodes {
		g.connect(n)
	}
	g.openRoute()
	g.openCounter()
}

// tracedPercent of the messages carry a trace.
const tracedPercent = 20

// recorder records on virtual time; nobody reads it.
func (w *world) recorder(clock func() im.Millis) *trace.Recorder {
	return trace.New(trace.Options{Node: "sim", Spans: 64, Clock: func() time.Time { return time.UnixMilli(int64(clock())) }})
}

// after runs f after a while, unless the process has died or f was stopped.
func (g *gateway) after(d time.Duration, f func()) (stop func() bool) {
	life, stopped := g.life, false
	g.w.after(d, func() {
		if !stopped && g.life == life {
			f()
		}
	})
	return func() bool { stopped = true; return true }
}

// parseToken knows the tokens of devices.
func (w *world) parseToken(token string) (im.UserID, im.DeviceID, [32]byte, error) {
	d := w.tokens[token]
	if d == nil {
		return 0, 0, [32]byte{}, im.Errorf(im.Unauthenticated, "no such token")
	}
	return d.user.id, d.id, d.token, nil
}

// Submit implements im.Mailbox.
func (g *gateway) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	call := &roleCall{to: to, cmd: cmd, done: done}
	if attach, ok := cmd.(*im.Attach); ok {
		g.attaching = g.w.connOf(to, attach)
	}
	if !g.spoil(call) {
		g.carry(call)
	}
}

// carry hands a call to the routing of production.
func (g *gateway) carry(call *roleCall) {
	g.route.Submit(call.to, call.cmd, call.done)
}

// ReadTimeline implements im.Mailbox; gateways do not call it.
func (g *gateway) ReadTimeline(context.Context, im.UserID, im.Seq, int) ([][]byte, error) {
	return nil, errTie
}

// ReadConversation implements im.Mailbox; gateways do not call it.
func (g *gateway) ReadConversation(context.Context, im.UserID, im.Seq, int) ([][]byte, im.Seq, error) {
	return nil, 0, errTie
}

// connOf is the connection that an Attach is for.
func (w *world) connOf(to im.Addr, cmd *im.Attach) *conn {
	d := w.byID[im.UserID(to.ID)].device(cmd.Device)
	c := d.logins[cmd.Login]
	if c == nil {
		w.fail("%v is attached with an unknown login %d", d, cmd.Login)
	}
	c.newest = cmd.Sink
	return c
}

// nodeOf is whom the gateway believes to own an entity.
func (g *gateway) nodeOf(a im.Addr) *node { return g.w.nodes[g.view.owner[g.w.slotPos[a.Slot()]]] }

func (g *gateway) forget(c *conn) {
	g.conns = slices.DeleteFunc(g.conns, func(o *conn) bool { return o == c })
}

// kill ends the process, its connections and ties; another comes up later.
func (g *gateway) kill() {
	w := g.w
	if !g.up {
		return
	}
	w.logf("gateway %d: dies", g.id)
	g.count()
	g.closeCounter()
	g.up = false
	g.life++
	for _, c := range slices.Clone(g.conns) {
		c.tear()
	}
	g.conns = nil
	for _, t := range g.ties {
		if t != nil {
			t.sever(0)
		}
	}
	w.after(w.between(0, 2*time.Second), g.boot)
}

// count adds what the process did to the report.
func (g *gateway) count() {
	if g.up {
		st := g.role.Stats()
		g.w.stats.Resumed += st.Resumed
		g.w.stats.Unresumed += st.Unresumed
	}
}

// call is a command on its way to its answer, which must come once.
type call struct {
	w    *world
	core *core
	to   im.Addr
	done bool
	// early: it was answered before its time, by a defect.
	early bool
	then  func(res im.Result, err error)
}

// submit hands a command to a core.
func (w *world) submit(c *core, to im.Addr, cmd im.Command, then func(im.Result, error)) {
	done := &call{w: w, core: c, to: to, then: then}
	if send, ok := cmd.(*im.Send); ok && w.defect == ReplyEarly {
		// Its answer stands for no entry: nobody could say so yet.
		early := *send
		early.Session = 0
		cmd = &early
		w.calls[cmd] = done
	}
	c.enqueue(shard.Input{To: to, Cmd: cmd, Done: done})
}

// Complete implements im.Completion.
func (c *call) Complete(cmd im.Command, res im.Result, err error) {
	if c.core.dead {
		return
	}
	if c.done {
		c.w.fail("%v: %T was answered twice", c.to, cmd)
	}
	c.done = true
	c.core.open--
	if !c.early {
		c.w.checkAnswer(c.to, cmd, res, err)
		c.w.checkOwner(c.to, err)
		c.then(res, err)
	}
}
