package remote

import (
	"time"

	"github.com/skein-im/skein/internal/im"
)

// pending is a command that has been submitted and not completed.
type pending struct {
	to    im.Addr
	cmd   im.Command
	done  im.Completion
	codec *commandCodec
	// session is the one that the command is about; 0: none.
	session im.SessionID
	// offered: it is taken only if the session is known.
	offered bool
	// until is when the client's patience ends.
	until time.Time
	// turn orders the commands in flight.
	turn uint64
	// weight is about how many bytes it takes.
	weight int
}

func newPending(to im.Addr, cmd im.Command, done im.Completion) pending {
	return pending{
		to: to, cmd: cmd, done: done,
		codec: commandCodecOf(cmd), session: im.SessionOf(cmd), weight: weightOf(cmd),
	}
}

// complete reports the outcome. The caller holds no lock.
func (p *pending) complete(res im.Result, err error) {
	if p.done == nil {
		return
	}
	if _, ok := p.cmd.(*im.Detach); ok && err != nil {
		// The session has ended with its link, if not before.
		err = nil
	}
	p.done.Complete(p.cmd, res, err)
}

// repeatable: the command may be sent again over another link.
func (p *pending) repeatable() bool { return p.session == 0 && im.Repeatable(p.cmd) }

// weightOf is about how many bytes a command takes while it waits.
func weightOf(cmd im.Command) int {
	const fixed = 256
	switch cmd := cmd.(type) {
	case *im.Send:
		return fixed + len(cmd.Content.Body)
	case *im.SendNumbered:
		return fixed + len(cmd.Content.Body)
	case *im.Provision:
		return fixed + 8*len(cmd.Friends) + 32*len(cmd.TokenHashes)
	}
	return fixed
}

// queue holds the commands that wait to be sent, in order.
type queue struct {
	list []pending
	head int
	// weight is that of all of them.
	weight int
}

func (q *queue) len() int { return len(q.list) - q.head }

func (q *queue) push(p pending) {
	q.list = append(q.list, p)
	q.weight += p.weight
}

// first is the one that has waited longest.
func (q *queue) first() *pending { return &q.list[q.head] }

// keepQueue is the largest empty queue whose room is kept.
const keepQueue = 4096

func (q *queue) pop() pending {
	p := q.list[q.head]
	q.list[q.head] = pending{}
	q.head++
	q.weight -= p.weight
	switch {
	case q.head == len(q.list):
		if cap(q.list) > keepQueue {
			q.list = nil
		}
		q.list, q.head = q.list[:0], 0
	case q.head >= keepQueue && q.head >= len(q.list)/2:
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	return p
}

// take empties the queue.
func (q *queue) take() []pending {
	list := q.list[q.head:]
	*q = queue{}
	return list
}
