package sim

import (
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
)

// gateway is a gateway process: it forwards, by its own view of the
// placement.
type gateway struct {
	w    *world
	id   int
	up   bool
	view view
}

// nodeOf is whom the gateway believes to own an entity.
func (g *gateway) nodeOf(a im.Addr) *node { return g.w.nodes[g.view.owner[g.w.slotPos[a.Slot()]]] }

// kill ends the process and its connections; another comes up later.
func (g *gateway) kill() {
	w := g.w
	w.logf("gateway %d: dies", g.id)
	g.up = false
	for _, u := range w.users {
		for _, d := range u.devices {
			if d.conn != nil && d.conn.gate == g {
				d.conn.tear()
			}
		}
	}
	w.after(w.between(0, 2*time.Second), func() {
		g.up = true
		g.view = w.placement.snapshot()
	})
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

// submit hands a command to a core as its gateway's link would.
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
		c.then(res, err)
	}
}

// errTimeout is what a client makes of no answer.
var errTimeout = im.Errorf(im.Unavailable, "simulated: no answer")

// request carries one command over HTTP: through any gateway, with no order
// among requests. The answer may get lost, with the command or after it.
func (w *world) request(to im.Addr, cmd im.Command, done func(im.Result, error)) {
	answered := false
	w.requests++
	finish := func(res im.Result, err error) {
		if !answered {
			answered = true
			w.requests--
			done(res, err)
		}
	}
	w.after(4*time.Second, func() { finish(nil, errTimeout) })
	g := w.gateways[w.rng.IntN(len(w.gateways))]
	if !g.up || w.fault(w.plan.loseRequest) {
		return
	}
	lose := w.fault(w.plan.loseRequest)
	w.after(w.between(0, w.plan.lag), func() {
		n := g.nodeOf(to)
		if !n.up {
			return
		}
		w.submit(n.coreOf(to.Slot()), to, cmd, func(res im.Result, err error) {
			if !lose {
				w.after(w.between(0, w.plan.lag), func() { finish(res, err) })
			}
		})
	})
}
