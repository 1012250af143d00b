package regions

import (
	"context"
	"slices"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/region"
)

func (w *world) site(name im.Region) *site {
	return w.sites[slices.IndexFunc(w.sites, func(s *site) bool { return s.name == name })]
}

// send carries a link message between regions whose relays are part of their nodes: late,
// once, twice or never.
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
	from, to *site
	// enter runs what comes back, unless who asked has died; cut: it reaches nobody
	// elsewhere.
	enter func(func())
	cut   func() bool
}

// far is nil for the region itself.
func (w *world) far(from *site, of im.Region, enter func(func()), cut func() bool) im.Mailbox {
	if of == from.name {
		return nil
	}
	return &far{from, w.site(of), enter, cut}
}

// gate is a process of a region that others have reached: its Region, how it does
// something, and whom it leaves without an answer when it dies.
type gate struct {
	region *region.Region
	enter  func(func())
	calls  *[]func()
}

// gate is nil if none is there, or the one that is asked is not.
func (s *site) gate() *gate {
	if len(s.relays) > 0 {
		h := s.relays[s.w.rng.IntN(len(s.relays))]
		if r := h.alive(); r != nil && !h.cutOut {
			return &gate{r.region, r.enter, &r.calls}
		}
		return nil
	}
	if p := s.any(); p != nil {
		return &gate{p.region, p.enter, &p.calls}
	}
	return nil
}

// Submit implements im.Mailbox. A call may fail on its way there, or its answer
// on the way back.
func (f *far) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	w, answered := f.from.w, false
	answer := func(res im.Result, err error) {
		f.enter(func() {
			if !answered && done != nil {
				answered = true
				done.Complete(cmd, res, err)
			}
		})
	}
	broken := &im.Error{Kind: im.Unavailable, Detail: "the link broke"}
	if f.cut() || w.lost(f.from, f.to, w.fail) {
		w.after(w.between(0, w.delay), func() { answer(nil, broken) })
		return
	}
	w.after(w.between(0, w.delay), func() {
		g := f.to.gate()
		if g == nil {
			answer(nil, broken)
			return
		}
		// A process that dies never answers.
		*g.calls = append(*g.calls, func() { answer(nil, broken) })
		g.enter(func() {
			g.region.Guest().Submit(to, w.twist(f.from, cmd), im.CompletionFunc(func(_ im.Command, res im.Result, err error) {
				if f.cut() || w.lost(f.to, f.from, w.fail) {
					res, err = nil, broken
				}
				w.after(w.between(0, w.delay), func() { answer(res, err) })
			}))
		})
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
