package entity

import "github.com/skein-im/skein/internal/im"

// line is a link and the peer that it leads to.
type line struct {
	link
	peer im.Addr
	// open: it is in lines.open.
	open bool
	// dirty: the record that holds it is out of date.
	dirty bool
	// generations is nil as long as both ends are in the first one.
	generations *generations
}

func newLine(peer im.Addr) line { return line{peer: peer, link: link{next: 1}} }

// lines sees to it that what an entity sends arrives.
type lines struct {
	// open lists lines with unacknowledged messages, and some that had.
	open        []*line
	outstanding int
	// due is when timer wants to be called; 0: not at all.
	due im.Millis
	rtt roundTrip
	// marked is whether the store has the pending mark.
	marked bool
	// forks are where the log has gone on in other generations.
	forks forks
}

// sent accounts for the next message of a line, at a log sequence.
func (ls *lines) sent(l *line, seq im.Seq, chat bool) {
	l.sent(seq, chat)
	l.dirty = true
	if l.stopped() {
		return
	}
	ls.outstanding++
	ls.opened(l)
}

func (ls *lines) opened(l *line) {
	if !l.open {
		l.open = true
		ls.open = append(ls.open, l)
	}
}

// transmit sends message number n of a line, unless earlier ones wait to be
// sent again: then it waits its turn.
func (ls *lines) transmit(tx *Tx, l *line, n im.LinkSeq, body Body) {
	if l.stopped() {
		return
	}
	ls.mark(tx)
	if l.due == 0 {
		l.since, l.due = tx.Now, tx.Now+ls.rtt.wait()
		ls.wake(l.due)
	}
	if l.next != n {
		return
	}
	l.next++
	tx.send(ls.date(l, &Message{To: l.peer, Seq: n, Body: body}))
}

// mark has the entity woken by whoever owns it next.
func (ls *lines) mark(tx *Tx) {
	if !ls.marked {
		ls.marked = true
		tx.Mark = SetMark
	}
}

// unmark takes the mark off again. It is part of a snapshot, which says that
// nothing is outstanding.
func (ls *lines) unmark(tx *Tx) {
	if ls.marked {
		ls.marked = false
		tx.Mark = ClearMark
	}
}

// wake makes sure that timer is called at due or before.
func (ls *lines) wake(due im.Millis) {
	if ls.due == 0 || due < ls.due {
		ls.due = due
	}
}

// timer goes on with every line that is overdue.
func (ls *lines) timer(tx *Tx) {
	if ls.due == 0 || tx.Now < ls.due {
		return
	}
	ls.due = 0
	open := ls.open[:0]
	for _, l := range ls.open {
		if l.owed() == 0 {
			l.open = false
			continue
		}
		open = append(open, l)
		if l.due <= tx.Now {
			ls.overdue(tx, l)
		}
		ls.wake(l.due)
	}
	clear(ls.open[len(open):])
	ls.open = open
}

// nudged starts over with what has not been acknowledged, without waiting for
// the timer: there is a way to the peer again.
func (ls *lines) nudged(tx *Tx, l *line) {
	if l.owed() == 0 {
		return
	}
	l.next, l.tries, l.more = l.acked+1, 0, false
	l.due = tx.Now + ls.rtt.wait()
	ls.wake(l.due)
	ls.pump(tx, l)
}

// overdue goes on with what has become durable, or starts over with what has
// not been acknowledged.
func (ls *lines) overdue(tx *Tx, l *line) {
	if l.more {
		l.more, l.due = false, tx.Now+ls.rtt.wait()
	} else {
		tx.Waited = max(tx.Waited, tx.Now-l.since)
		l.expired(tx.Now, ls.rtt.wait(), tx.Jitter)
	}
	ls.pump(tx, l)
}

// pump asks for the log entries with which transmission to a peer goes on.
func (ls *lines) pump(tx *Tx, l *line) {
	seqs, blocked := l.lagging(tx.Durable)
	switch {
	case len(seqs) > 0:
		l.reading = true
		tx.Reads = append(tx.Reads, Read{Peer: l.peer, Seqs: seqs})
	case blocked:
		l.more, l.due = true, tx.Now+durableSoon
		ls.wake(l.due)
	}
}

// resend sends what was read. messageIn finds the message to a peer in a log
// entry.
func (ls *lines) resend(tx *Tx, l *line, entries []im.LogEntry, messageIn func(im.LogEntry, im.Addr) (im.LinkSeq, Body, bool)) {
	l.reading = false
	for _, e := range entries {
		n, body, ok := messageIn(e, l.peer)
		if !ok || n != l.next || l.next > l.out {
			continue
		}
		l.next++
		tx.send(ls.date(l, &Message{To: l.peer, Seq: n, Body: body}))
	}
	if len(entries) > 0 {
		// Without any, reading has failed; the timer tries again.
		ls.pump(tx, l)
	}
}

// takeAck accounts for what a peer has taken: how many messages, and how many
// chat messages among them.
func (ls *lines) takeAck(tx *Tx, l *line, ack im.LinkSeq) (all, chat int) {
	sent := l.since
	if all, chat = l.takeAck(ack, tx.Now, ls.rtt.wait()); all == 0 {
		return 0, 0
	}
	tx.Trip = max(tx.Now-sent, 1)
	ls.rtt.add(tx.Trip)
	l.dirty = true
	ls.outstanding -= all
	if l.due != 0 {
		ls.wake(l.due)
	}
	return all, chat
}

// restart has everything unacknowledged sent again, spread over the first
// retransmission interval.
func (ls *lines) restart(tx *Tx, l *line) {
	if l.owed() == 0 {
		l.link.restart(tx.Now, 0)
		return
	}
	l.link.restart(tx.Now, tx.Now+im.Millis(tx.Jitter(retransmitMin)))
	ls.opened(l)
	ls.marked = true
	ls.wake(l.due)
}

// hurrySpread is over how many milliseconds an entity spreads what it sends to
// peers that can be reached again.
const hurrySpread = 50

// Hurry implements Entity: what peers have not acknowledged is sent from the
// beginning, soon. Also what has been sent once only: it may have gone to a node
// that is not there any more, and would wait for up to retransmitUsual.
func (ls *lines) Hurry(tx *Tx, reachable func(peer im.Addr) bool) (hurried int) {
	for _, l := range ls.open {
		if l.owed() == 0 || !reachable(l.peer) {
			continue
		}
		due := tx.Now + 1 + im.Millis(tx.Jitter(hurrySpread))
		if l.due != 0 {
			due = min(due, l.due)
		}
		l.link.restart(tx.Now, due)
		ls.wake(l.due)
		hurried++
	}
	return hurried
}
