package regions

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// person is a user with one device.
type person struct {
	w       *world
	id      im.UserID
	friends []im.UserID
	// at is the region where the device believes the user to be.
	at int
	// waiting are sends that were not answered yet; the first is asked for.
	waiting []*im.Send
	last    im.ClientSeq
	asking  bool
	// answers are the sequences in the log, by body.
	answers map[string]im.Seq
	// said are the bodies to each friend, in order.
	said map[im.UserID][]string
}

func newPerson(w *world, id im.UserID, users int) *person {
	p := &person{w: w, id: id, at: w.rng.IntN(len(w.sites)), answers: map[string]im.Seq{}, said: map[im.UserID][]string{}}
	for other := range users {
		if im.UserID(other+1) != id {
			p.friends = append(p.friends, im.UserID(other+1))
		}
	}
	return p
}

// ask submits a command where the user is believed to be until it is answered
// for good.
func (p *person) ask(to im.Addr, cmd func() im.Command, then func(im.Result)) {
	settled := false
	again := func(wait time.Duration) { p.w.after(wait, func() { p.ask(to, cmd, then) }) }
	answer := func(res im.Result, err error) {
		if settled {
			return
		}
		settled = true
		var e *im.Error
		switch {
		case err == nil:
			then(res)
		case errors.As(err, &e) && e.Kind == im.Moved:
			p.at = p.w.site(e.At.Home.Region).index
			again(p.w.between(0, 10*time.Millisecond))
		case im.KindOf(err).Temporary():
			again(p.w.between(10*time.Millisecond, 300*time.Millisecond))
		default:
			p.w.failf("user %d: %T is answered: %v", p.id, cmd(), err)
		}
	}
	// Whoever is not answered in time asks again, perhaps somewhere else.
	p.w.after(p.w.between(time.Second, 4*time.Second), func() {
		if !settled && p.w.rng.IntN(3) == 0 {
			p.at = p.w.rng.IntN(len(p.w.sites))
		}
		answer(nil, &im.Error{Kind: im.Unavailable})
	})
	if proc := p.w.sites[p.at].near(to); proc != nil {
		proc.region.Submit(to, cmd(), im.CompletionFunc(func(_ im.Command, res im.Result, err error) {
			if !proc.dead {
				p.w.after(0, func() { answer(res, err) })
			}
		}))
	}
}

// appear makes the user exist.
func (p *person) appear() {
	hash := sha256.Sum256(fmt.Append(nil, p.id))
	p.ask(im.User(p.id), func() im.Command { return &im.Provision{Friends: p.friends, TokenHashes: [][32]byte{hash}} }, func(im.Result) {})
}

// write sends a message to a friend.
func (p *person) write() {
	to := p.friends[p.w.rng.IntN(len(p.friends))]
	p.last++
	body := fmt.Sprintf("%d-%d", p.id, p.last)
	p.said[to] = append(p.said[to], body)
	p.waiting = append(p.waiting, &im.Send{To: to, Device: 1, ClientSeq: p.last, Content: im.Content{Type: im.ContentText, Body: []byte(body)}})
	if !p.asking {
		p.sendFirst()
	}
}

// sendFirst sends the first of what waits.
func (p *person) sendFirst() {
	p.asking = len(p.waiting) > 0
	if !p.asking {
		return
	}
	first := p.waiting[0]
	p.ask(im.User(p.id), func() im.Command { one := *first; return &one }, func(res im.Result) {
		p.answers[string(first.Content.Body)] = res.(*im.Sent).Seq
		p.w.report.Sent++
		p.waiting = p.waiting[1:]
		p.sendFirst()
	})
}

// move asks the region where the user is to move it, perhaps while others ask for
// other moves; what becomes of it is the region's business.
func (p *person) move() {
	proc := p.w.sites[p.at].any()
	if proc == nil {
		return
	}
	p.moveTo(proc, p.w.sites[p.w.rng.IntN(len(p.w.sites))].name)
}

// moveTo asks a process to move the user.
func (p *person) moveTo(proc *proc, to im.Region) {
	p.w.logf("user %d is to move from %s to %s", p.id, proc.h.name(), to)
	if slices.ContainsFunc(p.w.asked, func(a *asked) bool { return a.user == p.id }) {
		p.w.report.Twice++
	} else if p.w.rng.IntN(3) == 0 {
		// Somebody else wants something else at the same time.
		p.w.after(p.w.between(0, 50*time.Millisecond), p.move)
	}
	ctx, cancel := context.WithCancel(context.Background())
	asked := &asked{user: p.id, to: to, by: proc, cancel: cancel}
	p.w.asked = append(p.w.asked, asked)
	go func() {
		defer asked.done.Store(true)
		_, asked.err = proc.region.Move(ctx, p.id, to)
	}()
}

// swap asks for the moves of two users of different regions at the same moment, each
// to where the other one is.
func (w *world) swap() {
	a, b := w.people[w.rng.IntN(len(w.people))], w.people[w.rng.IntN(len(w.people))]
	if a.at == b.at {
		return
	}
	for _, one := range [][2]*person{{a, b}, {b, a}} {
		to := w.sites[one[1].at].name
		w.after(0, func() {
			if proc := w.sites[one[0].at].any(); proc != nil {
				w.report.Swaps++
				one[0].moveTo(proc, to)
			}
		})
	}
}

// asked is a move that somebody waits for.
type asked struct {
	user   im.UserID
	to     im.Region
	by     *proc
	cancel context.CancelFunc
	err    error
	done   atomic.Bool
}

// giveUp ends the moves that a process was asked for, those that wait for others first:
// one at a time, so that never two goroutines may have the run do something.
func (w *world) giveUp(by *proc) {
	for _, a := range slices.Backward(w.asked) {
		if a.by == by {
			a.cancel()
			synctest.Wait()
		}
	}
}

// collect looks for moves that were answered, and links that were closed.
func (w *world) collect() {
	for _, s := range w.sites {
		for _, h := range s.hosts {
			if p := h.alive(); p != nil {
				for _, t := range p.ties {
					t.end()
				}
			}
		}
	}
	w.asked = slices.DeleteFunc(w.asked, func(a *asked) bool {
		if !a.done.Load() {
			return false
		}
		if a.err == nil {
			w.report.Moves++
		}
		a.cancel()
		w.logf("user %d: the move to %s is answered: %v", a.user, a.to, a.err)
		return true
	})
}

// topUp brings a cent or more into the wallet.
func (p *person) topUp() {
	p.w.topUps++
	reference, cents := fmt.Sprintf("ref-%d", p.w.topUps), im.Cents(1+p.w.rng.IntN(100))
	p.w.money += cents
	p.ask(im.Payment(im.TopUpOf(reference)), func() im.Command { return &im.TopUp{Reference: reference, User: p.id, Cents: cents} }, func(im.Result) {})
}
