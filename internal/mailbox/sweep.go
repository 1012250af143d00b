package mailbox

import (
	"context"
	"math/rand/v2"
	"sync"
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

// usersIn lists the users in the slots of a part that are served here. They are
// asked for at the same time, because some stores answer many as fast as one.
func (m *Mailbox) usersIn(lister store.Lister, part int) []im.UserID {
	var mu sync.Mutex
	var users []im.UserID
	var all sync.WaitGroup
	for slot := im.Slot(part); slot < im.Slots; slot += sweepParts {
		if !m.slots.here[slot].Load() {
			continue
		}
		all.Go(func() {
			addrs, err := lister.List(m.ctx, slot)
			if err != nil {
				if m.ctx.Err() == nil {
					m.cfg.Logger.Warn("the users of a slot cannot be listed; their history is trimmed in the next round", "slot", slot, "err", err)
				}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, a := range addrs {
				if a.Kind == im.KindUser {
					users = append(users, im.UserID(a.ID))
				}
			}
		})
	}
	all.Wait()
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
