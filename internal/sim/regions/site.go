package regions

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing/synctest"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/region"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/store/memstore"
)

// site is a region: a store, and the nodes on it.
type site struct {
	w     *world
	index int
	name  im.Region
	store *memstore.Store
	hosts []*host
	// relays are those in processes of their own; none: nodes have them.
	relays []*relayHost
	// placed is which node is to own a slot, version how often that has changed.
	placed  [im.Slots]uint8
	version [im.Slots]uint64
}

// names of the regions; the first has the directory.
var names = []im.Region{"east", "west", "north"}

func newSite(w *world, index, hosts, relays int) *site {
	s := &site{w: w, index: index, name: names[index], store: memstore.New(func() time.Time { return time.Time{} })}
	for i := range hosts {
		s.hosts = append(s.hosts, &host{s: s, index: i})
	}
	for i := range relays {
		s.relays = append(s.relays, &relayHost{s: s, index: i})
	}
	for slot := range s.placed {
		s.placed[slot] = uint8(slot % hosts)
	}
	return s
}

// host is a node: what it knows of the placement, and the process on it.
type host struct {
	sight
	s     *site
	index int
	proc  *proc
}

// sight is what somebody knows of the placement.
type sight struct {
	placed  [im.Slots]uint8
	version [im.Slots]uint64
}

// serving is the node that serves an entity, as far as is known.
func (t *sight) serving(s *site, a im.Addr) *host { return s.hosts[t.placed[a.Slot()]] }

// learn hears who is to own a slot, and reports whether that is news.
func (t *sight) learn(slot im.Slot, version uint64, to int) bool {
	if version <= t.version[slot] {
		return false
	}
	t.version[slot], t.placed[slot] = version, uint8(to)
	return true
}

func (h *host) name() string { return fmt.Sprintf("%s/%d", h.s.name, h.index) }

// alive is the process, if there is one.
func (h *host) alive() *proc {
	if h.proc == nil || h.proc.dead {
		return nil
	}
	return h.proc
}

// any is a process of the region; nil: none is there, or the one that is asked is
// not.
func (s *site) any() *proc { return s.hosts[s.w.rng.IntN(len(s.hosts))].alive() }

// near is the process that serves an entity, or another one.
func (s *site) near(a im.Addr) *proc {
	if s.w.rng.IntN(8) == 0 {
		return s.any()
	}
	return s.hosts[s.placed[a.Slot()]].alive()
}

// boot starts a process on a node.
func (h *host) boot() {
	s := h.s
	h.sight = sight{s.placed, s.version}
	p := &proc{h: h, s: s}
	cfg := shard.DefaultConfig()
	cfg.Jitter, cfg.Confirm = s.w.rng.Int64N, len(s.hosts) > 1
	cfg.FlushAfter, cfg.SnapshotEvery, cfg.MaxHot = 200, 7, 6
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	p.core = shard.NewCore(cfg, p)
	rc := region.Config{
		Self: s.name, Directory: names[0], Logger: cfg.Logger, Carry: p.carry, Local: &local{p},
		Whole:  &whole{s: s, sight: &h.sight, own: p, enter: p.enter, cut: never},
		Far:    func(of im.Region) im.Mailbox { return s.w.far(s, of, p.enter, never) },
		Send:   func(to im.Region, m *entity.Message, hops uint8) { s.w.send(s, to, m, hops) },
		Places: func(im.Region) (links, http []string) { return nil, nil },
	}
	if len(s.relays) > 0 {
		p.openUplink(&rc)
	}
	var err error
	if p.region, err = region.New(rc); err != nil {
		s.w.failf("%v", err)
	}
	h.proc = p
	if p.uplink != nil {
		p.uplink.Update(s.members())
	}
	p.acquire()
	if len(s.hosts) > 1 {
		p.audit()
	}
}

// audit finds out, every few seconds, which slots others have acquired.
func (p *proc) audit() {
	w := p.s.w
	w.after(w.between(time.Second, 5*time.Second), func() {
		if p.dead {
			return
		}
		for _, person := range w.people {
			for _, a := range []im.Addr{im.User(person.id), im.HomeAddr(person.id)} {
				if slot := a.Slot(); p.core.Owns(slot) && p.epochs[slot] != p.s.store.Epoch(slot) {
					w.logf("%s has lost slot %d without notice", p.h.name(), slot)
					p.core.Disown([]im.Slot{slot}, []im.Epoch{p.epochs[slot]})
				}
			}
		}
		p.acquire()
		p.wake()
		p.audit()
	})
}

// acquire takes the slots that are to be this node's, and goes on with what their
// entities owe.
func (p *proc) acquire() {
	var mine []im.Slot
	for slot := range im.Slot(im.Slots) {
		if int(p.h.placed[slot]) == p.h.index && !p.core.Owns(slot) {
			mine = append(mine, slot)
		}
	}
	if len(mine) == 0 {
		return
	}
	epochs, err := p.s.store.Acquire(context.Background(), p.h.name(), mine)
	if err != nil {
		p.s.w.failf("%v", err)
	}
	p.core.OwnAll(mine, epochs)
	for i, slot := range mine {
		p.epochs[slot] = epochs[i]
	}
	if p.s.w.opts.Defect != MarksIgnored {
		p.goOn(mine)
	}
	p.wake()
}

// goOn wakes the entities of slots that owe something.
func (p *proc) goOn(slots []im.Slot) {
	for _, a := range p.s.store.Entities() {
		if _, ours := slices.BinarySearch(slots, a.Slot()); !ours {
			continue
		}
		pending, err := p.s.store.Pending(context.Background(), a.Slot())
		if err != nil {
			p.s.w.failf("%v", err)
		}
		if slices.Contains(pending, a) {
			p.core.Wake(p.clock(), a)
		}
	}
}

// shift gives a slot to another node. Each hears of it in its own time.
func (s *site) shift(slot im.Slot, to int) {
	s.w.report.Shifts++
	s.placed[slot] = uint8(to)
	s.version[slot]++
	version := s.version[slot]
	s.w.logf("%s: slot %d is to be on node %d", s.name, slot, to)
	for _, h := range s.hosts {
		s.w.after(s.w.between(0, s.w.staleness), func() { h.hear(slot, version, to) })
	}
	for _, h := range s.relays {
		s.w.after(s.w.between(0, s.w.staleness), func() { h.learn(slot, version, to) })
	}
}

// hear is learn for a node, which does what follows.
func (h *host) hear(slot im.Slot, version uint64, to int) {
	if !h.learn(slot, version, to) {
		return
	}
	p := h.alive()
	switch {
	case p == nil:
	case to == h.index:
		p.acquire()
	case p.core.Owns(slot):
		p.give(slot)
	}
}

// give hands a slot over in order, or drops it.
func (p *proc) give(slot im.Slot) {
	if p.s.w.rng.IntN(3) == 0 {
		p.core.Drop([]im.Slot{slot}, &im.Error{Kind: im.Unavailable, RetryAfterMS: 100, Detail: "moved"})
	} else {
		p.core.Leave(p.clock(), []im.Slot{slot}, func() {
			// It may have come back.
			p.s.w.after(0, func() {
				if !p.dead {
					p.acquire()
				}
			})
		})
	}
	p.wake()
}

// shuffle moves the slots of some entities that are used.
func (s *site) shuffle() {
	if len(s.hosts) == 1 {
		return
	}
	for _, person := range s.w.people {
		for _, a := range []im.Addr{im.User(person.id), im.HomeAddr(person.id)} {
			if s.w.rng.IntN(3) == 0 {
				s.shift(a.Slot(), s.w.rng.IntN(len(s.hosts)))
			}
		}
	}
}

// crash ends the process with all that is in memory, and starts it again. Others
// may take its slots meanwhile.
func (h *host) crash() {
	if h.alive() == nil {
		return
	}
	w := h.s.w
	w.logf("%s crashes", h.name())
	w.report.Crashes++
	h.kill()
	w.after(w.between(0, 3*time.Second), h.boot)
	if w.rng.IntN(2) == 0 {
		w.after(w.between(0, time.Second), h.s.shuffle)
	}
}

func (h *host) kill() {
	p := h.alive()
	if p == nil {
		return
	}
	h.s.w.report.Strays += int(p.region.Stats().Strays)
	p.dead = true
	h.s.w.giveUp(p)
	p.region.Stop()
	synctest.Wait()
	for _, broken := range p.calls {
		h.s.w.after(0, broken)
	}
}
