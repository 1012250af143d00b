package rewinds

import (
	"crypto/sha256"
	"fmt"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/store"
)

// person is a user with one device.
type person struct {
	w       *world
	id      im.UserID
	home    *part
	friends []im.UserID
	said    int
	logins  im.SessionID
	// answers are where messages stand that were acknowledged and not lost since,
	// by body.
	answers map[string]im.Seq
}

func newPerson(w *world, id im.UserID, users int) *person {
	p := &person{w: w, id: id, home: w.parts[int(id)%len(w.parts)], answers: map[string]im.Seq{}}
	for other := range users {
		if im.UserID(other+1) != id {
			p.friends = append(p.friends, im.UserID(other+1))
		}
	}
	return p
}

func (p *person) token() [32]byte { return sha256.Sum256(fmt.Append(nil, p.id)) }

// ask submits a command, if there is somebody to take it. Nobody asks twice: what
// is not answered may have happened or not.
func (p *person) ask(cmd im.Command, then func(res im.Result, err error)) {
	proc := p.home.proc
	if proc == nil {
		return
	}
	proc.enqueue(shard.Input{To: im.User(p.id), Cmd: cmd, Queued: proc.clock(), Done: im.CompletionFunc(func(_ im.Command, res im.Result, err error) {
		if !proc.dead {
			then(res, err)
		}
	})})
}

// read is what a device says that has got everything up to an entry.
func (p *person) read(seq im.Seq) {
	p.ask(&im.AckDelivered{Device: 1, Seq: seq}, func(im.Result, error) {})
}

// appear makes the user exist.
func (p *person) appear() {
	p.ask(&im.Provision{Friends: p.friends, TokenHashes: [][32]byte{p.token()}}, func(_ im.Result, err error) {
		if err != nil {
			p.w.failf("user %d does not appear: %v", p.id, err)
		}
	})
}

// write sends a message to a friend.
func (p *person) write() {
	to := p.friends[p.w.rng.IntN(len(p.friends))]
	p.said++
	body := fmt.Sprintf("%d-%d", p.id, p.said)
	p.ask(&im.Send{To: to, Device: 1, Content: im.Content{Type: im.ContentText, Body: []byte(body)}}, func(res im.Result, err error) {
		if err != nil {
			p.w.failf("user %d: %s is answered: %v", p.id, body, err)
		}
		p.answers[body] = res.(*im.Sent).Seq
		p.read(p.answers[body])
		p.w.report.Sent++
	})
}

// login is what a device does that comes back.
func (p *person) login() {
	p.logins++
	session := p.logins
	p.ask(&im.Attach{Device: 1, TokenHash: p.token(), Session: session, Sink: p}, func(_ im.Result, err error) {
		if err != nil {
			p.w.failf("user %d cannot log in: %v", p.id, err)
		}
		if p.w.calm {
			return
		}
		p.w.after(p.w.between(0, p.w.delay), func() { p.ask(&im.Detach{Session: session}, func(im.Result, error) {}) })
	})
}

// Deliver implements im.Sink.
func (p *person) Deliver(_, _ im.Seq, _ [][]byte) {}

// Kick implements im.Sink.
func (p *person) Kick(im.CloseCode, string) {}

// forgets takes back what was acknowledged of a change that is lost.
func (p *person) forgets(c *store.Change) {
	for body, seq := range p.answers {
		if len(c.Append) > 0 && seq >= c.First {
			delete(p.answers, body)
		}
	}
}
