package mailbox

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// DefaultAudit is the default of Config.AuditEvery.
const DefaultAudit = 5 * time.Second

// auditTimeout bounds one question to the store.
const auditTimeout = 10 * time.Second

// Audit asks soon whether this node's slots are still its own: something has
// happened that lets it doubt that. It returns at once.
func (m *Mailbox) Audit() {
	select {
	case m.doubted <- struct{}{}:
	default:
	}
}

// audit asks the store now and then who owns the slots that are served here. A
// node that has nothing to commit would not learn that another one had a slot
// for a moment, and left messages in it that nobody sends.
func (m *Mailbox) audit() {
	tick := time.NewTicker(cmp.Or(m.cfg.AuditEvery, DefaultAudit))
	defer tick.Stop()
	for failing := false; ; {
		select {
		case <-m.ctx.Done():
			return
		case <-tick.C:
		case <-m.doubted:
		}
		err := m.auditOnce()
		switch {
		case m.ctx.Err() != nil:
		case err != nil && !failing:
			m.cfg.Logger.Warn("it cannot be asked who owns the slots, until further notice", "err", err)
		case err == nil && failing:
			m.cfg.Logger.Info("it can be asked again who owns the slots")
		}
		failing = err != nil
	}
}

// auditOnce asks about the slots of each of the store's servers: one that is away
// says nothing about the others.
func (m *Mailbox) auditOnce() error {
	held, epochs := m.slots.Held()
	known := make(map[im.Slot]im.Epoch, len(held))
	for i, slot := range held {
		known[slot] = epochs[i]
	}
	parts := store.ByPlace(m.store, held)
	errs := make(chan error, len(parts))
	for _, part := range parts {
		m.tasks.Go(func() { errs <- m.auditPart(part, known) })
	}
	var err error
	for range parts {
		err = errors.Join(err, <-errs)
	}
	return err
}

func (m *Mailbox) auditPart(held []im.Slot, epochs map[im.Slot]im.Epoch) error {
	ctx, cancel := context.WithTimeout(m.ctx, auditTimeout)
	defer cancel()
	owners, err := m.store.Owners(ctx, held)
	if err != nil {
		return err
	}
	var lost []im.Slot
	var old []im.Epoch
	for i, slot := range held {
		if owners[i].Epoch == epochs[slot] && owners[i].Node == m.cfg.Node {
			continue
		}
		m.slots.Learn(owners[i].Node, held[i:i+1], []im.Epoch{owners[i].Epoch})
		lost, old = append(lost, slot), append(old, epochs[slot])
	}
	if len(lost) > 0 {
		m.cfg.Logger.Warn("slots have been acquired by other nodes without notice", "slots", len(lost))
	}
	m.disown(lost, old)
	return nil
}

// findOwners asks who has acquired slots that were fenced here.
func (m *Mailbox) findOwners(list []im.Slot) {
	ctx, cancel := context.WithTimeout(m.ctx, auditTimeout)
	defer cancel()
	owners, err := m.store.Owners(ctx, list)
	if err != nil {
		// Those who ask find out from the members, a little later.
		return
	}
	for i, o := range owners {
		m.slots.Learn(o.Node, list[i:i+1], []im.Epoch{o.Epoch})
	}
}
