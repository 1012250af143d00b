package entity

import "github.com/skein-im/skein/internal/im"

// Retransmission: the first repeat after four times what acks usually take, so
// that a busy store or network is not made busier, but at least retransmitMin;
// then twice as long each time up to retransmitMax, each with up to a quarter
// of jitter, so that peers that come back are not met by everyone at once.
const (
	retransmitMin = 500
	retransmitMax = 30_000
	// retransmitFirst is the wait before anything is known of acks.
	retransmitFirst = 2000
	// durableSoon is when to look again for what is not durable yet.
	durableSoon = 20
	// retransmitUsual bounds the wait before the first repeat.
	retransmitUsual = 4000
	// resendBurst is how many log entries one resend reads.
	resendBurst = 32
	// resendWindow is how many resent messages may be in flight.
	resendWindow = 64
	// controlReserve is how much of the link window is kept for messages
	// that are not chat: refusals and contact steps.
	controlReserve = 64
)

// link is one entity's end of the two directions between it and a peer.
type link struct {
	// out is the last number used, acked the last the peer acknowledged,
	// in the last taken from the peer.
	out, acked, in im.LinkSeq
	// refs says where messages acked+1..out stand in the log.
	refs []ref

	// What follows is volatile. next is the next number to transmit; when
	// it lags behind out, messages are read back from the log.
	next im.LinkSeq
	// since is when the first unacknowledged message left, or the last ack
	// came.
	since   im.Millis
	due     im.Millis
	tries   uint8
	reading bool
	// gap: the peer has seen messages beyond one that it lacks, and has
	// thrown them away.
	gap bool
	// more: transmission stopped before what was not durable, and goes on
	// when it is due.
	more bool
}

// ref is twice a log sequence, plus one when the message counts as chat.
type ref uint64

func newRef(seq im.Seq, chat bool) ref {
	r := ref(seq) << 1
	if chat {
		r |= 1
	}
	return r
}

func (r ref) seq() im.Seq { return im.Seq(r >> 1) }
func (r ref) chat() bool  { return r&1 == 1 }

// restart puts the volatile part where a restart leaves it: everything
// unacknowledged is to be transmitted again.
func (l *link) restart(now, due im.Millis) {
	l.next, l.since, l.due = l.acked+1, now, 0
	l.tries, l.reading, l.gap, l.more = 0, false, false, false
	if len(l.refs) > 0 {
		l.due = due
	}
}

// full reports whether the window has no room for one more chat message.
func (l *link) full() bool { return len(l.refs) >= im.LinkWindow }

// controlFull is full for other messages, which have a reserve.
func (l *link) controlFull() bool { return len(l.refs) >= im.LinkWindow+controlReserve }

// sent accounts for message number out at a log sequence.
func (l *link) sent(seq im.Seq, chat bool) {
	l.out++
	l.refs = append(l.refs, newRef(seq, chat))
}

// takeAck moves acked up to n and returns how many messages, and how many
// chat messages among them, were acknowledged for the first time. If more are
// outstanding, they have until wait.
func (l *link) takeAck(n im.LinkSeq, now, wait im.Millis) (all, chat int) {
	if n <= l.acked || n > l.out {
		l.gap = l.gap || n == l.acked && len(l.refs) > 0
		return 0, 0
	}
	all = int(n - l.acked)
	for _, r := range l.refs[:all] {
		if r.chat() {
			chat++
		}
	}
	l.acked = n
	l.next = max(l.next, n+1)
	if l.gap {
		l.next, l.gap = n+1, false
	}
	l.tries = 0
	l.since = now
	if all == len(l.refs) {
		l.refs = l.refs[:0]
		l.due = 0
	} else {
		l.refs = append(l.refs[:0], l.refs[all:]...)
		l.due = now + wait
	}
	return all, chat
}

// expired starts over from the first unacknowledged message, and waits longer
// for the next time.
func (l *link) expired(now, wait im.Millis, jitter func(int64) int64) {
	l.next = l.acked + 1
	l.tries = min(l.tries+1, 7)
	wait = min(wait<<(l.tries-1), retransmitMax)
	l.due = now + wait + im.Millis(jitter(int64(wait)/4+1))
}

// roundTrip smooths how long acks take.
type roundTrip im.Millis

// add takes a sample. Those of repeated messages count too: too long a wait
// does no harm, and corrects itself.
func (r *roundTrip) add(sample im.Millis) {
	sample = max(sample, 1)
	if *r == 0 {
		*r = roundTrip(sample)
	}
	*r = roundTrip((7*im.Millis(*r) + sample + 7) / 8)
}

// wait is how long to wait for an ack.
func (r roundTrip) wait() im.Millis {
	if r == 0 {
		return retransmitFirst
	}
	return min(max(4*im.Millis(r), retransmitMin), retransmitUsual)
}

// lagging returns the log sequences to read so that transmission can go on
// from next, among those up to durable. blocked: there would be more.
func (l *link) lagging(durable im.Seq) (seqs []im.Seq, blocked bool) {
	if l.reading || l.next > l.out {
		return nil, false
	}
	flight := int(l.next - l.acked - 1)
	n := min(resendBurst, resendWindow-flight, len(l.refs)-flight)
	if n <= 0 {
		return nil, false
	}
	for _, r := range l.refs[flight : flight+n] {
		if r.seq() > durable {
			return seqs, true
		}
		seqs = append(seqs, r.seq())
	}
	return seqs, false
}
