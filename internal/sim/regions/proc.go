package regions

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/region"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/uplink"
)

// proc is one life of a node's process.
type proc struct {
	h      *host
	s      *site
	core   *shard.Core
	epochs [im.Slots]im.Epoch
	region *region.Region
	queue  []shard.Input
	busy   bool
	dead   bool
	turn   bool
	tickAt time.Duration
	// uplink and ties lead to the relays, if these are processes of their own.
	uplink *uplink.Uplink
	ties   []*tie
	// calls are those of other nodes and regions that it has not answered.
	calls []func()
}

const epochStart = 1_700_000_000_000

func (p *proc) clock() im.Millis { return im.Millis(epochStart + p.s.w.now.Milliseconds()) }

// enter runs f unless the process has died.
func (p *proc) enter(f func()) {
	if !p.dead {
		f()
	}
}

func never() bool { return false }

func (p *proc) enqueue(in shard.Input) {
	if !p.dead {
		if in.Msg != nil {
			p.s.w.checkAck(in.Msg)
		}
		p.queue = append(p.queue, in)
		p.wake()
	}
}

// wake plans a turn of the process.
func (p *proc) wake() {
	if p.dead || p.turn {
		return
	}
	p.turn = true
	p.s.w.after(p.s.w.between(0, time.Millisecond), func() {
		p.turn = false
		p.run()
	})
}

func (p *proc) run() {
	if p.dead {
		return
	}
	now := p.clock()
	for len(p.queue) > 0 && !p.core.Full() {
		in := p.queue[0]
		p.queue = p.queue[1:]
		p.core.Handle(now, in)
	}
	if next := p.core.NextTick(); next != 0 && next <= now {
		p.core.Tick(now)
	}
	p.core.Evict(now)
	for !p.busy {
		b := p.core.Cut()
		if b == nil {
			break
		}
		if len(b.Changes.Changes) == 0 {
			p.core.Done(now, b, nil)
			continue
		}
		p.commit(b)
	}
	if next := p.core.NextTick(); next != 0 {
		at := max(time.Duration(next-epochStart)*time.Millisecond, p.s.w.now+time.Millisecond)
		if p.tickAt <= p.s.w.now || at < p.tickAt {
			p.tickAt = at
			p.s.w.after(at-p.s.w.now, p.wake)
		}
	}
}

// commit makes a batch durable after a while; a crash may come before that, and
// before anybody hears of it.
func (p *proc) commit(b *shard.Batch) {
	p.busy = true
	w := p.s.w
	w.after(w.between(0, 5*time.Millisecond), func() {
		if p.dead {
			return
		}
		err := p.s.write(&b.Changes)
		w.after(w.between(0, 2*time.Millisecond), func() {
			if p.dead {
				return
			}
			p.busy = false
			if lost := p.core.Done(p.clock(), b, err); len(lost) > 0 {
				w.report.Fenced++
				w.after(w.between(0, 200*time.Millisecond), func() {
					if !p.dead {
						p.acquire()
					}
				})
			}
			p.wake()
		})
	})
}

// write makes a batch durable, but for the slots that have a newer owner.
func (s *site) write(b *store.Batch) error {
	own := &store.Batch{Changes: slices.Clone(b.Changes)}
	if s.w.opts.Defect == NoFencing {
		for i := range own.Changes {
			own.Changes[i].Epoch = s.store.Epoch(own.Changes[i].Addr.Slot())
		}
	}
	s.watch(own)
	err := s.store.Commit(context.Background(), own)
	var fenced *store.SlotError
	if err != nil && !errors.As(err, &fenced) {
		s.w.failf("%s: a commit failed: %v", s.name, err)
	}
	return err
}

// Forward implements shard.Host.
func (p *proc) Forward(m *entity.Message) {
	if m.Body.Kind == entity.BodyLeaving && p.s.w.opts.Defect == MoveForgotten {
		return
	}
	p.s.w.logf("%s: link %v -> %v seq %d ack %d kind %d", p.h.name(), m.From, m.To, m.Seq, m.Ack, m.Body.Kind)
	// It may start a goroutine, so it is an event of its own.
	p.s.w.after(p.s.w.between(0, 2*time.Millisecond), func() {
		if !p.dead && !p.region.Forward(m) {
			p.pass(m, func(at *proc) { at.enqueue(shard.Input{To: m.To, Msg: m}) })
		}
	})
}

// Load implements shard.Host.
func (p *proc) Load(a im.Addr, ticket uint64) {
	p.s.w.after(p.s.w.between(0, 2*time.Millisecond), func() {
		if p.dead {
			return
		}
		ent, err := shard.LoadEntity(func(tail func([]im.Record) im.Seq) (store.Entity, error) {
			return p.s.store.Load(context.Background(), a, tail)
		}, a)
		if err != nil {
			p.s.w.failf("%s: %v cannot be loaded: %v", p.s.name, a, err)
		}
		p.core.Loaded(p.clock(), a, ticket, ent, nil)
		p.wake()
	})
}

// ReadTimeline implements shard.Host: there are no sessions.
func (p *proc) ReadTimeline(im.Addr, im.SessionID, im.Seq, int, int) {}

// ReadEntries implements shard.Host.
func (p *proc) ReadEntries(a im.Addr, peer im.Addr, seqs []im.Seq) {
	p.s.w.after(p.s.w.between(0, 2*time.Millisecond), func() {
		if p.dead {
			return
		}
		var entries []im.LogEntry
		for _, seq := range seqs {
			one, err := p.s.store.ReadLog(context.Background(), a, seq, 1, 1<<20)
			if err != nil {
				p.s.w.failf("%v", err)
			}
			entries = append(entries, one...)
		}
		p.core.EntriesRead(p.clock(), a, peer, entries)
		p.wake()
	})
}
