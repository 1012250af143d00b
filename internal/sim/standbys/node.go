package standbys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/standby"
	"github.com/skein-im/skein/internal/store"
)

// node is a mailbox node, as far as its store and the standby see it.
type node struct {
	w     *world
	index int
	life  int
	src   *standby.Source
	ctx   context.Context
	stop  context.CancelFunc
	// owns are the slots that it believes to own, busy those about which it has
	// asked something.
	owns map[im.Slot]*holding
	busy map[im.Slot]bool
	// actors counts what was asked; quiet: nothing more is.
	actors int
	quiet  bool
	// gone: the region is lost, and the node with it.
	gone bool
	// Until when it is slow, and when it cannot connect.
	slowUntil, awayUntil time.Duration
}

func (n *node) name() string { return fmt.Sprintf("node %d.%d", n.index, n.life) }

func (n *node) boot() {
	if n.gone {
		return
	}
	n.life++
	n.owns, n.busy = map[im.Slot]*holding{}, map[im.Slot]bool{}
	n.ctx, n.stop = context.WithCancel(context.Background())
	life := n.life
	n.src = standby.NewSource(standby.Config{
		Engine: &engine{n.w, n, life}, Region: regionName, Node: n.name(), Sync: n.w.plan.sync,
		MaxQueuedBytes: n.w.plan.queued, Snapshot: snapshot, Logger: quiet(),
		Dial: func(ctx context.Context) (net.Conn, error) { return n.w.dial(ctx, n, life) },
	})
	n.w.logf("%s starts", n.name())
	n.plan(life)
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

const regionName = "home"

// kill ends the node with all that is in memory.
func (n *node) kill() {
	if n.src == nil {
		return
	}
	st := n.src.Stats()
	n.w.report.Links += int(st.Links)
	n.w.report.Copies += int(st.Copies)
	n.w.report.Dropped += int(st.Dropped)
	n.stop()
	n.src.End()
	n.src = nil
}

func (n *node) crash() {
	if n.src == nil {
		return
	}
	n.w.logf("%s crashes", n.name())
	n.w.report.Crashes++
	n.kill()
	n.w.after(n.w.between(0, 3*time.Second), n.boot)
}

func (n *node) slow(d time.Duration) {
	n.w.logf("%s is slow for %v", n.name(), d)
	n.slowUntil = n.w.now() + d
}

func (n *node) partition(d time.Duration) {
	n.w.logf("%s cannot reach the standby for %v", n.name(), d)
	n.awayUntil = n.w.now() + d
	for _, l := range n.w.links {
		if l.node == n {
			l.stall(d)
		}
	}
}

func (n *node) heal() { n.slowUntil, n.awayUntil = 0, 0 }

// plan plans the node's next step.
func (n *node) plan(life int) {
	pace := n.w.plan.pace
	if n.w.calm {
		pace *= 8
	}
	n.w.after(n.w.between(0, pace), func() {
		if n.life != life || n.src == nil {
			return
		}
		n.step()
		n.plan(life)
	})
}

func (n *node) step() {
	w := n.w
	if n.quiet {
		n.adopt()
		return
	}
	slot := w.slots[w.rng.IntN(len(w.slots))]
	switch h := n.owns[slot]; {
	case n.busy[slot]:
	case h == nil && w.held[slot].alive() && !w.between01(w.plan.move):
	case h == nil || w.between01(w.plan.move/2):
		n.acquire(slot)
	case w.rng.IntN(8) == 0:
		n.look(slot)
	case w.chance(w.plan.bare):
		n.goBare(slot)
	default:
		n.commit(slot)
	}
}

// adopt acquires slots that nobody holds, so that in the end each has an owner.
func (n *node) adopt() {
	for _, slot := range n.w.slots {
		t := n.w.held[slot]
		if !n.busy[slot] && (!t.alive() || t.node == n && n.owns[slot] == nil) {
			n.acquire(slot)
			return
		}
	}
}

func (t tenure) alive() bool { return t.node != nil && t.node.life == t.life && t.node.src != nil }

// between01 is chance, also when there are no faults.
func (w *world) between01(p float64) bool { return w.rng.Float64() < p }

// actor is one thing that a node does with its store.
type actor struct {
	id   int
	node *node
	life int
	// numbers are the commits of slots that what it has done, or seen, is part of.
	numbers map[im.Slot]uint64
	// bare: it has read what was written without a number.
	bare bool
}

type actorKey struct{}

func actorOf(ctx context.Context) *actor {
	a, _ := ctx.Value(actorKey{}).(*actor)
	return a
}

// act does something in a goroutine, and hears at the run's what became of it,
// if the node still lives then.
func (n *node) act(slots []im.Slot, do func(ctx context.Context) error, then func(a *actor, err error)) {
	n.actors++
	a := &actor{id: n.actors, node: n, life: n.life, numbers: map[im.Slot]uint64{}}
	for _, slot := range slots {
		n.busy[slot] = true
	}
	ctx := context.WithValue(n.ctx, actorKey{}, a)
	go func() {
		err := do(ctx)
		n.w.post(fmt.Sprintf("done %d.%d.%06d", n.index, a.life, a.id), func() {
			if n.life != a.life || n.src == nil {
				return
			}
			for _, slot := range slots {
				delete(n.busy, slot)
			}
			then(a, err)
		})
	}()
}

// acquire takes some slots and reads what is in them.
func (n *node) acquire(first im.Slot) {
	slots := n.some(first, func(slot im.Slot) bool { return !n.busy[slot] })
	found := map[im.Slot]*holding{}
	src := n.src
	for _, slot := range slots {
		delete(n.owns, slot)
	}
	n.act(slots, func(ctx context.Context) error {
		epochs, err := src.Acquire(ctx, fmt.Sprint("node", n.index), slots)
		if err != nil {
			return err
		}
		for i, slot := range slots {
			found[slot] = &holding{epoch: epochs[i], entities: map[im.Addr]*subject{}}
		}
		return n.load(ctx, src, found)
	}, func(a *actor, err error) {
		for slot, h := range found {
			n.w.hold(slot, tenure{n, a.life, h.epoch})
		}
		if err != nil {
			return
		}
		n.w.report.Acquired++
		for _, slot := range slots {
			n.w.acked(a, ack{slot: slot, number: a.numbers[slot], what: "acquired by " + n.name()})
		}
		maps.Copy(n.owns, found)
	})
}

// hold notes who has a slot.
func (w *world) hold(slot im.Slot, t tenure) {
	if w.held[slot].epoch < t.epoch {
		w.held[slot] = t
	}
}

func (n *node) load(ctx context.Context, src *standby.Source, found map[im.Slot]*holding) error {
	for _, slot := range slices.Sorted(maps.Keys(found)) {
		for _, a := range n.w.subjects[slot] {
			s := &subject{addr: a}
			found[slot].entities[a] = s
			if n.w.gone[a] {
				continue
			}
			ent, err := src.Load(ctx, a, func(recs []store.Record) im.Seq {
				s.saved, _ = snapshot(a, recs)
				return s.saved
			})
			if err != nil {
				return err
			}
			s.last = s.saved + im.Seq(len(ent.Tail))
			s.trimmed = s.saved
		}
	}
	return nil
}

// some are a slot and perhaps others.
func (n *node) some(first im.Slot, fit func(im.Slot) bool) []im.Slot {
	list := []im.Slot{first}
	for _, slot := range n.w.slots {
		if slot != first && fit(slot) && n.w.rng.IntN(3) == 0 {
			list = append(list, slot)
		}
	}
	return list
}

// commit changes entities of some slots.
func (n *node) commit(first im.Slot) {
	slots := n.some(first, func(slot im.Slot) bool { return n.owns[slot] != nil && !n.busy[slot] })
	b, added := &store.Batch{}, map[im.Slot][]entry{}
	for _, slot := range slots {
		for range 1 + n.w.rng.IntN(2) {
			h := n.owns[slot]
			a := n.w.subjects[slot][n.w.rng.IntN(len(n.w.subjects[slot]))]
			c, entries := n.w.change(h.entities[a], h.epoch)
			b.Changes = append(b.Changes, c)
			added[slot] = append(added[slot], entries...)
		}
	}
	src := n.src
	n.act(slots, func(ctx context.Context) error { return src.Commit(ctx, b) }, func(a *actor, err error) {
		n.committed(a, slots, added, err)
	})
}

func (n *node) committed(a *actor, slots []im.Slot, added map[im.Slot][]entry, err error) {
	w := n.w
	var fenced *store.SlotError
	if err != nil && !errors.As(err, &fenced) {
		w.report.Unknown++
		w.logf("%s: what became of a commit of %v is unknown: %v", n.name(), slots, err)
		for _, slot := range slots {
			delete(n.owns, slot)
		}
		return
	}
	for _, slot := range slots {
		if fenced != nil && fenced.Fenced(slot) {
			w.report.Fenced++
			delete(n.owns, slot)
			continue
		}
		w.report.Commits++
		w.acked(a, ack{slot: slot, number: a.numbers[slot], entries: added[slot], what: "committed by " + n.name(), commit: true})
	}
}

// look reads an entity, whether or not the node owns it.
func (n *node) look(slot im.Slot) {
	src, a := n.src, n.w.subjects[slot][n.w.rng.IntN(len(n.w.subjects[slot]))]
	var entries []store.Entry
	n.act(nil, func(ctx context.Context) (err error) {
		entries, err = src.ReadLog(ctx, a, 1, 100, 1<<20)
		return err
	}, func(by *actor, err error) {
		if err != nil {
			return
		}
		n.w.report.Reads++
		k := ack{slot: slot, number: by.numbers[slot], what: "read by " + n.name()}
		for _, e := range entries {
			k.entries = append(k.entries, entry{a, e.Seq, string(e.Value)})
		}
		n.w.acked(by, k)
	})
}

// goBare writes to a slot without a Source, as a node does for which no standby is
// set.
func (n *node) goBare(slot im.Slot) {
	e, w := &engine{n.w, n, n.life}, n.w
	delete(n.owns, slot)
	n.act([]im.Slot{slot}, func(ctx context.Context) error {
		actorOf(ctx).bare = true
		epochs, err := e.Acquire(ctx, fmt.Sprint("bare", n.index), []im.Slot{slot})
		if err != nil {
			return err
		}
		a := n.w.subjects[slot][0]
		ent, err := e.Load(ctx, a, func(recs []store.Record) im.Seq { seq, _ := snapshot(a, recs); return seq })
		if err != nil {
			return err
		}
		saved, err := snapshot(a, ent.Records)
		if err != nil {
			return err
		}
		c := store.Change{Addr: a, Epoch: epochs[0], First: saved + im.Seq(len(ent.Tail)) + 1, Append: [][]byte{[]byte("bare")}}
		return e.Commit(ctx, &store.Batch{Changes: []store.Change{c}})
	}, func(*actor, error) { w.logf("%s has written to slot %d without a number", n.name(), slot) })
}

// expose: what is written to slots from now on has no number.
func (w *world) expose(slots []im.Slot, epochs []im.Epoch) {
	for i, slot := range slots {
		w.bare[slot] = true
		w.hold(slot, tenure{epoch: epochs[i]})
	}
}
