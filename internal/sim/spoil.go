package sim

import (
	"slices"

	"github.com/skein-im/skein/internal/im"
)

// spoil makes a call of a gateway what one with a defect would make, and
// reports whether it keeps it. It stands between the gateway and its mailbox,
// so the gateway needs no switch.
func (g *gateway) spoil(call *roleCall) (kept bool) {
	switch cmd := call.cmd.(type) {
	case *im.Attach:
		call.cmd = g.spoilAttach(cmd)
	case *im.Detach:
		if g.w.defect == StaysAttached {
			call.cmd = &im.Detach{}
		}
	case *im.Send:
		if g.holding {
			g.held = append(g.held, call)
			return true
		}
	}
	return false
}

func (g *gateway) spoilAttach(cmd *im.Attach) *im.Attach {
	if cmd.Resume == nil {
		return cmd
	}
	changed, resume := *cmd, *cmd.Resume
	changed.Resume = &resume
	switch g.w.defect {
	case ResumesBehind:
		resume.After -= min(resume.After, 1)
	case ResumesAhead:
		resume.After++
	case LoginIgnored:
		changed.Login = g.clock()
	}
	return &changed
}

// complete hands an answer to the gateway. A session that is resumed by it
// repeats its sends in place, which defects meddle with.
func (g *gateway) complete(call *roleCall, res im.Result, err error) {
	attach, ok := call.cmd.(*im.Attach)
	g.holding = ok && attach.Resume != nil && (g.w.defect == RepeatsReversed || g.w.defect == ForgetsRepeats)
	call.done.Complete(call.cmd, res, err)
	if !g.holding {
		return
	}
	g.holding = false
	held := g.held
	g.held = nil
	if g.w.defect == RepeatsReversed {
		slices.Reverse(held)
	} else if len(held) > 0 {
		held = held[1:]
	}
	for _, c := range held {
		g.carry(c)
	}
}
