package regions

import (
	"context"
	"slices"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

func (w *world) site(name im.Region) *site {
	return w.sites[slices.IndexFunc(w.sites, func(s *site) bool { return s.name == name })]
}

// send carries a link message between regions: late, once, twice or never.
func (w *world) send(from *site, to im.Region, m *entity.Message, hops uint8) {
	if to == from.name {
		w.failf("%s sends %v to itself", to, m)
	}
	target := w.site(to)
	m = w.falseAck(m)
	w.lastSeq[[2]im.Addr{m.From, m.To}] = max(w.lastSeq[[2]im.Addr{m.From, m.To}], m.Seq)
	if w.lost(from, target, w.lose) {
		return
	}
	copies := 1
	if w.chance(w.repeat) {
		copies = 2
	}
	for range copies {
		one := *m
		w.after(w.between(0, w.delay), func() {
			if p := target.any(); p != nil {
				p.region.Deliver(from.name, &one, hops)
			}
		})
	}
}

// far is another region's mailbox, as a role link offers it.
type far struct {
	from *proc
	to   *site
}

func (p *proc) far(of im.Region) im.Mailbox {
	if of == p.s.name {
		return nil
	}
	return &far{p, p.s.w.site(of)}
}

// Submit implements im.Mailbox. A call may fail on its way there, or its answer
// on the way back.
func (f *far) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	w := f.from.s.w
	answer := func(res im.Result, err error) {
		if f.from.dead || done == nil {
			return
		}
		done.Complete(cmd, res, err)
	}
	broken := &im.Error{Kind: im.Unavailable, Detail: "the link broke"}
	if w.lost(f.from.s, f.to, w.fail) {
		w.after(w.between(0, w.delay), func() { answer(nil, broken) })
		return
	}
	w.after(w.between(0, w.delay), func() {
		p := f.to.any()
		if p == nil {
			answer(nil, broken)
			return
		}
		answered := false
		once := func(res im.Result, err error) {
			if !answered {
				answered = true
				answer(res, err)
			}
		}
		// A process that dies never answers.
		p.calls = append(p.calls, func() { once(nil, broken) })
		p.region.Guest().Submit(to, w.twist(f.from.s, cmd), im.CompletionFunc(func(_ im.Command, res im.Result, err error) {
			if w.lost(f.to, f.from.s, w.fail) {
				res, err = nil, broken
			}
			w.after(w.between(0, w.delay), func() { once(res, err) })
		}))
	})
}

// ReadTimeline implements im.Mailbox.
func (f *far) ReadTimeline(context.Context, im.UserID, im.Seq, int) ([][]byte, error) {
	return nil, nil
}

// ReadConversation implements im.Mailbox.
func (f *far) ReadConversation(context.Context, im.UserID, im.Seq, int) ([][]byte, im.Seq, error) {
	return nil, 0, nil
}
