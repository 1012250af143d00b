package mailbox

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// sweepParts is into how many parts a sweep of all slots is divided. The users
// of one are in memory, as identifiers.
const sweepParts = 64

// sweep has users who do nothing let go of what need not be kept: everybody is
// looked at once in a round, evenly over its time, one after another. Where it
// begins is left to chance, so that a node that is often started again gets to
// everybody too.
func (m *Mailbox) sweep() {
	lister, ok := m.store.(store.Lister)
	if !ok || m.cfg.Sweep <= 0 || m.cfg.Core.Retain.Kept() {
		return
	}
	for part := rand.IntN(sweepParts); m.ctx.Err() == nil; part = (part + 1) % sweepParts {
		end := time.Now().Add(m.cfg.Sweep / sweepParts)
		users := m.usersIn(lister, part)
		for i, user := range users {
			m.rest(time.Until(end) / time.Duration(len(users)-i+1))
			m.tidy(user)
		}
		m.rest(time.Until(end))
	}
}

// rest waits, unless the mailbox stops.
func (m *Mailbox) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-m.ctx.Done():
	case <-timer.C:
	}
}

// usersIn lists the users in the slots of a part that are served here.
func (m *Mailbox) usersIn(lister store.Lister, part int) (users []im.UserID) {
	var here []im.Slot
	for slot := im.Slot(part); slot < im.Slots; slot += sweepParts {
		if m.slots.Serves(slot) {
			here = append(here, slot)
		}
	}
	err := lister.List(m.ctx, here, func(_ im.Slot, held []im.Addr) error {
		for _, a := range held {
			if a.Kind == im.KindUser {
				users = append(users, im.UserID(a.ID))
			}
		}
		return nil
	})
	if err != nil && m.ctx.Err() == nil {
		m.cfg.Logger.Warn("users cannot be listed; the history of some is trimmed in the next round", "err", err)
	}
	return users
}

// tidy lets a user's mailbox let go of what it need not keep. If it has no time
// for that now, the next round sees to it.
func (m *Mailbox) tidy(user im.UserID) {
	ctx, cancel := context.WithTimeout(m.ctx, tidyTimeout)
	defer cancel()
	_, err := im.Do(ctx, m, im.User(user), &im.Tidy{})
	if err == nil {
		m.swept.Add(1)
	}
}

// tidyTimeout is how long the sweep waits for one user.
const tidyTimeout = 10 * time.Second
