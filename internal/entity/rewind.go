package entity

import (
	"slices"

	"github.com/skein-im/skein/internal/im"
)

// Rewound counts what the loss of a store's end has done to links.
type Rewound struct {
	// Unsaid were taken from peers that do not know any more of having sent them,
	// Again are sent once more because the peer has lost them, and of Gone no log
	// has what they said.
	Unsaid, Again, Gone uint64
}

// Add adds what another one has counted.
func (r *Rewound) Add(o *Rewound) {
	r.Unsaid += o.Unsaid
	r.Again += o.Again
	r.Gone += o.Gone
}

// reconcile looks at the generations of a message, or of its lack of any, and
// reports whether its numbers can be compared with those of the line.
func (u *user) reconcile(tx *Tx, m *Message) bool {
	if isPurse(m.From.Kind) {
		return u.reconcileDealing(tx, m)
	}
	s := m.heard()
	l := u.lineWith(m.From)
	switch {
	case l.walking():
		// Its numbers are about to change; the peer comes again.
		return false
	case s.Own == l.noted():
	case s.Known != l.noted():
		// From an earlier life of the peer, or it does not know what is noted here.
		u.tell(tx, l, s.Noted)
		return false
	case !u.room(m.From):
		return false
	default:
		l = &u.makePair(m.From).line
		if !u.adopt(tx, l, &s, m.Ack) {
			return false
		}
	}
	if s.Noted != l.known() {
		u.know(tx, &u.makePair(m.From).line, s.Noted)
	}
	if m.Seq == 0 && s.Known != l.noted() {
		u.tell(tx, l, s.Noted)
	}
	return true
}

// lineWith is the line with a peer, or one on which nothing has happened.
func (u *user) lineWith(peer im.Addr) *line {
	if p := u.pairs[peer]; p != nil {
		return &p.line
	}
	l := newLine(peer)
	return &l
}

// adopt goes on with a peer in the generation that it has entered, unless that has
// lost something that the log still has: this is looked for first.
func (u *user) adopt(tx *Tx, l *line, s *Lineage, ack im.LinkSeq) bool {
	if ack = u.meant(l, s.Noted, ack); ack < l.acked {
		u.walkBack(tx, l, s, ack)
		return false
	}
	u.rewind(tx, l, s)
	return true
}

// rewind notes a peer's generation, and takes the last number taken from it back
// to what means the same there, in one commit.
func (u *user) rewind(tx *Tx, l *line, s *Lineage) {
	if l.in > s.Base {
		tx.Rewound.Unsaid += uint64(l.in - s.Base)
		l.in = s.Base
	}
	g := l.ownGenerations()
	g.noted, g.known = s.Own, s.Noted
	l.dirty = true
	u.nudged(tx, l)
	u.Snapshot(tx)
}

const (
	// walkStep is how many log entries are looked at at a time.
	walkStep = 64
	// maxAgain is how many messages are sent again, the last ones. Whoever lacks
	// more has lost more than an end.
	maxAgain = 1 << 16
)

// walk looks through the log, backwards, for messages that a peer had acknowledged
// and has lost.
type walk struct {
	// lineage is what the peer has said, and ack what it has, in own numbers.
	lineage Lineage
	ack     im.LinkSeq
	// at is the next entry to look at, and found are those of the messages acked,
	// acked-1, ...
	at    im.Seq
	found []ref
}

// walkBack begins to look.
func (u *user) walkBack(tx *Tx, l *line, s *Lineage, ack im.LinkSeq) {
	if l.reading {
		// What is being read is for something else; the peer comes again.
		return
	}
	at := tx.Durable
	if len(l.refs) > 0 {
		at = min(at, l.refs[0].seq()-1)
	}
	l.reading = true
	l.ownGenerations().back = &walk{lineage: *s, ack: ack, at: at}
	u.walkOn(tx, l)
}

// walkOn asks for the next entries, or ends the walk.
func (u *user) walkOn(tx *Tx, l *line) {
	w := l.generations.back
	if l.acked-im.LinkSeq(len(w.found)) <= w.ack || w.at <= u.trimmed() || len(w.found) == maxAgain {
		u.walked(tx, l)
		return
	}
	var seqs []im.Seq
	for seq := w.at; seq > u.trimmed() && len(seqs) < walkStep; seq-- {
		seqs = append(seqs, seq)
	}
	tx.Reads = append(tx.Reads, Read{Peer: l.peer, Seqs: seqs})
}

// walkStepped takes what was read.
func (u *user) walkStepped(tx *Tx, l *line, entries []im.LogEntry) {
	w := l.generations.back
	before := w.at
	for _, e := range entries {
		if e.Seq != w.at {
			break
		}
		w.at--
		n, _, ok := messageIn(e, l.peer)
		if !ok || n != l.acked-im.LinkSeq(len(w.found)) || n <= w.ack {
			continue
		}
		w.found = append(w.found, newRef(e.Seq, false))
	}
	if w.at == before {
		// Reading has failed; the peer comes again.
		l.generations.back, l.reading = nil, false
		return
	}
	u.walkOn(tx, l)
}

// walked goes on with the peer as it is now, and sends again what was found. That
// was counted as arrived before, and is not again.
func (u *user) walked(tx *Tx, l *line) {
	w := l.generations.back
	l.generations.back, l.reading = nil, false
	for n := len(w.found); n > 0 && w.found[n-1].seq() <= u.trimmed(); n-- {
		w.found = w.found[:n-1]
	}
	slices.Reverse(w.found)
	l.refs = append(w.found, l.refs...)
	l.acked -= im.LinkSeq(len(w.found))
	tx.Rewound.Again += uint64(len(w.found))
	tx.Rewound.Gone += uint64(l.acked - w.ack)
	u.outstanding += len(w.found)
	if len(l.refs) > 0 {
		u.opened(l)
		u.mark(tx)
	}
	u.rewind(tx, l, &w.lineage)
	u.tell(tx, l, w.lineage.Noted)
}
