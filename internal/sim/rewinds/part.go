package rewinds

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/memstore"
)

// part is a store with the process that serves it: a region, or what several of
// them are made of.
type part struct {
	w          *world
	index      int
	store      *memstore.Store
	generation im.Generation
	// commits are those of each slot, in order; the first of them, as many as
	// kept says, every copy has.
	commits map[im.Slot][][]store.Change
	kept    map[im.Slot]int
	proc    *proc
	// rewound is what processes that are gone have counted.
	rewound entity.Rewound
}

func newPart(w *world, index int) *part {
	p := &part{w: w, index: index, commits: map[im.Slot][][]store.Change{}, kept: map[im.Slot]int{}}
	p.store = newStore()
	return p
}

func newStore() *memstore.Store { return memstore.New(func() time.Time { return time.Time{} }) }

func (p *part) name() string { return fmt.Sprint("part ", p.index) }

// settled says that what is there now is in every copy.
func (p *part) settled() {
	for slot, list := range p.commits {
		p.kept[slot] = len(list)
	}
}

// boot starts a process.
func (p *part) boot() {
	r := &proc{p: p}
	cfg := shard.DefaultConfig()
	cfg.Jitter, cfg.Generation = p.w.rng.Int64N, p.generation
	cfg.FlushAfter, cfg.SnapshotEvery, cfg.MaxHot, cfg.Retain = 200, 7, 3, p.w.retain
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	r.core = shard.NewCore(cfg, r)
	p.proc = r
	slots := make([]im.Slot, im.Slots)
	for i := range slots {
		slots[i] = im.Slot(i)
	}
	epochs, err := p.store.Acquire(context.Background(), p.name(), slots)
	if err != nil {
		p.w.failf("%v", err)
	}
	r.core.OwnAll(slots, epochs)
	for _, a := range p.store.Entities() {
		pending, err := p.store.Pending(context.Background(), a.Slot())
		if err != nil {
			p.w.failf("%v", err)
		}
		if slices.Contains(pending, a) {
			r.core.Wake(r.clock(), a)
		}
	}
	r.wake()
}

// kill ends the process with all that is in memory.
func (p *part) kill() {
	if p.proc == nil {
		return
	}
	p.rewound.Add(&p.proc.core.Stats.Rewound)
	p.proc.dead = true
	p.proc = nil
}

// crash ends the process; another one goes on with the same store.
func (p *part) crash() {
	if p.proc == nil {
		return
	}
	p.w.logf("%s crashes", p.name())
	p.w.report.Crashes++
	p.kill()
	p.w.after(p.w.between(0, 2*time.Second), p.boot)
}

// write makes a batch durable.
func (p *part) write(b *store.Batch) {
	if err := p.store.Commit(context.Background(), b); err != nil {
		p.w.failf("%s: a commit failed: %v", p.name(), err)
	}
	of := map[im.Slot][]store.Change{}
	for _, c := range b.Changes {
		of[c.Addr.Slot()] = append(of[c.Addr.Slot()], c)
		for i, value := range c.Append {
			p.w.logf("%s: %v: durable: %d %v", p.name(), c.Addr, c.First+im.Seq(i), shown(value))
		}
	}
	for slot, changes := range of {
		p.commits[slot] = append(p.commits[slot], changes)
	}
}

func shown(value []byte) *storev1.Event {
	var ev storev1.Event
	if proto.Unmarshal(value, &ev) != nil {
		return nil
	}
	return &ev
}

// isLost puts a copy that lacks the last commits of some slots in the place of
// the store. The process is gone with it.
func (p *part) isLost() {
	if p.proc == nil {
		return
	}
	w := p.w
	w.report.Losses++
	p.kill()
	p.store, p.generation = newStore(), im.Generation(epochStart+w.now.Milliseconds())
	w.logf("%s is lost; its copy is generation %d", p.name(), p.generation)
	var slots []im.Slot
	for slot := range p.commits {
		slots = append(slots, slot)
	}
	slices.Sort(slots)
	for _, slot := range slots {
		p.copySlot(slot)
	}
	w.after(w.between(0, 2*time.Second), p.boot)
}

// copySlot makes what the copy has of a slot.
func (p *part) copySlot(slot im.Slot) {
	w, all := p.w, p.commits[slot]
	lacks := 0
	if w.rng.IntN(3) > 0 {
		lacks = min(w.rng.IntN(w.lag+1), len(all)-p.kept[slot])
	}
	for _, changes := range all[len(all)-lacks:] {
		for _, c := range changes {
			p.forget(&c)
		}
	}
	p.commits[slot] = all[:len(all)-lacks]
	epochs, err := p.store.Acquire(context.Background(), "standby", []im.Slot{slot})
	if err != nil {
		w.failf("%v", err)
	}
	for _, changes := range p.commits[slot] {
		b := &store.Batch{Changes: slices.Clone(changes)}
		for i := range b.Changes {
			b.Changes[i].Epoch = epochs[0]
		}
		if err := p.store.Commit(context.Background(), b); err != nil {
			w.failf("%s: a copy cannot be made: %v", p.name(), err)
		}
	}
}

// forget notes what the copy lacks.
func (p *part) forget(c *store.Change) {
	w := p.w
	for i, value := range c.Append {
		seq := c.First + im.Seq(i)
		w.report.Gone++
		e := shown(value).GetEntry()
		w.logf("%v has lost %d %v", c.Addr, seq, e)
		if e.GetOutgoing() {
			w.unsaid[string(e.GetContent().GetBody())] = true
		}
	}
	w.people[c.Addr.ID-1].forgets(c)
}
