package clientcore

import (
	"sort"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// outbox holds the sends without a final answer, by ascending client_seq.
//
// Every transmission of a send is answered once per connection, but not always
// in order: a server that is too busy says so at once, while it still works on
// earlier sends. So going back is not wholesale: an item is transmitted again
// when its own answer says so, in the order of the items. That way each
// transmission causes at most one other.
type outbox[T any] struct {
	window int
	// numbered: last is known, from the server or from a kept state.
	// Until then items are numbered provisionally.
	numbered bool
	last     im.ClientSeq
	// items[head:] are live.
	items []item[T]
	head  int
	// next is the place in live() before which nothing waits.
	next int

	held       bool
	holds      int
	retryAfter uint32
}

type item[T any] struct {
	send wire.Send
	tag  T
	// waiting: to be transmitted. An item neither waiting nor done is in
	// flight.
	waiting bool
	// done: answered, but for an earlier one.
	done bool
	// filler takes up a client_seq whose own send was refused without
	// using it up.
	filler bool
}

func (o *outbox[T]) live() []item[T] { return o.items[o.head:] }

func (o *outbox[T]) add(to im.UserID, content im.Content, trace im.TraceID, tag T) {
	o.last++
	o.items = append(o.items, item[T]{send: wire.Send{To: to, ClientSeq: o.last, Content: content, Trace: trace}, tag: tag, waiting: true})
}

// find returns the place of a client_seq in live(), or -1. Numbers are dense
// unless another program used the device meanwhile.
func (o *outbox[T]) find(cs im.ClientSeq) int {
	live := o.live()
	if len(live) == 0 || cs < live[0].send.ClientSeq {
		return -1
	}
	i := int(min(uint64(cs-live[0].send.ClientSeq), uint64(len(live)-1)))
	if live[i].send.ClientSeq != cs {
		i = sort.Search(len(live), func(i int) bool { return live[i].send.ClientSeq >= cs })
		if i == len(live) || live[i].send.ClientSeq != cs {
			return -1
		}
	}
	return i
}

// reconcile adopts the last client_seq the server has accepted.
func (o *outbox[T]) reconcile(accepted im.ClientSeq) {
	live := o.live()
	switch {
	case len(live) == 0:
		o.last = accepted
	case !o.numbered, live[0].send.ClientSeq > accepted+1:
		// The numbers were provisional, or the server has lost what it
		// had accepted: in either case it has accepted none of these
		// under any number, so they can have the next ones.
		for i := range live {
			live[i].send.ClientSeq = accepted + 1 + im.ClientSeq(i)
		}
		o.last = accepted + im.ClientSeq(len(live))
	case accepted > o.last:
		// Another program used the device. Ours are answered as what
		// they are, or with Conflict.
		o.last = accepted
	}
	o.numbered = true
}

// rewind makes everything wait for transmission again.
func (o *outbox[T]) rewind() {
	live := o.live()
	for i := range live {
		live[i].waiting = !live[i].done
	}
	o.next = 0
	o.held, o.retryAfter = false, 0
}

// peek returns the place of the next item to transmit, or -1.
func (o *outbox[T]) peek() int {
	if o.held {
		return -1
	}
	live := o.live()
	for o.next < len(live) && !live[o.next].waiting {
		o.next++
	}
	if o.next == len(live) {
		return -1
	}
	// The server repeats answers for a window behind the last number only,
	// so what counts is the distance, not how many are unanswered.
	if live[o.next].send.ClientSeq-live[0].send.ClientSeq >= im.ClientSeq(o.window) {
		return -1
	}
	return o.next
}

func (o *outbox[T]) ready() bool { return o.peek() >= 0 }

// transmit appends what may be sent.
func (o *outbox[T]) transmit(dst []byte, limit int) []byte {
	for len(dst) < limit {
		i := o.peek()
		if i < 0 {
			return dst
		}
		it := &o.live()[i]
		it.waiting = false
		dst = wire.AppendSendFrame(dst, &it.send)
	}
	return dst
}

// again makes an item that was in flight wait for transmission.
func (o *outbox[T]) again(i int) bool {
	it := &o.live()[i]
	if it.waiting {
		return false
	}
	it.waiting = true
	o.next = min(o.next, i)
	return true
}

// hold stops transmission until the caller resumes it.
func (o *outbox[T]) hold(retryAfter uint32) {
	if !o.held {
		o.held = true
		o.holds++
	}
	o.retryAfter = max(o.retryAfter, retryAfter)
}

// finish takes an item out, once all before it are out too.
func (o *outbox[T]) finish(i int) {
	live := o.live()
	live[i].done, live[i].waiting = true, false
	n := 0
	for n < len(live) && live[n].done {
		live[n] = item[T]{}
		n++
	}
	o.head += n
	o.next = max(0, o.next-n)
	switch {
	case o.head == len(o.items):
		o.items, o.head = o.items[:0], 0
	case o.head > 64 && o.head > len(o.items)/2:
		kept := copy(o.items, o.items[o.head:])
		clear(o.items[kept:])
		o.items, o.head = o.items[:kept], 0
	}
}
