package mailbox

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/store"
)

const (
	// acquireRetry is how long to wait before slots are acquired again that
	// could not be. Stores try for seconds before they give up, so this is a
	// pause only where they refuse at once.
	acquireRetry = 250 * time.Millisecond
	// fencedRest is how long to wait, and as long again at random, before a
	// slot is taken back that another node has acquired: by then the table
	// should say whose it is.
	fencedRest = 500 * time.Millisecond
	// acquireAtOnce is how many slots are acquired in one call of the store,
	// and acquirers how many calls run at a time on one of its servers.
	acquireAtOnce = 256
	acquirers     = 4
	// pendingReaders is how many slots of a call are asked at a time for who
	// owes messages.
	pendingReaders = 16
)

// Assign says which slots this node is to serve from now on: it hands over the
// others, and acquires what it lacks, in the background. Only for a node that
// shares its store.
func (m *Mailbox) Assign(list []im.Slot) { m.slots.Assign(list) }

// Settled waits until everything assigned is served and nothing else.
func (m *Mailbox) Settled(ctx context.Context) error { return m.until(ctx, m.slots.Settled) }

// Tried is Settled but for slots that the store has refused at least once: those
// whose server is away come when it is back.
func (m *Mailbox) Tried(ctx context.Context) error { return m.until(ctx, m.slots.Tried) }

func (m *Mailbox) until(ctx context.Context, done func() (bool, <-chan struct{})) error {
	for {
		ok, changed := done()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return im.Errorf(im.Unavailable, "slots are still being acquired or handed over: %w", context.Cause(ctx))
		}
	}
}

// Hurry says that slots are served again, here or elsewhere: entities that wait
// for an answer from there need not wait longer.
func (m *Mailbox) Hurry(list []im.Slot) {
	for _, s := range m.shards {
		s.Hurry(list)
	}
}

// AcquiredElsewhere says that another node has acquired slots, under which epochs if
// it says so: entities here need not wait longer for an answer from there, those who ask
// this node for the slots are told, and slots that this node takes for its own are
// given up, or asked for if the epoch is not known. Of nodes that start at the same moment, each has acquired all slots,
// and the first has nothing to commit by which it would learn that it lost some.
func (m *Mailbox) AcquiredElsewhere(node string, list []im.Slot, epochs []im.Epoch) {
	m.Hurry(list)
	if len(epochs) > 0 {
		m.slots.Learn(node, list, epochs)
	}
	lost, old, doubt := m.slots.Overtaken(list, epochs)
	if doubt {
		m.Audit()
	}
	m.disown(lost, old)
}

// disown drops slots that others have acquired, unless they have been acquired here
// again since.
func (m *Mailbox) disown(list []im.Slot, epochs []im.Epoch) {
	shares := map[*shard.Shard]*share{}
	for i, slot := range list {
		s := m.shardOfSlot(slot)
		if shares[s] == nil {
			shares[s] = &share{}
		}
		sh := shares[s]
		sh.slots, sh.epochs = append(sh.slots, slot), append(sh.epochs, epochs[i])
	}
	for s, sh := range shares {
		s.Disown(sh.slots, sh.epochs)
	}
}

// Held are the slots that are served here, and their epochs.
func (m *Mailbox) Held() ([]im.Slot, []im.Epoch) { return m.slots.Held() }

// Serves reports whether this node serves an entity now.
func (m *Mailbox) Serves(a im.Addr) bool { return m.slots.Serves(a.Slot()) }

// keep sees to it that what is wanted is served, until the mailbox stops.
func (m *Mailbox) keep() {
	for m.ctx.Err() == nil {
		changed := m.slots.Watch()
		acquire, leave, again := m.slots.Plan(time.Now())
		m.leave(leave)
		for name, part := range store.ByPlace(m.store, acquire) {
			for chunk := range slices.Chunk(part, acquireAtOnce) {
				m.tasks.Go(func() { m.take(m.places.of(name), chunk) })
			}
		}
		m.pause(changed, again)
	}
}

// pause waits for a change, or a time unless that is zero.
func (m *Mailbox) pause(changed <-chan struct{}, until time.Time) {
	var due <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-m.ctx.Done():
	case <-changed:
	case <-due:
	}
}

// take acquires slots, or gives them back to be tried again.
func (m *Mailbox) take(p *place, list []im.Slot) {
	err := m.acquire(m.ctx, p, list)
	if err == nil {
		return
	}
	m.cause.Store(&err)
	if m.ctx.Err() == nil {
		p.failed(m.cfg.Logger, time.Now(), err, func() int { return m.missingAt(p.name) })
	}
	m.slots.Refused(list, time.Now().Add(acquireRetry))
}

// acquireAll acquires slots, a part at a time.
func (m *Mailbox) acquireAll(ctx context.Context, list []im.Slot) error {
	var parts sync.WaitGroup
	errs := make([]error, (len(list)+acquireAtOnce-1)/acquireAtOnce)
	for i := range errs {
		part := list[i*acquireAtOnce : min((i+1)*acquireAtOnce, len(list))]
		parts.Go(func() { errs[i] = m.acquire(ctx, m.places.of(""), part) })
	}
	parts.Wait()
	return errors.Join(errs...)
}

// acquire takes slots and hands them to their shards.
func (m *Mailbox) acquire(ctx context.Context, p *place, list []im.Slot) error {
	select {
	case p.turns <- struct{}{}:
		defer func() { <-p.turns }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if list = m.slots.StillWanted(list); len(list) == 0 {
		return nil
	}
	list, err := m.free(ctx, list)
	if err != nil || len(list) == 0 {
		return err
	}
	epochs, err := m.store.Acquire(ctx, m.cfg.Node, list)
	if err != nil {
		return im.Errorf(im.Unavailable, "cannot acquire slots: %w", err)
	}
	p.succeeded(m.cfg.Logger)
	pending, err := m.pending(ctx, list)
	if err != nil {
		return im.Errorf(im.Unavailable, "cannot list undelivered messages: %w", err)
	}
	m.slots.Acquired(m.cfg.Node, list, epochs)
	m.handOut(list, epochs, pending)
	m.slots.Started(list)
	if m.cfg.Shared {
		m.Hurry(list)
	}
	if m.cfg.Acquired != nil {
		m.cfg.Acquired(list, epochs)
	}
	m.cfg.Logger.Debug("slots are served", "slots", len(list))
	return nil
}

// handOut gives slots to their shards.
func (m *Mailbox) handOut(list []im.Slot, epochs []im.Epoch, pending [][]im.Addr) {
	shares := make(map[*shard.Shard]*share)
	for i, slot := range list {
		s := m.shardOfSlot(slot)
		if shares[s] == nil {
			shares[s] = &share{}
		}
		sh := shares[s]
		sh.slots, sh.epochs = append(sh.slots, slot), append(sh.epochs, epochs[i])
		sh.pending = append(sh.pending, pending[i]...)
	}
	for s, sh := range shares {
		s.Own(sh.slots, sh.epochs, sh.pending)
	}
}

// share is what a shard gets of what was acquired.
type share struct {
	slots   []im.Slot
	epochs  []im.Epoch
	pending []im.Addr
}

// pending lists who owes messages in slots, a few slots at a time.
func (m *Mailbox) pending(ctx context.Context, list []im.Slot) ([][]im.Addr, error) {
	pending, errs := make([][]im.Addr, len(list)), make([]error, pendingReaders)
	var readers sync.WaitGroup
	for r := range errs {
		readers.Go(func() {
			for i := r; i < len(list) && errs[r] == nil; i += pendingReaders {
				pending[i], errs[r] = m.store.Pending(ctx, list[i])
			}
		})
	}
	readers.Wait()
	return pending, errors.Join(errs...)
}

// byShard deals slots out to their shards.
func (m *Mailbox) byShard(list []im.Slot) map[*shard.Shard][]im.Slot {
	shares := make(map[*shard.Shard][]im.Slot)
	for _, slot := range list {
		s := m.shardOfSlot(slot)
		shares[s] = append(shares[s], slot)
	}
	return shares
}

// leave hands slots over to whoever acquires them.
func (m *Mailbox) leave(list []im.Slot) {
	for s, part := range m.byShard(list) {
		s.Leave(part, func() {
			epochs := m.slots.Left(part)
			m.cfg.Logger.Info("slots are handed over", "slots", len(part))
			if m.cfg.Left != nil {
				m.cfg.Left(part, epochs)
			}
		})
	}
}

// onLost hears from a shard that slots are not served any more.
func (m *Mailbox) onLost(list []im.Slot, err error) {
	m.cause.Store(&err)
	var fenced *store.SlotError
	rest := time.Time{}
	if errors.As(err, &fenced) {
		rest = time.Now().Add(fencedRest + rand.N(fencedRest))
		m.tasks.Go(func() { m.findOwners(list) })
		if m.cfg.Fenced != nil {
			m.cfg.Fenced()
		}
	}
	switch wanted := m.slots.Lost(list, rest); {
	case wanted == 0:
	case fenced != nil:
		m.cfg.Logger.Warn("slots are not served: another node has acquired them", "slots", wanted)
	default:
		m.cfg.Logger.Error("slots are not served: the store refused a commit", "slots", wanted, "err", err)
	}
}
