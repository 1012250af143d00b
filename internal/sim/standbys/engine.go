package standbys

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/standby"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/memstore"
)

var (
	errStore = errors.New("simulated: the store does not answer")
	errRead  = errors.New("simulated: the read failed")
)

// engine is the region's store as one life of a node reaches it: every call takes
// effect at one event, and is answered at a later one.
type engine struct {
	w    *world
	node *node
	life int
}

var _ standby.Engine = (*engine)(nil)

// call runs an effect at a moment that the run chooses, and returns what it was
// answered with. fails is how often it fails though nothing is wrong.
func (e *engine) call(ctx context.Context, fails float64, key string, effect func() error) error {
	w, answer := e.w, make(chan error, 1)
	w.post(e.key(ctx, key), func() {
		crashes := w.storeCrashes
		w.after(e.delay(), func() {
			err := errStore
			if crashes == w.storeCrashes {
				err = effect()
			}
			if w.chance(fails) {
				err = errRead
			}
			w.after(e.delay(), func() { answer <- err })
		})
	})
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// key says who calls, so that calls of one moment have an order.
func (e *engine) key(ctx context.Context, what string) string {
	who := 0
	if a := actorOf(ctx); a != nil {
		who = a.id
	}
	return fmt.Sprintf("store %d.%d.%06d %s", e.node.index, e.life, who, what)
}

func (e *engine) delay() time.Duration {
	d := e.w.between(0, e.w.plan.storeDelay)
	if e.node.life == e.life {
		d += max(0, e.node.slowUntil-e.w.now())
	}
	return d
}

// Acquire implements store.Store.
func (e *engine) Acquire(ctx context.Context, owner string, slots []im.Slot) (epochs []im.Epoch, err error) {
	err = e.call(ctx, e.w.plan.unknown, fmt.Sprint("acquire ", slots), func() (err error) {
		epochs, err = e.w.store.Acquire(context.Background(), owner, slots)
		e.w.logf("%s acquires %v under %v", e.node.name(), slots, epochs)
		if a := actorOf(ctx); a.bare {
			e.w.expose(slots, epochs)
		}
		return err
	})
	return epochs, err
}

// Owners implements store.Store.
func (e *engine) Owners(ctx context.Context, slots []im.Slot) (owners []store.Owner, err error) {
	err = e.call(ctx, e.w.plan.readFails, fmt.Sprint("owners ", slots), func() (err error) {
		owners, err = e.w.store.Owners(context.Background(), slots)
		return err
	})
	return owners, err
}

// Commit implements store.Store. Of one that fails nobody knows whether it took
// effect, or still will.
func (e *engine) Commit(ctx context.Context, b *store.Batch) error {
	w, answer := e.w, make(chan error, 1)
	own := &store.Batch{Changes: slices.Clone(b.Changes)}
	w.post(e.key(ctx, "commit"), func() { w.submit(e, actorOf(ctx), own, answer) })
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *world) submit(e *engine, a *actor, b *store.Batch, answer chan<- error) {
	if w.opts.Defect == NoFencing {
		for i := range b.Changes {
			b.Changes[i].Epoch = w.store.Epoch(b.Changes[i].Addr.Slot())
		}
	}
	op := w.store.Begin(b)
	effect, reply := e.delay(), time.Duration(0)
	lost, early := false, false
	if w.chance(w.plan.unknown) {
		lost, early = w.rng.IntN(3) == 0, w.rng.IntN(3) == 0
		reply = -1
	}
	if early {
		w.after(e.delay(), func() { answer <- errStore })
		effect += w.between(0, 2*time.Second)
	}
	w.after(effect, func() {
		numbers := map[im.Slot]uint64{}
		if lost {
			op.Drop(nil)
		} else {
			w.take(op, numbers)
		}
		w.after(e.delay(), func() { finish(op, a, numbers, reply < 0, answer) })
	})
}

// take makes an operation take effect.
func (w *world) take(op *memstore.Op, numbers map[im.Slot]uint64) {
	op.Apply()
	for _, slot := range op.Slots() {
		numbers[slot] = w.remember(slot)
	}
}

func finish(op *memstore.Op, a *actor, numbers map[im.Slot]uint64, unknown bool, answer chan<- error) {
	err := op.Finish()
	switch {
	case unknown:
		err = errStore
	case a != nil:
		maps.Copy(a.numbers, numbers)
	}
	select {
	case answer <- err:
	default: // it was answered before it took effect
	}
}

// Load implements store.Store.
func (e *engine) Load(ctx context.Context, a im.Addr, tail func([]store.Record) im.Seq) (ent store.Entity, err error) {
	err = e.call(ctx, e.w.plan.readFails, fmt.Sprint("load ", a), func() (err error) {
		e.saw(ctx, a)
		ent, err = e.w.store.Load(context.Background(), a, tail)
		ent.Records = e.w.hide(a, ent.Records)
		return err
	})
	return ent, err
}

// ReadLog implements store.Store.
func (e *engine) ReadLog(ctx context.Context, a im.Addr, from im.Seq, limit, maxBytes int) (entries []store.Entry, err error) {
	err = e.call(ctx, e.w.plan.readFails, fmt.Sprint("log ", a, from, limit), func() (err error) {
		e.saw(ctx, a)
		entries, err = e.w.store.ReadLog(context.Background(), a, from, min(limit, 3), maxBytes)
		return err
	})
	return entries, err
}

// saw notes after which commit a slot is that somebody reads.
func (e *engine) saw(ctx context.Context, a im.Addr) {
	if by := actorOf(ctx); by != nil && a.Kind != im.KindPosition {
		by.bare = by.bare || e.w.bare[a.Slot()]
		by.numbers[a.Slot()] = e.w.placeOf(e.w.store, a.Slot()).number
	}
}

// Pending implements store.Store.
func (e *engine) Pending(ctx context.Context, slot im.Slot) (addrs []im.Addr, err error) {
	err = e.call(ctx, e.w.plan.readFails, fmt.Sprint("pending ", slot), func() (err error) {
		addrs, err = e.w.store.Pending(context.Background(), slot)
		return err
	})
	return addrs, err
}

// List implements store.Lister.
func (e *engine) List(ctx context.Context, slots []im.Slot, visit func(im.Slot, []im.Addr) error) error {
	all := map[im.Slot][]im.Addr{}
	err := e.call(ctx, e.w.plan.readFails, fmt.Sprint("list ", slots), func() error {
		return e.w.store.List(context.Background(), slots, func(slot im.Slot, addrs []im.Addr) error {
			all[slot] = addrs
			return nil
		})
	})
	for _, slot := range slots {
		if err == nil {
			err = visit(slot, all[slot])
		}
	}
	return err
}

// PutMember implements store.Store; there are no records of nodes here.
func (e *engine) PutMember(context.Context, store.Member, time.Duration) error { return nil }

// DeleteMember implements store.Store.
func (e *engine) DeleteMember(context.Context, string) error { return nil }

// Members implements store.Store.
func (e *engine) Members(context.Context) ([]store.Member, error) { return nil, nil }

// Close implements store.Store.
func (e *engine) Close() error { return nil }
