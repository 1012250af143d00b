package entity

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// Retention says how much of a user's log is kept. Whatever it says, these
// stay: the last entry, those that hold messages without an ack, and those that
// the last snapshot lacks.
type Retention struct {
	// Entries is how many entries a log has, and Age how old they get; 0: any.
	// An eighth more may be there, for it is cut now and then only.
	Entries int
	Age     im.Millis
	// Away is how old an entry gets that some device has not acknowledged;
	// 0: any age. To a user without devices, none has been.
	Away im.Millis
}

// Kept reports whether everything is kept for ever.
func (r *Retention) Kept() bool { return r.Entries <= 0 && r.Age <= 0 }

// maxStep is by how many entries, at most, a log grows before it is cut again.
const maxStep = 512

// step is by how many: each cut costs the store something.
func (r *Retention) step() im.Seq { return im.Seq(min(max(r.Entries/8, 1), maxStep)) }

// horizon is how far back it matters how old entries are.
func (r *Retention) horizon() im.Millis { return max(r.Age, r.Away) }

// agesKept is how many parts the horizon is divided into: entries go when they
// are older than they have to be by one part at most.
const agesKept = 16

// age says that the entries up to one were written before a time.
type age struct {
	seq im.Seq
	at  im.Millis
}

// history is how far back a log goes.
type history struct {
	// trimmed is the last entry that is no longer kept.
	trimmed im.Seq
	// ages are ascending.
	ages []age
}

func (u *user) trimmed() im.Seq {
	if u.history == nil {
		return 0
	}
	return u.history.trimmed
}

func (u *user) ages() []age {
	if u.history == nil {
		return nil
	}
	return u.history.ages
}

// ownHistory is the user's history, new if need be.
func (u *user) ownHistory() *history {
	if u.history == nil {
		u.history = &history{}
	}
	return u.history
}

// trim lets the beginning of the log go, as far as it may. It is part of a
// snapshot, so that what allows it becomes durable with it: acks and cursors.
func (u *user) trim(tx *Tx) {
	r := &tx.Retain
	if r.Kept() {
		return
	}
	if u.agesDue(r, tx.Now) {
		u.addAge(r, tx.Now)
	}
	if to := u.expendable(r, tx.Now); to >= u.trimmed()+r.step() {
		u.cut(tx, to)
	}
}

// tidy does the same for a user who gives no reason for a snapshot.
func (u *user) tidy(tx *Tx) {
	r := &tx.Retain
	if r.Kept() {
		return
	}
	to := u.expendable(r, tx.Now)
	if to <= u.trimmed() && !u.agesDue(r, tx.Now) {
		return
	}
	if to > u.trimmed() {
		u.cut(tx, to)
	}
	u.Snapshot(tx)
}

func (u *user) cut(tx *Tx, to im.Seq) {
	h := u.ownHistory()
	h.trimmed = to
	tx.Trim = to + 1
	n := 0
	for n < len(h.ages) && h.ages[n].seq <= to {
		n++
	}
	h.ages = append(h.ages[:0], h.ages[n:]...)
}

// expendable is the last entry that may go.
func (u *user) expendable(r *Retention, now im.Millis) im.Seq {
	var to im.Seq
	if r.Entries > 0 && u.head > im.Seq(r.Entries) {
		to = u.head - im.Seq(r.Entries)
	}
	if r.Age > 0 {
		to = max(to, u.writtenBefore(now-r.Age))
	}
	seen := u.seen()
	if r.Away > 0 {
		seen = max(seen, u.writtenBefore(now-r.Away))
	}
	to = min(to, seen)
	for _, l := range u.open {
		if len(l.refs) > 0 {
			to = min(to, l.refs[0].seq()-1)
		}
	}
	return min(to, max(u.head, 1)-1)
}

// seen is the last entry that every device has acknowledged.
func (u *user) seen() im.Seq {
	seen, any := u.head, false
	for _, d := range u.devices {
		if !d.revoked {
			seen, any = min(seen, d.cursor), true
		}
	}
	if !any {
		return 0
	}
	return seen
}

// writtenBefore is an entry that was there at a time, with all before it.
func (u *user) writtenBefore(t im.Millis) im.Seq {
	var seq im.Seq
	for _, a := range u.ages() {
		if a.at <= t {
			seq = a.seq
		}
	}
	return seq
}

// agesDue reports whether it has to be noted how old the last entries are.
func (u *user) agesDue(r *Retention, now im.Millis) bool {
	if r.horizon() <= 0 || u.head == u.trimmed() {
		return false
	}
	ages := u.ages()
	if len(ages) == 0 {
		return true
	}
	last := ages[len(ages)-1]
	return u.head > last.seq && now >= last.at+r.horizon()/agesKept
}

// addAge notes that all entries have been written by now. Of the notes beyond
// the horizon, the last one says all.
func (u *user) addAge(r *Retention, now im.Millis) {
	h, n := u.ownHistory(), 0
	for n+1 < len(h.ages) && h.ages[n+1].at <= now-r.horizon() {
		n++
	}
	h.ages = append(h.ages[:0], h.ages[n:]...)
	h.ages = append(h.ages, age{u.head, now})
}

// Gone is what devices see in place of all entries up to one that are no longer
// kept, as an encoded skein.v1.Entry.
func Gone(last im.Seq) []byte {
	return wire.AppendEntry(nil, &wire.Entry{Seq: last, Kind: wire.EntryGone})
}

// appendAges appends a field with what ages say, as differences.
func appendAges(b []byte, num protowire.Number, ages []age) []byte {
	if len(ages) == 0 {
		return b
	}
	packed := make([]byte, 0, 8*len(ages))
	var last age
	for _, a := range ages {
		packed = protowire.AppendVarint(packed, uint64(a.seq-last.seq))
		packed = protowire.AppendVarint(packed, uint64(a.at-last.at))
		last = a
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendBytes(b, packed)
}

func agesOf(packed []uint64) []age {
	var ages []age
	var last age
	for ; len(packed) >= 2; packed = packed[2:] {
		last.seq += im.Seq(packed[0])
		last.at += im.Millis(packed[1])
		ages = append(ages, last)
	}
	return ages
}
