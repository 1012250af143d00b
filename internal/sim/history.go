package sim

import (
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// retained is what is known of a log whose beginning is let go of.
type retained struct {
	// since is when each entry became durable.
	since []time.Duration
	// owed are the link messages in the entries that are kept.
	owed []owed
}

// owed is a link message in a log.
type owed struct {
	seq im.Seq
	to  im.Addr
	n   im.LinkSeq
}

// trim checks that nothing goes that is still needed: no link message that its
// receiver has not taken, no entry that a device lacks, unless that has been away
// for long, and never all.
func (l *ledger) trim(from, to im.Seq) {
	w := l.w
	w.logf("%v: entries %d to %d are let go of", l.addr, from, to)
	w.stats.Trimmed += int(to - from + 1)
	if l.addr.Kind != im.KindUser || to >= l.head {
		l.fail(to, "is let go of, the last one is %d", l.head)
	}
	n := 0
	for n < len(l.owed) && l.owed[n].seq <= to {
		if o := l.owed[n]; w.ledger(o.to).in[l.addr] < o.n {
			l.fail(o.seq, "is let go of, but %v has not taken message %d", o.to, o.n)
		}
		n++
	}
	l.owed = l.owed[n:]
	for _, d := range w.byID[im.UserID(l.addr.ID)].devices {
		if next := d.cursor() + 1; !d.gone && !d.revoking && next <= to && !l.longAgo(to) {
			l.fail(to, "is let go of, but %v lacks entries from %d on", d, next)
		}
	}
}

// patience is how far the clocks of nodes, and what is under way, can be apart.
const patience = 12 * time.Second

// longAgo reports whether an entry may go that some device lacks.
func (l *ledger) longAgo(seq im.Seq) bool {
	away := time.Duration(l.w.plan.core.Retain.Away) * time.Millisecond
	return away > 0 && l.w.now-l.since[seq-1]+patience >= away
}

// checkGone holds a word that entries are gone against the store, and reports
// whether it is one.
func (l *ledger) checkGone(d *device, first, last im.Seq, entries [][]byte) bool {
	var e wire.Entry
	if err := e.Unmarshal(entries[0]); err != nil || e.Kind != wire.EntryGone {
		return false
	}
	if len(entries) != 1 || e.Seq != last || first > last || last > l.w.store.data(l.addr).trimmed {
		l.fail(last, "is said to %v to be gone with those from %d on: %+v", d, first, e)
	}
	return true
}

// span is a part of a timeline.
type span struct{ from, to im.Seq }

// lacks reports whether the device was told that an entry is gone.
func (d *device) lacks(seq im.Seq) bool {
	for _, s := range d.missed {
		if s.from <= seq && seq <= s.to {
			return true
		}
	}
	return false
}

// sweep lets go of what users need not keep who do nothing.
func (n *node) sweep(cores []*core) {
	w := n.w
	w.after(w.between(500*time.Millisecond, 2*time.Second), func() {
		if cores[0].dead {
			return
		}
		u := w.users[w.rng.IntN(len(w.users))]
		w.submit(n.coreOf(u.addr.Slot()), u.addr, &im.Tidy{}, func(im.Result, error) {})
		n.sweep(cores)
	})
}
