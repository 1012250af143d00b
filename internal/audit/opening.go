package audit

import (
	"slices"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store"
)

// opening is what a wallet had where its log begins now, and what is left of the
// proof for it: the other ends of its links, which forget nothing.
type opening struct {
	cents im.Cents
	// known: an entry of the log has said it.
	known bool
	// explained is what envelopes, campaigns and payments gave the wallet,
	// less what they took, in messages that its log no longer has.
	explained im.Cents
}

// begin looks at the first entries of a log, which may lack some before them. An
// entity knows how many it has let go of.
func (a *auditor) begin(b *book, entries []store.Entry, st entity.Status) {
	gone := st.Head
	if len(entries) > 0 {
		gone = entries[0].Seq - 1
	}
	if gone > st.Trimmed {
		a.report.problem(b.addr, "entries %d to %d are missing", st.Trimmed+1, gone)
	}
	if gone > 0 && b.addr.Kind == im.KindUser {
		b.opening = &opening{}
		a.openings[b.addr] = b.opening
	}
}

// open takes the opening balance from the first entry that says one.
func (b *book) open(m *entity.Movement) {
	if o, w := b.opening, m.Wallet; o != nil && !o.known && w != nil {
		o.known = true
		o.cents = w.Balance - w.Cents
		b.held, b.statement = o.cents, w.Prev
	}
}

// last is the number of the last message that an end knows of, before one with
// the next number.
func (t *traffic) last(b *book, own []im.Cents, next im.LinkSeq) im.LinkSeq {
	if b.opening == nil {
		return im.LinkSeq(len(own))
	}
	if !t.known {
		t.known, t.before = true, max(next, 1)-1
	}
	return t.before + im.LinkSeq(len(own))
}

// bounds notes what an entity's links say that its log does not: how many
// messages there were before it begins, and how many the other end has taken.
func (a *auditor) bounds(b *book, ent entity.Entity, believed im.Cents) {
	if b.opening != nil && !b.opening.known {
		b.opening.cents, b.opening.known, b.held = believed, true, believed
	}
	for _, l := range entity.MoneyLinks(ent) {
		if b.opening != nil {
			a.bound(b, way{l.Peer, b.addr}, l.In)
			a.bound(b, way{b.addr, l.Peer}, l.Out)
		}
		if t := a.links[way{b.addr, l.Peer}]; t != nil {
			t.acked = l.Acked
		}
	}
}

func (a *auditor) bound(b *book, w way, count im.LinkSeq) {
	if t := a.traffic(b, w); !t.known {
		t.known, t.before = true, count
	}
}

// explain takes the messages out of a way that its wallet no longer knows of, as
// the other end tells them, and returns how many they are.
func (a *auditor) explain(w way, t *traffic) (before int) {
	if o := a.openings[w.to]; o != nil {
		if !t.known {
			// The wallet has forgotten the link, or not heard of it.
			t.before = t.acked
		}
		before = a.told(w, t.before, len(t.sent))
		o.explained += sum(t.sent[:before])
		t.sent = t.sent[before:]
	}
	if o := a.openings[w.from]; o != nil {
		if !t.known {
			t.before = im.LinkSeq(len(t.taken))
		}
		before = a.told(w, t.before, len(t.taken))
		o.explained -= sum(t.taken[:before])
		t.taken = t.taken[before:]
	}
	return before
}

// told is how many of the messages that the wallet has let go of the other end
// knows.
func (a *auditor) told(w way, before im.LinkSeq, known int) int {
	if before > im.LinkSeq(known) {
		a.report.problem(w.from, "has let %d messages to %v be forgotten, of which only %d are known there", before, w.to, known)
	}
	return int(min(before, im.LinkSeq(known)))
}

func sum(cents []im.Cents) (total im.Cents) {
	for _, c := range cents {
		total += c
	}
	return total
}

// checkOpenings compares what wallets had with what others know of it.
func (a *auditor) checkOpenings() {
	addrs := make([]im.Addr, 0, len(a.openings))
	for addr := range a.openings {
		addrs = append(addrs, addr)
	}
	slices.SortFunc(addrs, im.Addr.Compare)
	for _, addr := range addrs {
		if o := a.openings[addr]; o.cents != o.explained {
			a.report.problem(addr, "had %d cents where its log begins, but what it got and gave before makes %d", o.cents, o.explained)
		}
	}
}
