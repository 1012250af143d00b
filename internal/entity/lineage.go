package entity

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
)

// Lineage says in which generations the ends of a link are. A number means
// something only to who knows which life of its sender it is from: a copy that
// lacks the end gives the lost numbers to other messages.
//
// A receiver notes the generation of its peer beside the last number taken. It
// takes word of another one only from who names the one that is noted: whoever speaks
// from an earlier life cannot have heard of it. So generations are compared for being
// the same, and what comes late from a lost store changes nothing.
type Lineage struct {
	// Own is the generation of the sender.
	Own im.Generation
	// Known is the one of the sender's that the receiver has noted, as far as
	// the sender knows, and Base the last number of the link sender -> receiver
	// that means the same in both; it counts if they differ.
	Known im.Generation
	Base  im.LinkSeq
	// Noted is the generation of the receiver that the sender has noted: Ack is
	// a number of that one.
	Noted im.Generation
	// Floor, if Noted is right, is a number up to which nothing is to be waited
	// for: it is taken, or nobody has it any more.
	Floor im.LinkSeq
	// Stopped says of a link of money that its ends remember different things.
	Stopped bool
}

// generations is what a line keeps as soon as one of its ends has been in another
// generation than the first.
type generations struct {
	// noted is the peer's, whose numbers in and the peer's acks are of. It
	// changes with the commit in which in goes back.
	noted im.Generation
	// known is the own one that the peer has noted. It may be behind.
	known im.Generation
	// bases are the last numbers used when the own generations began, of the last
	// of the entity's forks; before, there was none.
	bases []im.LinkSeq
	// stopped is of a link of money only; see Lineage.
	stopped bool
	// back, while the log is looked through for messages that the peer has lost.
	back *walk
}

// ownGenerations are the line's, new if need be.
func (l *line) ownGenerations() *generations {
	if l.generations == nil {
		l.generations = &generations{}
	}
	return l.generations
}

// noted is the peer's generation, as far as numbers have been taken from it.
func (l *line) noted() im.Generation {
	if l.generations == nil {
		return 0
	}
	return l.generations.noted
}

// known is the own generation that the peer knows of.
func (l *line) known() im.Generation {
	if l.generations == nil {
		return 0
	}
	return l.generations.known
}

func (l *line) walking() bool { return l.generations != nil && l.generations.back != nil }

// heard is what a message says of generations. One that says nothing is of the
// first, or of a version that knows of none.
func (m *Message) heard() Lineage {
	if m.Lineage == nil {
		return Lineage{}
	}
	return *m.Lineage
}

// generation is the one that the entity is in.
func (ls *lines) generation() im.Generation { return ls.forks.generation() }

// base notes the last number used before the entity enters another generation.
func (ls *lines) base(l *line) {
	if l.out == 0 {
		return
	}
	g := l.ownGenerations()
	if n := len(g.bases); len(ls.forks) == maxForks && n >= maxForks-1 {
		// The first two of the forks become one; see forks.enter.
		if n == maxForks {
			g.bases[1] = g.bases[0]
		}
		g.bases = slices.Delete(g.bases, 0, 1)
	}
	g.bases = append(g.bases, l.out)
	l.dirty = true
}

// baseOf is the last number of a line that means the same in one of the own
// generations and in the present one.
func (ls *lines) baseOf(l *line, g im.Generation) im.LinkSeq {
	if g == ls.generation() {
		return l.out
	}
	// Line and entity have the last ones in common.
	missing := len(ls.forks)
	if l.generations != nil {
		missing -= len(l.generations.bases)
	}
	if i := ls.forks.after(g) - missing; i >= 0 && l.generations != nil {
		return l.generations.bases[i]
	}
	return 0
}

// dated: messages of the line say of which generations their numbers are.
func (ls *lines) dated(l *line) bool {
	return l.generations != nil || len(ls.forks) > 0
}

// date has a message say so.
func (ls *lines) date(l *line, m *Message) *Message {
	if ls.dated(l) {
		s := &Lineage{Own: ls.generation(), Known: l.known(), Noted: l.noted(), Stopped: l.stopped()}
		if s.Known != s.Own {
			s.Base = ls.baseOf(l, s.Known)
		}
		if s.Noted != 0 {
			s.Floor = l.acked
		}
		m.Lineage, m.Ack = s, l.in
	}
	return m
}

// ack acknowledges everything that has been taken from a line's peer.
func (ls *lines) ack(tx *Tx, l *line, trace im.TraceID) {
	if !ls.dated(l) {
		tx.ack(l.peer, l.in, trace)
		return
	}
	tx.send(ls.date(l, &Message{To: l.peer, Body: Body{Trace: trace}}))
}

// tell says what is noted of a peer to one who believes something else.
func (ls *lines) tell(tx *Tx, l *line, believed im.Generation) {
	m := ls.date(l, &Message{To: l.peer, Ack: l.in})
	if s := m.Lineage; s != nil && s.Known != believed {
		s.Known, s.Base = believed, ls.baseOf(l, believed)
	}
	tx.send(m)
}

// know takes word of which own generation the peer has noted. If that is another one
// than was believed, what was sent was in vain.
func (ls *lines) know(tx *Tx, l *line, g im.Generation) {
	if l.known() != g {
		l.ownGenerations().known, l.dirty = g, true
		ls.nudged(tx, l)
	}
}

// meant is what an ack means that was given for numbers of one of the own
// generations.
func (ls *lines) meant(l *line, g im.Generation, ack im.LinkSeq) im.LinkSeq {
	if g == ls.generation() {
		return ack
	}
	return min(ack, ls.baseOf(l, g))
}

// settled takes off a line what nobody has to wait for, and returns how many
// messages that are.
func (ls *lines) settled(l *line, s *Lineage, n im.LinkSeq) uint64 {
	if s.Noted != ls.generation() || s.Noted == 0 || s.Floor <= l.in || n != s.Floor+1 {
		return 0
	}
	missing := s.Floor - l.in
	l.in = s.Floor
	return uint64(missing)
}

// append encodes a skein.store.v1.LinkGenerations.
func (g *generations) append(b []byte, num protowire.Number) []byte {
	if g == nil {
		return b
	}
	p := appendUint(nil, 1, uint64(g.noted))
	p = appendUint(p, 2, uint64(g.known))
	if len(g.bases) > 0 {
		var bases []byte
		for _, n := range g.bases {
			bases = protowire.AppendVarint(bases, uint64(n))
		}
		p = protowire.AppendTag(p, 3, protowire.BytesType)
		p = protowire.AppendBytes(p, bases)
	}
	p = appendBool(p, 4, g.stopped)
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendBytes(b, p)
}

func generationsOf(m *storev1.LinkGenerations) *generations {
	if m == nil {
		return nil
	}
	g := &generations{noted: im.Generation(m.Peer), known: im.Generation(m.Known), stopped: m.Stopped}
	for _, n := range m.Bases {
		g.bases = append(g.bases, im.LinkSeq(n))
	}
	return g
}
