package entity

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/skein-im/skein/internal/im"
)

// couple are two users and what is on its way between them, in order on each
// link.
type couple struct {
	t     *rapid.T
	users [2]*actor
	wire  [2][]*Message
}

func newCouple(t *rapid.T, friends bool) *couple {
	c := &couple{t: t}
	for i := range c.users {
		var f []im.UserID
		if friends {
			f = append(f, im.UserID(2-i))
		}
		c.users[i] = newUserActor(t, im.UserID(i+1), f...)
	}
	return c
}

// collect puts what a user has sent on the wire.
func (c *couple) collect(i int) {
	c.wire[i] = append(c.wire[i], c.users[i].out...)
	c.users[i].out = nil
}

func (c *couple) step(i int, op im.ContactOp) {
	_, err := c.users[i].do(contact(op, im.UserID(2-i)))
	if kind := im.KindOf(err); err != nil && kind != im.NotFound && kind != im.Blocked {
		c.t.Fatalf("user %d: step %d: %v", i+1, op, err)
	}
	c.collect(i)
}

// deliver hands over the first message from a user to the other.
func (c *couple) deliver(i int) bool {
	if len(c.wire[i]) == 0 {
		return false
	}
	m := c.wire[i][0]
	c.wire[i] = c.wire[i][1:]
	c.users[1-i].receive(m)
	c.collect(1 - i)
	return true
}

func (c *couple) settle() {
	for n := 0; c.deliver(0) || c.deliver(1); n++ {
		if n > 1000 {
			c.t.Fatalf("the users never stop talking")
		}
	}
}

func (c *couple) state(i int) im.ContactState {
	if p := c.users[i].user().pair(im.User(im.UserID(2 - i))); p != nil {
		return p.contact
	}
	return im.Strangers
}

// mirrors says how a state looks from the other side.
var mirrors = map[im.ContactState]im.ContactState{
	im.Strangers: im.Strangers, im.Friends: im.Friends, im.Requested: im.Incoming, im.Incoming: im.Requested,
}

func (c *couple) check() {
	if a, b := c.state(0), c.state(1); mirrors[a] != b {
		c.t.Fatalf("user 1 is in state %d, user 2 in state %d", a, b)
	}
}

var contactOps = []im.ContactOp{im.ContactRequest, im.ContactRequest, im.ContactAccept, im.ContactRefuse,
	im.ContactRemove, im.ContactBlock, im.ContactUnblock}

// Whatever two users do, and however their messages cross, they agree once
// everything has arrived, and what is in the store says the same.
func TestContactsConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCouple(t, rapid.Bool().Draw(t, "friends"))
		action := rapid.IntRange(0, 9)
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			i := rapid.IntRange(0, 1).Draw(t, "user")
			switch n := action.Draw(t, "action"); {
			case n < 5:
				c.step(i, rapid.SampledFrom(contactOps).Draw(t, "op"))
			case n < 9:
				c.deliver(i)
			default:
				c.users[i].snapshot()
			}
		}
		c.settle()
		c.check()
		for _, a := range c.users {
			live, stored := a.user(), a.load().(*user)
			if l, s := fmt.Sprint(live.listContacts()), fmt.Sprint(stored.listContacts()); l != s {
				t.Fatalf("%v: live %s, stored %s", a.addr, l, s)
			}
		}
	})
}

// Every sequence of up to five steps and deliveries, exhaustively.
func TestContactsConvergeExhaustively(t *testing.T) {
	const depth = 5
	ops := []im.ContactOp{im.ContactRequest, im.ContactAccept, im.ContactRemove}
	moves := 2 * (len(ops) + 1)
	total := 1
	for range depth {
		total *= moves
	}
	if testing.Short() {
		total /= 50
	}
	for code := range total {
		c := &couple{users: [2]*actor{newUserActor(t, 1), newUserActor(t, 2)}}
		var path []string
		for n := code; n > 0; n /= moves {
			move := n % moves
			i := move % 2
			if k := move / 2; k < len(ops) {
				path = append(path, fmt.Sprintf("user %d: %d", i+1, ops[k]))
				_, _ = c.users[i].do(contact(ops[k], im.UserID(2-i)))
				c.collect(i)
				continue
			}
			path = append(path, fmt.Sprintf("deliver from %d", i+1))
			c.deliver(i)
		}
		for c.deliver(0) || c.deliver(1) {
		}
		if a, b := c.state(0), c.state(1); mirrors[a] != b {
			t.Fatalf("%q: user 1 is in state %d, user 2 in state %d", path, a, b)
		}
	}
}
