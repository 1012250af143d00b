package entity

import "github.com/skein-im/skein/internal/im"

// Retransmission: the first repeat after retransmitMin, then twice as long
// each time up to retransmitMax, each with up to a quarter of jitter, so that
// peers that come back are not met by everyone at once.
const (
	retransmitMin = 500
	retransmitMax = 30_000
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
	next    im.LinkSeq
	due     im.Millis
	tries   uint8
	reading bool
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
func (l *link) restart(due im.Millis) {
	l.next, l.tries, l.reading, l.due = l.acked+1, 0, false, 0
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
// chat messages among them, were acknowledged for the first time.
func (l *link) takeAck(n im.LinkSeq, now im.Millis) (all, chat int) {
	if n <= l.acked || n > l.out {
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
	l.tries = 0
	if all == len(l.refs) {
		l.refs = l.refs[:0]
		l.due = 0
	} else {
		l.refs = append(l.refs[:0], l.refs[all:]...)
		l.due = now + retransmitMin
	}
	return all, chat
}

// expired starts over from the first unacknowledged message, and waits longer
// for the next time.
func (l *link) expired(now im.Millis, jitter func(int64) int64) {
	l.next = l.acked + 1
	wait := int64(retransmitMax)
	if l.tries < 6 {
		wait = retransmitMin << l.tries
		l.tries++
	}
	l.due = now + im.Millis(wait+jitter(wait/4+1))
}

// lagging returns the log sequences to read so that transmission can go on
// from next, among those up to durable.
func (l *link) lagging(durable im.Seq) []im.Seq {
	if l.reading || l.next > l.out {
		return nil
	}
	flight := int(l.next - l.acked - 1)
	n := min(resendBurst, resendWindow-flight, len(l.refs)-flight)
	if n <= 0 {
		return nil
	}
	seqs := make([]im.Seq, 0, n)
	for _, r := range l.refs[flight : flight+n] {
		if r.seq() > durable {
			break
		}
		seqs = append(seqs, r.seq())
	}
	return seqs
}
