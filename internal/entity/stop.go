package entity

import "github.com/skein-im/skein/internal/im"

// Links of money are not repaired. What one end remembers and the other does not, a share
// that was opened or a sum that was sent, cannot be made right by numbers: either end
// may have dealt with others since. Such a link stops: nothing is sent over it or taken
// any more, commands that need it are refused, and the audit names it.

// reconcileMoney is reconcile for a link between a wallet and a purse. changed: it has
// to be written down, before anything else happens.
func (ls *lines) reconcileMoney(tx *Tx, l *line, m *Message) (ok, changed bool) {
	s := m.heard()
	current := s.Own == l.noted() || s.Known == l.noted()
	switch {
	case l.stopped():
		if !s.Stopped {
			ls.tell(tx, l, s.Noted)
		}
		return false, false
	case !current:
		ls.tell(tx, l, s.Noted)
		return false, false
	case s.Stopped:
		ls.stop(l)
		return false, true
	case m.Seq != 0 && s.Noted != ls.generation():
		// Who sends this may have taken what the end of the own store would tell: it
		// has to look first.
		ls.tell(tx, l, s.Noted)
		return false, false
	case s.Own != l.noted():
		if l.in > s.Base || ls.meant(l, s.Noted, m.Ack) < l.acked {
			ls.stop(l)
			ls.tell(tx, l, s.Noted)
			return false, true
		}
		l.ownGenerations().noted, l.dirty, changed = s.Own, true, true
	}
	if s.Noted != l.known() {
		ls.know(tx, l, s.Noted)
	}
	if m.Seq == 0 && s.Known != l.noted() {
		ls.tell(tx, l, s.Noted)
	}
	return true, changed
}

// stopped: the ends of the line, which is one of money, remember different things.
func (l *line) stopped() bool { return l.generations != nil && l.generations.stopped }

// stop ends all traffic on a line. Its messages stay where they are.
func (ls *lines) stop(l *line) {
	ls.outstanding -= len(l.refs)
	l.due, l.dirty = 0, true
	l.ownGenerations().stopped = true
}

// owed is how many messages of the line are yet to be acknowledged.
func (l *line) owed() int {
	if l.stopped() {
		return 0
	}
	return len(l.refs)
}

// errStopped refuses what needs a link that has stopped.
func errStopped() error {
	return &im.Error{Kind: im.Unavailable, RetryAfterMS: 60_000,
		Detail: "the region has lost its end, and with it a part of what became of this money; the operator has to look at it"}
}

// held is why nothing can be done with the money of some users; nil: it can.
func (p *purse) held(users ...im.UserID) error {
	for _, id := range users {
		if one := p.peers[im.User(id)]; one != nil && one.stopped() {
			return errStopped()
		}
	}
	return nil
}

// enterGeneration notes that the purse is in another generation of the store.
func (p *purse) enterGeneration(tx *Tx) {
	if tx.Generation == 0 || tx.Generation == p.generation() {
		return
	}
	for _, one := range p.order {
		p.base(&one.line)
	}
	p.forks = p.forks.enter(tx.Generation, p.head)
	p.Snapshot(tx)
}

// lineWith is the line with a patron, or one on which nothing has happened.
func (p *purse) lineWith(a im.Addr) *line {
	if one := p.peers[a]; one != nil {
		return &one.line
	}
	l := newLine(a)
	return &l
}

// reconcile is reconcileMoney for a purse.
func (p *purse) reconcile(tx *Tx, m *Message) bool {
	l := p.lineWith(m.From)
	ok, changed := p.reconcileMoney(tx, l, m)
	if changed {
		if one := p.patron(m.From); &one.line != l {
			one.line = *l
		}
		p.Snapshot(tx)
	}
	return ok
}

// reconcileDealing is reconcileMoney for a wallet. One that does not know a purse notes
// nothing before it has taken something of it: whether it may depends on that.
func (u *user) reconcileDealing(tx *Tx, m *Message) bool {
	l := u.lineWith(m.From)
	ok, changed := u.reconcileMoney(tx, l, m)
	if changed && u.pairs[m.From] != nil {
		u.Snapshot(tx)
	}
	return ok
}

// dealt notes the generation of a purse that was not known before.
func (u *user) dealt(tx *Tx, m *Message) {
	p := u.pairs[m.From]
	if p == nil || p.deal == nil || p.noted() == m.Lineage.Own {
		return
	}
	g := p.ownGenerations()
	g.noted, g.known, p.dirty = m.Lineage.Own, m.Lineage.Noted, true
	u.Snapshot(tx)
}
