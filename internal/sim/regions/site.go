package regions

import (
	"context"
	"io"
	"log/slog"
	"testing/synctest"
	"time"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/region"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/memstore"
)

// site is a region: a store, and the process on it.
type site struct {
	w     *world
	index int
	name  im.Region
	store *memstore.Store
	proc  *proc
}

// names of the regions; the first has the directory.
var names = []im.Region{"east", "west", "north"}

func newSite(w *world, index int) *site {
	return &site{w: w, index: index, name: names[index], store: memstore.New(func() time.Time { return time.Time{} })}
}

// proc is one life of a region's process.
type proc struct {
	s      *site
	core   *shard.Core
	region *region.Region
	queue  []shard.Input
	busy   bool
	dead   bool
	turn   bool
	tickAt time.Duration
	ctx    context.Context
	cancel context.CancelFunc
	// calls are those of other regions that it has not answered.
	calls []func()
}

func (s *site) boot() {
	p := &proc{s: s}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	cfg := shard.DefaultConfig()
	cfg.Jitter = s.w.rng.Int64N
	cfg.FlushAfter, cfg.SnapshotEvery, cfg.MaxHot = 200, 7, 6
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	p.core = shard.NewCore(cfg, p)
	var err error
	p.region, err = region.New(region.Config{
		Self: s.name, Directory: names[0], Local: &local{p}, Logger: cfg.Logger,
		Far: func(of im.Region) im.Mailbox { return p.far(of) },
		Send: func(to im.Region, m *entity.Message, hops uint8) {
			s.w.send(s, to, m, hops)
		},
		Places: func(im.Region) (links, http []string) { return nil, nil },
	})
	if err != nil {
		s.w.failf("%v", err)
	}
	all := make([]im.Slot, im.Slots)
	for i := range all {
		all[i] = im.Slot(i)
	}
	epochs, err := s.store.Acquire(p.ctx, string(s.name), all)
	if err != nil {
		s.w.failf("%v", err)
	}
	p.core.OwnAll(all, epochs)
	s.proc = p
	for _, a := range s.store.Entities() {
		pending, err := s.store.Pending(p.ctx, a.Slot())
		if err != nil {
			s.w.failf("%v", err)
		}
		for _, owes := range pending {
			if owes == a {
				p.core.Wake(p.clock(), a)
			}
		}
	}
	p.wake()
}

// crash ends the process with all that is in memory, and starts it again.
func (s *site) crash() {
	if s.proc == nil || s.proc.dead {
		return
	}
	s.w.logf("%s crashes", s.name)
	s.w.report.Crashes++
	s.kill()
	s.w.after(s.w.between(0, 3*time.Second), s.boot)
}

func (s *site) kill() {
	if s.proc != nil && !s.proc.dead {
		s.w.report.Strays += int(s.proc.region.Stats().Strays)
		s.proc.dead = true
		s.proc.cancel()
		s.proc.region.Stop()
		synctest.Wait()
		for _, broken := range s.proc.calls {
			s.w.after(0, broken)
		}
	}
}

const epochStart = 1_700_000_000_000

func (p *proc) clock() im.Millis { return im.Millis(epochStart + p.s.w.now.Milliseconds()) }

func (p *proc) enqueue(in shard.Input) {
	if !p.dead {
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
		p.s.watch(&b.Changes)
		if err := p.s.store.Commit(context.Background(), &b.Changes); err != nil {
			w.failf("%s: a commit failed: %v", p.s.name, err)
		}
		w.after(w.between(0, 2*time.Millisecond), func() {
			if p.dead {
				return
			}
			p.busy = false
			p.core.Done(p.clock(), b, nil)
			p.wake()
		})
	})
}

// Forward implements shard.Host.
func (p *proc) Forward(m *entity.Message) {
	if m.Body.Kind == entity.BodyLeaving && p.s.w.opts.Defect == MoveForgotten {
		return
	}
	// It may start a goroutine, so it is an event of its own.
	p.s.w.after(p.s.w.between(0, 2*time.Millisecond), func() {
		if !p.dead && !p.region.Forward(m) {
			p.enqueue(shard.Input{To: m.To, Msg: m})
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

// local is the region's own mailbox.
type local struct{ *proc }

// Submit implements im.Mailbox. Steps of a move may be met by a crash before and
// after them.
func (l *local) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	w := l.s.w
	if w.skips(cmd, done) {
		return
	}
	if isStep(cmd) && w.chance(w.crash*5) {
		w.logf("%s crashes before %T", l.s.name, cmd)
		w.after(0, func() { l.s.crash() })
	}
	after := isStep(cmd) && w.chance(w.crash*5)
	l.enqueue(shard.Input{To: to, Cmd: cmd, Queued: l.clock(), Done: im.CompletionFunc(func(cmd im.Command, res im.Result, err error) {
		if after {
			w.logf("%s crashes after %T", l.s.name, cmd)
			w.after(0, func() { l.s.crash() })
		}
		if done != nil {
			// It may wake a goroutine, so it is an event of its own.
			w.after(0, func() { done.Complete(cmd, res, err) })
		}
	})})
}

func (l *local) ReadTimeline(context.Context, im.UserID, im.Seq, int) ([][]byte, error) {
	return nil, nil
}

func (l *local) ReadConversation(context.Context, im.UserID, im.Seq, int) ([][]byte, im.Seq, error) {
	return nil, 0, nil
}

func (l *local) ReadStatement(context.Context, im.UserID, im.Seq, int) ([][]byte, im.Seq, error) {
	return nil, 0, nil
}

func (l *local) Level() im.Level { return im.AnyLevel }

func (l *local) Receive(m *entity.Message) { l.enqueue(shard.Input{To: m.To, Msg: m}) }

func (l *local) Records(ctx context.Context, a im.Addr) ([]im.Record, error) {
	e, err := l.s.store.Load(ctx, a, func([]im.Record) im.Seq { return 1 << 62 })
	return l.s.w.spoil(e.Records), err
}

func (l *local) ReadLog(ctx context.Context, a im.Addr, from im.Seq, limit, maxBytes int) ([]im.LogEntry, error) {
	return l.s.store.ReadLog(ctx, a, from, min(limit, 1+l.s.w.rng.IntN(4)), maxBytes)
}
