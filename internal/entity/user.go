package entity

import (
	"sort"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// user is a user's mailbox.
type user struct {
	id     im.UserID
	exists bool
	name   string

	head   im.Seq
	sendID uint64
	// sendAckID and clientRecvID move without an event.
	sendAckID    uint64
	recvID       uint64
	clientRecvID uint64

	// pairs and early are nil until there is something in them: most users in
	// memory are connected and do nothing.
	pairs map[im.Addr]*pair
	// order lists pairs as they were created: 64 of them make a page.
	order []*pair
	// devices are by id.
	devices []*device
	early   map[uint64]*earlySend
	// earlyBytes is what the contents of early hold.
	earlyBytes int

	// open lists pairs with unacknowledged messages, and some that had.
	open        []*pair
	outstanding int
	due         im.Millis
	rtt         roundTrip
	// marked is whether the store has the pending mark.
	marked bool

	dirty         bool
	unsnapshotted int
}

// pair is what a user knows of one other entity.
type pair struct {
	link
	peer  im.Addr
	index int
	dirty bool
	open  bool

	contact im.ContactState
	blocked bool
	note    string
	// yes is the link number of this user's last request or acceptance; 0:
	// none, or provisioned.
	yes im.LinkSeq
	// sendID and sendAckID number the chat messages to the peer.
	sendID, sendAckID uint64
	lastSeq           im.Seq
}

func newUser(id im.UserID) *user {
	return &user{id: id}
}

// Status implements Entity.
func (u *user) Status() Status {
	return Status{Head: u.head, Due: u.due, Dirty: u.dirty, Unsnapshotted: u.unsnapshotted, Outstanding: u.outstanding}
}

// Handle implements Entity.
func (u *user) Handle(tx *Tx, cmd im.Command) (im.Result, error) {
	switch c := cmd.(type) {
	case *im.Send:
		return u.handleSend(tx, c)
	case *im.AckDelivered:
		return nil, u.handleAckDelivered(c)
	case *im.SendNumbered:
		return u.handleSendNumbered(tx, c)
	case *im.Counters:
		return u.counters(tx, c)
	case *im.Provision:
		return nil, u.handleProvision(tx, c)
	case *im.CreateUser:
		return nil, u.handleCreate(tx, c)
	}
	if !u.exists {
		return nil, im.Errorf(im.NotFound, "there is no user %d", u.id)
	}
	switch c := cmd.(type) {
	case *im.Authenticate:
		return u.handleAuthenticate(c)
	case *im.Attach:
		return u.handleAttach(c)
	case *im.CreateDevice:
		return u.handleCreateDevice(tx, c)
	case *im.RevokeDevice:
		return nil, u.handleRevokeDevice(tx, c)
	case *im.ListDevices:
		return u.listDevices(), nil
	case *im.Contact:
		return u.handleContact(tx, c)
	case *im.ListContacts:
		return u.listContacts(), nil
	}
	return nil, im.Errorf(im.Unimplemented, "a user does not understand %T", cmd)
}

// pair returns what the user knows of a peer, or nil.
func (u *user) pair(peer im.Addr) *pair { return u.pairs[peer] }

// makePair returns the pair with a peer, new if need be.
func (u *user) makePair(peer im.Addr) *pair {
	p := u.pairs[peer]
	if p == nil {
		if u.pairs == nil {
			u.pairs = map[im.Addr]*pair{}
		}
		p = &pair{peer: peer, index: len(u.order), link: link{next: 1}}
		u.pairs[peer] = p
		u.order = append(u.order, p)
	}
	return p
}

// room reports whether the user may have dealings with the peer: with a known
// one always, with a new one while there are not too many.
func (u *user) room(peer im.Addr) bool {
	return u.pairs[peer] != nil || len(u.order) < im.MaxContacts
}

// record makes an event happen: it changes the state as replaying the event
// would, and adds the event to the log and its message to what is sent.
func (u *user) record(tx *Tx, ev *event) {
	ev.seq = u.head + 1
	ev.entry.Seq = ev.seq
	if ev.entry.Kind != wire.EntryFiller && ev.entry.Peer != 0 {
		ev.prev = u.makePair(im.User(ev.entry.Peer)).lastSeq
	}
	if ev.linkOut != 0 {
		ev.linkOut = u.makePair(ev.to).out + 1
	}
	ev.recvID = u.recvID
	if ev.entry.Kind == wire.EntryMessage && !ev.entry.Outgoing {
		ev.recvID++
	}
	value, visible := ev.encode()
	tx.appendLog(ev.seq, value, visible)
	u.evolve(ev)
	if ev.linkOut != 0 {
		u.transmit(tx, ev)
	}
	if ev.linkIn != 0 {
		tx.ack(ev.from, ev.linkIn)
	}
}

// evolve changes the state by one event; live and replayed events pass
// through it alike.
func (u *user) evolve(ev *event) {
	u.head = ev.seq
	u.recvID = ev.recvID
	u.unsnapshotted++
	if ev.linkIn != 0 {
		p := u.touch(ev.from)
		p.in = ev.linkIn
	}
	if ev.linkOut != 0 {
		p := u.touch(ev.to)
		p.sent(ev.seq, ev.entry.Kind == wire.EntryMessage)
		u.outstanding++
		if !p.open {
			p.open = true
			u.open = append(u.open, p)
		}
	}
	if ev.refused.kind != 0 {
		u.evolveRefusedSend(ev)
	}
	if ev.entry.Kind == wire.EntryFiller {
		return
	}
	p := u.touch(im.User(ev.entry.Peer))
	p.lastSeq = ev.seq
	switch {
	case ev.entry.Kind == wire.EntryMessage && ev.entry.Outgoing:
		u.evolveSend(p, ev)
	case ev.entry.Kind == wire.EntryRefused && ev.entry.Outgoing:
		// A numbered send that could not leave any more.
		u.sendID++
		u.sendAckID++
	case ev.entry.Kind == wire.EntryContact:
		p.evolveContact(ev)
	}
}

func (u *user) touch(peer im.Addr) *pair {
	p := u.makePair(peer)
	p.dirty = true
	return p
}

// transmit sends an event's message, unless earlier ones wait to be sent
// again: then it waits its turn.
func (u *user) transmit(tx *Tx, ev *event) {
	p := u.pairs[ev.to]
	if !u.marked {
		u.marked = true
		tx.Mark = SetMark
	}
	if p.due == 0 {
		p.since, p.due = tx.Now, tx.Now+u.rtt.wait()
		u.wake(p.due)
	}
	if p.next != ev.linkOut {
		return
	}
	p.next++
	tx.send(&Message{To: ev.to, Seq: ev.linkOut, Body: ev.linkBody()})
}

// wake makes sure that Timer is called at due or before.
func (u *user) wake(due im.Millis) {
	if u.due == 0 || due < u.due {
		u.due = due
	}
}

// Timer implements Entity.
func (u *user) Timer(tx *Tx) {
	if u.due == 0 || tx.Now < u.due {
		return
	}
	u.due = 0
	open := u.open[:0]
	for _, p := range u.open {
		if len(p.refs) == 0 {
			p.open = false
			continue
		}
		open = append(open, p)
		if p.due <= tx.Now {
			u.overdue(tx, p)
		}
		u.wake(p.due)
	}
	clear(u.open[len(open):])
	u.open = open
}

// overdue goes on with what has become durable, or starts over with what has
// not been acknowledged.
func (u *user) overdue(tx *Tx, p *pair) {
	if p.more {
		p.more, p.due = false, tx.Now+u.rtt.wait()
	} else {
		p.expired(tx.Now, u.rtt.wait(), tx.Jitter)
	}
	u.pump(tx, p)
}

// pump asks for the log entries with which transmission to a peer goes on.
func (u *user) pump(tx *Tx, p *pair) {
	seqs, blocked := p.lagging(tx.Durable)
	switch {
	case len(seqs) > 0:
		p.reading = true
		tx.Reads = append(tx.Reads, Read{Peer: p.peer, Seqs: seqs})
	case blocked:
		p.more, p.due = true, tx.Now+durableSoon
		u.wake(p.due)
	}
}

// Resend implements Entity.
func (u *user) Resend(tx *Tx, peer im.Addr, entries []im.LogEntry) {
	p := u.pairs[peer]
	if p == nil {
		return
	}
	p.reading = false
	for _, e := range entries {
		var ev event
		if err := ev.decode(e); err != nil || ev.to != peer || ev.linkOut != p.next || p.next > p.out {
			continue
		}
		p.next++
		tx.send(&Message{To: peer, Seq: ev.linkOut, Body: ev.linkBody()})
	}
	if len(entries) > 0 {
		// Without any, reading has failed; the timer tries again.
		u.pump(tx, p)
	}
}

// counters answers with values that are durable with the answer: what moved
// without an event since the last snapshot is written first. So none ever goes
// back.
func (u *user) counters(tx *Tx, c *im.Counters) (im.Result, error) {
	if !u.exists {
		return nil, im.Errorf(im.NotFound, "there is no user %d", u.id)
	}
	if u.dirty {
		u.Snapshot(tx)
	}
	info := &im.CountersInfo{
		SendID: u.sendID, SendAckID: u.sendAckID,
		RecvID: u.recvID, ClientRecvID: u.clientRecvID,
		Head: u.head,
	}
	if d := u.device(c.Device); d != nil {
		info.ClientSeq = d.clientSeq
	}
	for _, p := range u.order {
		if p.contact == im.Friends && p.peer.Kind == im.KindUser {
			info.Friends = append(info.Friends, im.UserID(p.peer.ID))
		}
	}
	sort.Slice(info.Friends, func(i, j int) bool { return info.Friends[i] < info.Friends[j] })
	return info, nil
}
