package sim

import (
	"time"

	"github.com/skein-im/skein/internal/im"
)

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
