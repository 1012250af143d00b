package entity

import (
	"cmp"
	"slices"

	"github.com/skein-im/skein/internal/im"
)

// Whom a user writes to, or who writes to it, hears of its generation by that. The
// others would never send again what its store has lost: so they are told when
// somebody uses it again, those first whom it had to do with last.
const (
	// greetEvery is the pause between one peer and the next: a region that goes
	// on from a copy has everybody come back at once.
	greetEvery = 50
	// greetRounds is how often those are told who do not answer, greetAgain the
	// first pause between rounds, doubling.
	greetRounds = 6
	greetAgain  = 5_000
	// greetPause is how long those are left alone then.
	greetPause = 1_800_000
)

// greeting are the peers that are to be told of the generation.
type greeting struct {
	waiting []*line
	round   int
	due     im.Millis
	// ended is when it was over; 0: it goes on.
	ended im.Millis
}

// unaware lists the lines of users who may not know of the generation.
func (u *user) unaware() (list []*line) {
	own := u.generation()
	var pairs []*pair
	for _, p := range u.order {
		if p.known() != own {
			pairs = append(pairs, p)
		}
	}
	slices.SortFunc(pairs, func(a, b *pair) int { return cmp.Compare(b.lastSeq, a.lastSeq) })
	for _, p := range pairs {
		list = append(list, &p.line)
	}
	return list
}

// greet begins to tell them.
func (u *user) greet(tx *Tx) {
	if g := u.greeting; u.generation() == 0 || g != nil && (g.ended == 0 || tx.Now < g.ended+greetPause) {
		return
	}
	u.greeting = &greeting{waiting: u.unaware(), due: tx.Now}
	u.wake(tx.Now)
}

// greetOn tells the next one.
func (u *user) greetOn(tx *Tx) {
	g := u.greeting
	if g == nil || g.ended != 0 {
		return
	}
	own := u.generation()
	for tx.Now >= g.due && len(g.waiting) > 0 {
		l := g.waiting[0]
		g.waiting = g.waiting[1:]
		if l.known() != own {
			u.tell(tx, l, l.known())
			g.due = tx.Now + greetEvery
		}
	}
	if len(g.waiting) == 0 {
		g.round++
		g.waiting, g.due = u.unaware(), tx.Now+greetAgain<<g.round
	}
	if len(g.waiting) == 0 || g.round == greetRounds {
		u.greeting = &greeting{ended: tx.Now}
		return
	}
	u.wake(g.due)
}
