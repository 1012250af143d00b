package entity

import (
	"cmp"
	"sort"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// user is a user's mailbox.
type user struct {
	id   im.UserID
	name string

	head   im.Seq
	sendID uint64
	// sendAckID and clientRecvID move without an event.
	sendAckID    uint64
	recvID       uint64
	clientRecvID uint64

	// pairs and early are nil until there is something in them: most users in
	// memory are connected and do nothing.
	pairs map[im.Addr]*pair
	// order lists pairs of users as they were created: 64 of them make a
	// page.
	order []*pair
	// devices are by id.
	devices []*device
	early   map[uint64]*earlySend
	// earlyBytes is what the contents of early hold.
	earlyBytes int
	// wallet is nil until the user has to do with money.
	wallet *wallet
	// residence is nil for a user who has always lived here.
	residence *residence

	lines
	// greeting is nil unless peers are to be told of the generation.
	greeting *greeting

	// history is nil as long as all of the log is kept.
	history *history

	exists, dirty bool
	// unsnapshotted is small enough to stand in one word with what is before it: a
	// user takes 256 bytes, and the next larger piece of memory has 288.
	unsnapshotted int32
}

// pair is what a user knows of one other entity.
type pair struct {
	line
	index int

	contact im.ContactState
	blocked bool
	note    string
	// yes is the link number of this user's last request or acceptance; 0:
	// none, or provisioned.
	yes im.LinkSeq
	// sendID and sendAckID number the chat messages to the peer.
	sendID, sendAckID uint64
	lastSeq           im.Seq
	// deal is nil when the peer is a user.
	deal *dealing
}

func newUser(id im.UserID) *user {
	return &user{id: id}
}

// Status implements Entity.
func (u *user) Status() Status {
	if u.absent() {
		// Who leaves stays in memory, to ask that it goes on.
		return Status{Head: u.head, Trimmed: u.trimmed(), Due: u.due, Outstanding: min(int(u.due), 1)}
	}
	return Status{Head: u.head, Trimmed: u.trimmed(), Due: u.due, Dirty: u.dirty, Unsnapshotted: int(u.unsnapshotted), Outstanding: u.outstanding}
}

// Handle implements Entity.
func (u *user) Handle(tx *Tx, cmd im.Command) (im.Result, error) {
	if u.residence != nil {
		if err := u.residence.absence(cmd); err != nil {
			return nil, err
		}
	}
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
	if res, ok, err := u.handleMove(tx, cmd); ok {
		return res, err
	}
	if !u.exists {
		return nil, im.Errorf(im.NotFound, "there is no user %d", u.id)
	}
	switch c := cmd.(type) {
	case *im.Authenticate:
		return u.handleAuthenticate(tx, c)
	case *im.Attach:
		return u.handleAttach(tx, c)
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
	case *im.Tidy:
		u.tidy(tx)
		return nil, nil
	}
	return u.handleMoney(tx, cmd)
}

// pair returns what the user knows of a peer, or nil.
func (u *user) pair(peer im.Addr) *pair { return u.pairs[peer] }

// makePair returns the pair with a peer, new if need be.
func (u *user) makePair(peer im.Addr) *pair {
	p := u.pairs[peer]
	switch {
	case p != nil:
		return p
	case isPurse(peer.Kind):
		p = &pair{line: newLine(peer), deal: &dealing{}}
		w := u.ownWallet()
		w.dealings = append(w.dealings, p)
	default:
		p = &pair{line: newLine(peer), index: len(u.order)}
		u.order = append(u.order, p)
	}
	if u.pairs == nil {
		u.pairs = map[im.Addr]*pair{}
	}
	u.pairs[peer] = p
	return p
}

// room reports whether the user may have to do with the peer: with a known one
// always, with a new user while there are not too many. How many purses there
// are is up to friends, and to what they can pay.
func (u *user) room(peer im.Addr) bool {
	return u.pairs[peer] != nil || len(u.order) < im.MaxContacts || isPurse(peer.Kind)
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
		u.transmit(tx, &u.pairs[ev.to].line, ev.linkOut, ev.linkBody())
	}
	if ev.linkIn != 0 {
		u.ack(tx, &u.pairs[ev.from].line, cmp.Or(ev.entry.Trace, ev.body.Trace))
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
		u.sent(&u.touch(ev.to).line, ev.seq, ev.entry.Kind == wire.EntryMessage)
	}
	if ev.refused.kind != 0 {
		u.evolveRefusedSend(ev)
	}
	if ev.entry.Kind == wire.EntryFiller {
		u.evolveUnseen(ev)
		return
	}
	var p *pair
	if ev.entry.Peer != 0 || ev.entry.Kind != wire.EntryMoney {
		p = u.touch(im.User(ev.entry.Peer))
		p.lastSeq = ev.seq
	}
	switch {
	case ev.entry.Kind == wire.EntryMoney:
		u.evolveMoney(ev)
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

// evolveUnseen is the part of evolve for events that devices do not see.
func (u *user) evolveUnseen(ev *event) {
	if ev.body.Kind == BodyNotice && ev.linkOut == 0 {
		if d := u.touch(ev.from).deal; d != nil {
			d.until = max(d.until, ev.body.Time)
		}
	}
}

func (u *user) touch(peer im.Addr) *pair {
	p := u.makePair(peer)
	p.dirty = true
	return p
}

// Timer implements Entity.
func (u *user) Timer(tx *Tx) {
	if u.absent() {
		u.askOn(tx)
		return
	}
	u.timer(tx)
	u.greetOn(tx)
}

// Resend implements Entity.
func (u *user) Resend(tx *Tx, peer im.Addr, entries []im.LogEntry) {
	p := u.pairs[peer]
	switch {
	case p == nil || u.absent():
	case p.walking():
		u.walkStepped(tx, &p.line, entries)
	default:
		u.resend(tx, &p.line, entries, messageIn)
	}
}

// messageIn finds the message to a peer in an entry of a user's log.
func messageIn(e im.LogEntry, peer im.Addr) (im.LinkSeq, Body, bool) {
	var ev event
	if err := ev.decode(e); err != nil || ev.to != peer {
		return 0, Body{}, false
	}
	return ev.linkOut, ev.linkBody(), true
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
