package rewinds

import (
	"context"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/store"
)

// proc is one life of a part's process.
type proc struct {
	p      *part
	core   *shard.Core
	queue  []shard.Input
	busy   bool
	dead   bool
	turn   bool
	tickAt time.Duration
}

const epochStart = 1_700_000_000_000

func (r *proc) clock() im.Millis { return im.Millis(epochStart + r.p.w.now.Milliseconds()) }

func (r *proc) enqueue(in shard.Input) {
	if !r.dead {
		r.queue = append(r.queue, in)
		r.wake()
	}
}

// wake plans a turn of the process.
func (r *proc) wake() {
	if r.dead || r.turn {
		return
	}
	r.turn = true
	r.p.w.after(r.p.w.between(0, time.Millisecond), func() {
		r.turn = false
		r.run()
	})
}

func (r *proc) run() {
	if r.dead {
		return
	}
	now := r.clock()
	for len(r.queue) > 0 && !r.core.Full() {
		in := r.queue[0]
		r.queue = r.queue[1:]
		r.core.Handle(now, in)
	}
	if next := r.core.NextTick(); next != 0 && next <= now {
		r.core.Tick(now)
	}
	r.core.Evict(now)
	for !r.busy {
		b := r.core.Cut()
		if b == nil {
			break
		}
		if len(b.Changes.Changes) == 0 {
			r.core.Done(now, b, nil)
			continue
		}
		r.commit(b)
	}
	if next := r.core.NextTick(); next != 0 {
		at := max(time.Duration(next-epochStart)*time.Millisecond, r.p.w.now+time.Millisecond)
		if r.tickAt <= r.p.w.now || at < r.tickAt {
			r.tickAt = at
			r.p.w.after(at-r.p.w.now, r.wake)
		}
	}
}

// commit makes a batch durable after a while; the process may be gone before
// that, and before anybody hears of it.
func (r *proc) commit(b *shard.Batch) {
	r.busy = true
	w := r.p.w
	w.after(w.between(0, 5*time.Millisecond), func() {
		if r.dead {
			return
		}
		r.p.write(&b.Changes)
		w.after(w.between(0, 2*time.Millisecond), func() {
			if r.dead {
				return
			}
			r.busy = false
			r.core.Done(r.clock(), b, nil)
			r.wake()
		})
	})
}

// Forward implements shard.Host: a link message arrives late, once, twice or
// never, also when who sent it is no more.
func (r *proc) Forward(m *entity.Message) {
	w := r.p.w
	if w.chance(w.lose) {
		w.report.Lost++
		return
	}
	copies := 1
	if w.chance(w.repeat) {
		copies = 2
	}
	for range copies {
		one := w.twist(m)
		wait := w.between(0, w.delay)
		if w.chance(w.repeat / 4) {
			wait += w.between(0, 10*time.Second)
		}
		w.after(wait, func() {
			if to := w.people[one.To.ID-1].home.proc; to != nil {
				w.arrives(one)
				w.logf("%v: link message of %v: %v", one.To, one.From, spoken(one))
				to.enqueue(shard.Input{To: one.To, Msg: one})
			}
		})
	}
}

// Load implements shard.Host.
func (r *proc) Load(a im.Addr, ticket uint64) {
	r.p.w.after(r.p.w.between(0, 2*time.Millisecond), func() {
		if r.dead {
			return
		}
		ent, err := r.p.load(a)
		if err != nil {
			r.p.w.failf("%s: %v cannot be loaded: %v", r.p.name(), a, err)
		}
		r.core.Loaded(r.clock(), a, ticket, ent, nil)
		r.wake()
	})
}

func (p *part) load(a im.Addr) (entity.Entity, error) {
	return shard.LoadEntity(func(tail func([]im.Record) im.Seq) (store.Entity, error) {
		return p.store.Load(context.Background(), a, tail)
	}, a)
}

// ReadTimeline implements shard.Host: sessions get nothing here.
func (r *proc) ReadTimeline(im.Addr, im.SessionID, im.Seq, int, int) {}

// ReadEntries implements shard.Host.
func (r *proc) ReadEntries(a im.Addr, peer im.Addr, seqs []im.Seq) {
	r.p.w.after(r.p.w.between(0, 2*time.Millisecond), func() {
		if r.dead {
			return
		}
		var entries []im.LogEntry
		for _, seq := range seqs {
			one, err := r.p.store.ReadLog(context.Background(), a, seq, 1, 1<<20)
			if err != nil {
				r.p.w.failf("%v", err)
			}
			if len(one) > 0 && one[0].Seq == seq {
				entries = append(entries, one[0])
			}
		}
		r.core.EntriesRead(r.clock(), a, peer, entries)
		r.wake()
	})
}
