package entity

import (
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
)

// purse is what envelopes, campaigns and payments have in common: they hold
// money that is in no wallet, have a log of what became of it, and links to
// users. Like a user, a purse changes only by events, live or replayed.
type purse struct {
	lines
	what  content
	head  im.Seq
	peers map[im.Addr]*patron
	// order lists patrons as they came: 64 of them make a page.
	order []*patron
	// ends is when Timer has to see to the end; 0: never, or it is over.
	ends im.Millis
	// finished is not nil when nothing is left.
	finished *storev1.PurseFinished

	dirty         bool
	unsnapshotted int
}

// patron is a user whom a purse has a link to, and what the purse keeps of
// them beside it.
type patron struct {
	line
	wins []*storev1.CampaignWin
}

// content is what tells envelopes, campaigns and payments apart.
type content interface {
	// fund takes money from a wallet and returns the event that begins the
	// purse; nil: the money goes back.
	fund(tx *Tx, from im.UserID, t *storev1.Transfer) *storev1.PurseEvent
	// evolve changes the state by an event. An error says that the event
	// does not follow from the state, so the log is damaged.
	evolve(ev *storev1.PurseEvent) error
	// notice is what a LinkOut without transfer says.
	notice() *storev1.Transfer
	// end is the event that ends the purse when its time has come.
	end(tx *Tx) *storev1.PurseEvent
	encodeHead() proto.Message
	restoreHead(value []byte) error
	// restored is called when head and patrons have been restored.
	restored()
}

func newPurse(what content) purse { return purse{what: what, peers: map[im.Addr]*patron{}} }

// Status implements Entity.
func (p *purse) Status() Status {
	st := Status{Head: p.head, Due: p.due, Wake: p.ends, Dirty: p.dirty, Unsnapshotted: p.unsnapshotted, Outstanding: p.outstanding}
	if p.ends != 0 && (st.Due == 0 || p.ends < st.Due) {
		st.Due = p.ends
	}
	return st
}

func (p *purse) patron(a im.Addr) *patron {
	one := p.peers[a]
	if one == nil {
		one = &patron{line: newLine(a)}
		p.peers[a] = one
		p.order = append(p.order, one)
	}
	return one
}

// record makes an event happen: it numbers its messages, changes the state as
// replaying the event would, and adds the event to the log and its messages to
// what is sent.
func (p *purse) record(tx *Tx, ev *storev1.PurseEvent) {
	if p.head == 0 {
		p.enterGeneration(tx)
	}
	ev.TimeMs = int64(tx.Now)
	for _, out := range ev.Outs {
		out.Link = 1
		if one := p.peers[addrOf(out.To)]; one != nil {
			out.Link = uint64(one.out) + 1
		}
	}
	value, err := proto.Marshal(ev)
	if err != nil {
		panic("entity: an event cannot be encoded: " + err.Error())
	}
	tx.appendLog(p.head+1, value, nil)
	if err := p.evolve(ev); err != nil {
		panic("entity: an event does not follow: " + err.Error())
	}
	if p.ends != 0 {
		p.mark(tx)
	}
	for _, out := range ev.Outs {
		p.transmit(tx, &p.peers[addrOf(out.To)].line, im.LinkSeq(out.Link), p.bodyOf(ev, out))
	}
	if ev.LinkIn != 0 {
		p.ack(tx, &p.peers[addrOf(ev.From)].line, 0)
	}
}

// bodyOf is the message that an event sends to one patron.
func (p *purse) bodyOf(ev *storev1.PurseEvent, out *storev1.LinkOut) Body {
	if out.Transfer == nil {
		return transferBody(BodyNotice, im.Millis(ev.TimeMs), p.what.notice())
	}
	return transferBody(BodyCredit, im.Millis(ev.TimeMs), out.Transfer)
}

// evolve changes the state by one event; live and replayed events pass through
// it alike.
func (p *purse) evolve(ev *storev1.PurseEvent) error {
	p.head++
	p.unsnapshotted++
	if ev.LinkIn != 0 {
		one := p.patron(addrOf(ev.From))
		if im.LinkSeq(ev.LinkIn) != one.in+1 {
			return errDamaged
		}
		one.in++
		one.dirty = true
	}
	for _, out := range ev.Outs {
		one := p.patron(addrOf(out.To))
		if im.LinkSeq(out.Link) != one.out+1 {
			return errDamaged
		}
		p.sent(&one.line, p.head, false)
	}
	if err := p.what.evolve(ev); err != nil {
		return err
	}
	if ev.Finished != nil {
		if p.finished != nil {
			return errDamaged
		}
		p.finished, p.ends = ev.Finished, 0
	}
	return nil
}

// Receive implements Entity.
func (p *purse) Receive(tx *Tx, m *Message) {
	one := p.peers[m.From]
	if m.Seq == 0 && m.Body.Kind == BodyNudge {
		if one != nil {
			p.nudged(tx, &one.line)
		}
		return
	}
	if m.Lineage != nil || len(p.forks) > 0 || one != nil && one.generations != nil {
		if !p.reconcile(tx, m) {
			return
		}
		one = p.peers[m.From]
	}
	if m.Seq == 0 {
		if one != nil {
			p.receiveAck(tx, &one.line, m)
		}
		return
	}
	var in im.LinkSeq
	if one != nil {
		in = one.in
	}
	if m.Seq != in+1 {
		p.ack(tx, p.lineWith(m.From), 0)
		return
	}
	t := transferIn(&m.Body)
	if t == nil || m.Body.Kind != BodyFund || m.From.Kind != im.KindUser {
		return
	}
	ev := p.what.fund(tx, im.UserID(m.From.ID), t)
	if ev == nil {
		ev = &storev1.PurseEvent{Outs: []*storev1.LinkOut{credit(im.UserID(m.From.ID), &storev1.Transfer{
			Event: moneyEvent(im.MoneyReturned), Cents: t.Cents, UntilMs: t.UntilMs, Text: t.Text, ErrorKind: uint32(im.Conflict)})}}
	}
	ev.From, ev.LinkIn = storedAddr(m.From), uint64(m.Seq)
	p.record(tx, ev)
}

// receiveAck accounts for what a patron has taken.
func (p *purse) receiveAck(tx *Tx, l *line, m *Message) {
	ack := m.Ack
	if len(p.forks) > 0 {
		ack = p.meant(l, m.heard().Noted, ack)
	}
	if all, _ := p.takeAck(tx, l, ack); all > 0 {
		p.dirty = true
		p.pump(tx, l)
	}
}

// credit is a message that brings something to a wallet.
func credit(to im.UserID, t *storev1.Transfer) *storev1.LinkOut {
	return &storev1.LinkOut{To: storedAddr(im.User(to)), Transfer: t}
}

func storedAddr(a im.Addr) *storev1.Addr { return &storev1.Addr{Kind: uint32(a.Kind), Id: a.ID} }
func addrOf(a *storev1.Addr) im.Addr     { return im.Addr{Kind: im.Kind(a.GetKind()), ID: a.GetId()} }

// Timer implements Entity.
func (p *purse) Timer(tx *Tx) {
	if p.ends != 0 && p.ends <= tx.Now {
		p.record(tx, p.what.end(tx))
	}
	p.timer(tx)
}

// Resend implements Entity.
func (p *purse) Resend(tx *Tx, peer im.Addr, entries []im.LogEntry) {
	if one := p.peers[peer]; one != nil {
		p.resend(tx, &one.line, entries, p.messageIn)
	}
}

func (p *purse) messageIn(e im.LogEntry, peer im.Addr) (im.LinkSeq, Body, bool) {
	var ev storev1.PurseEvent
	if proto.Unmarshal(e.Value, &ev) != nil {
		return 0, Body{}, false
	}
	for _, out := range ev.Outs {
		if addrOf(out.To) == peer {
			return im.LinkSeq(out.Link), p.bodyOf(&ev, out), true
		}
	}
	return 0, Body{}, false
}

// Start implements Entity.
func (p *purse) Start(tx *Tx) {
	for _, one := range p.order {
		p.restart(tx, &one.line)
	}
	if p.head > 0 {
		p.enterGeneration(tx)
	}
}

// Replay implements Entity.
func (p *purse) Replay(e im.LogEntry) error {
	if e.Seq != p.head+1 {
		return im.Errorf(im.Internal, "log entry %d follows %d", e.Seq, p.head)
	}
	var ev storev1.PurseEvent
	if err := proto.Unmarshal(e.Value, &ev); err != nil {
		return im.Errorf(im.Internal, "log entry %d: %w", e.Seq, err)
	}
	if err := p.evolve(&ev); err != nil {
		return im.Errorf(im.Internal, "log entry %d: %w", e.Seq, err)
	}
	return nil
}

// Snapshot implements Entity: it writes the head, and the pages of patrons
// that changed.
func (p *purse) Snapshot(tx *Tx) {
	if p.outstanding == 0 && p.ends == 0 {
		p.unmark(tx)
	}
	head, err := proto.Marshal(p.what.encodeHead())
	if err != nil {
		panic("entity: a snapshot cannot be encoded: " + err.Error())
	}
	tx.put(headKey, head)
	for first := 0; first < len(p.order); first += pageSize {
		if b := encodePatrons(p.order[first:min(first+pageSize, len(p.order))]); b != nil {
			tx.put(pageKey(first/pageSize), b)
		}
	}
	p.dirty, p.unsnapshotted = false, 0
}

// encodePatrons encodes a page, if any of it has changed.
func encodePatrons(page []*patron) []byte {
	dirty := false
	for _, one := range page {
		dirty = dirty || one.dirty
		one.dirty = false
	}
	if !dirty {
		return nil
	}
	var b, link []byte
	for _, one := range page {
		link = one.line.append(link[:0])
		for _, w := range one.wins {
			win, err := proto.Marshal(w)
			if err != nil {
				panic("entity: a win cannot be encoded: " + err.Error())
			}
			link = protowire.AppendTag(link, 6, protowire.BytesType)
			link = protowire.AppendBytes(link, win)
		}
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendBytes(b, link)
	}
	return b
}

// Restore implements Entity.
func (p *purse) Restore(recs []im.Record) (im.Seq, error) {
	for _, r := range recs {
		var err error = errDamaged
		switch {
		case r.Key == headKey:
			err = p.what.restoreHead(r.Value)
		case strings.HasPrefix(r.Key, pagePrefix):
			err = p.restorePatrons(r.Value)
		}
		if err != nil {
			return 0, im.Errorf(im.Internal, "record %q: %w", r.Key, err)
		}
	}
	p.what.restored()
	return p.head, nil
}

func (p *purse) restorePatrons(value []byte) error {
	var page storev1.PursePage
	if err := proto.Unmarshal(value, &page); err != nil {
		return err
	}
	for _, s := range page.Links {
		a := addrOf(s.Peer)
		if p.peers[a] != nil {
			return errDamaged
		}
		one := p.patron(a)
		if err := one.line.restore(s); err != nil {
			return err
		}
		one.wins = s.Wins
		p.outstanding += one.owed()
	}
	return nil
}
