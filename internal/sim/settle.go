package sim

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/wire"
)

// peace is how long a cluster without faults may take to finish everything:
// several of the longest intervals between retransmissions.
const peace = 4 * time.Minute

// settle ends the faults and waits until nothing is left to do.
func (w *world) settle() {
	w.logf("the faults are over")
	// The last blows have worn off by then.
	w.runUntil(w.now + 6*time.Second)
	w.calm = true
	w.net.heal()
	w.placement.settle()
	why := ""
	for end := w.now + peace; w.now < end; {
		w.runUntil(w.now + 500*time.Millisecond)
		if why = w.unsettled(); why == "" {
			w.logf("everything is settled")
			return
		}
	}
	w.fail("does not settle: %s", why)
}

// unsettled says what is left to do; "": nothing.
func (w *world) unsettled() string {
	if w.requests > 0 {
		return "requests are waiting"
	}
	for _, n := range w.nodes {
		for _, c := range n.cores {
			if c.open > 0 || len(c.queue) > 0 || c.busy {
				return "a node has not answered everything"
			}
		}
	}
	if slot, ok := w.placement.unheeded(); ok {
		return fmt.Sprintf("slot %d is not served where the operator wants it", slot)
	}
	if why := w.unsettledGateways(); why != "" {
		return why
	}
	for _, u := range w.users {
		if why := u.unsettled(); why != "" {
			return u.String() + " " + why
		}
	}
	return w.bank.unsettled()
}

// unsettledGateways says what gateways and mailboxes have to do for sessions.
func (w *world) unsettledGateways() string {
	devices := 0
	for _, g := range w.gateways {
		st := g.role.Stats()
		if st.Resuming > 0 || int(st.Connections) != len(g.conns) || int(st.Sessions) != len(g.conns) {
			return fmt.Sprintf("gateway %d has %d connections, and counts %+v", g.id, len(g.conns), st)
		}
		if g.counter != nil {
			if why := g.counter.unsettled(); why != "" {
				return fmt.Sprintf("gateway %d: %s", g.id, why)
			}
		}
		devices += len(g.conns)
		for _, t := range g.ties {
			if t == nil || len(t.calls) > 0 {
				return "a role link is busy, or not there"
			}
		}
	}
	sessions := 0
	for _, n := range w.nodes {
		for _, c := range n.cores {
			sessions += c.core.Stats.Sessions
		}
	}
	if sessions != devices {
		return fmt.Sprintf("%d devices are connected, and %d sessions attached", devices, sessions)
	}
	return ""
}

func (u *user) unsettled() string {
	w := u.w
	ent := w.live(u.addr)
	l := w.ledger(u.addr)
	switch {
	case ent == nil && w.store.data(u.addr).pending:
		return "is not in memory, but has undelivered messages"
	case ent != nil && ent.Status().Outstanding > 0:
		return "has undelivered messages"
	case ent != nil && (ent.Status().Dirty || ent.Status().Head != l.head):
		return "is not all durable"
	case slices.Contains(u.out.answered, false):
		return "has numbered messages without an answer"
	}
	for _, d := range u.devices {
		switch {
		case d.gone || d.revoking || u.dark:
		case d.core.Unanswered() > 0:
			return "has a device with messages to send"
		case d.conn != nil && max(d.conn.upAt, d.conn.downAt) > w.now:
			return "has something under way to or from a device"
		case d.conn != nil && len(d.conn.asked) > 0:
			return fmt.Sprintf("has %v, which waits for the answers to %v", d, d.conn.asked)
		case d.conn == nil || !d.conn.attached || d.cursor() != l.head || d.core.AckPending():
			return fmt.Sprintf("has %v, which has stored %d of %d entries (connected: %v, received: %d)",
				d, d.cursor(), l.head, d.conn != nil && d.conn.attached, d.core.Received())
		}
	}
	return ""
}

// live is the entity in the memory of the slot's owner; nil: not there.
func (w *world) live(a im.Addr) entity.Entity {
	pos := w.slotPos[a.Slot()]
	for _, n := range w.nodes {
		c := n.coreOf(a.Slot())
		if w.placement.owner[pos] == n.id && c.core.Owns(a.Slot()) {
			return c.live[a]
		}
	}
	return nil
}

// reckon checks what must hold once nothing is left to do.
func (w *world) reckon() {
	for _, u := range w.users {
		u.checkMessages()
		u.checkArticle()
		if w.store.data(u.addr).pending {
			w.fail("%v is marked pending, and owes nothing", u)
		}
		for _, d := range u.devices {
			d.checkStored()
			d.checkAnswers()
		}
	}
	views := map[im.UserID]*portrait{}
	for _, u := range w.users {
		live := u.portrait(func(cmd im.Command) im.Result { return w.ask(u.addr, cmd) })
		stored := u.portrait(u.askStored())
		if diff := cmp.Diff(live, stored); diff != "" {
			w.fail("%v: the state from the store differs (-live +stored):\n%s", u, diff)
		}
		if c := live.Counters; c.SendAckID != c.SendID || c.ClientRecvID != c.RecvID && !u.dark {
			w.fail("%v: the counters are %+v", u, c)
		}
		for _, d := range live.Devices {
			if d.Cursor != live.Counters.Head && !u.lost(d.Device) && !u.dark {
				w.fail("%v: the mailbox believes that device %d has %d of %d entries", u, d.Device, d.Cursor, live.Counters.Head)
			}
		}
		for _, c := range live.Contacts {
			u.checkConversation(c)
		}
		views[u.id] = live
	}
	w.checkContacts(views)
	w.bank.reckon()
}

// checkConversation: from the last entry back, each names the one before it.
func (u *user) checkConversation(c im.ContactInfo) {
	log := u.w.store.data(u.addr).log
	due := c.LastSeq
	for seq := im.Seq(len(log)); seq > 0; seq-- {
		visible, prev, err := entity.VisibleInConversation(im.LogEntry{Seq: seq, Value: log[seq-1]})
		if err != nil {
			u.w.fail("%v", err)
		}
		var e wire.Entry
		if err := e.Unmarshal(visible); err != nil {
			u.w.fail("%v", err)
		}
		switch {
		case e.Peer != c.Peer:
		case seq != due:
			u.w.fail("%v: entry %d belongs to the conversation with %d, which goes on at %d", u, seq, c.Peer, due)
		default:
			due = prev
		}
	}
	if due != 0 {
		u.w.fail("%v: the conversation with %d goes on at %d", u, c.Peer, due)
	}
}

// lost reports whether nobody uses a device: it is being revoked, or its user
// never learned its number.
func (u *user) lost(id im.DeviceID) bool {
	i := slices.IndexFunc(u.devices, func(d *device) bool { return d.id == id })
	return i < 0 || u.devices[i].revoking
}

// checkMessages: each message was received or came back.
func (u *user) checkMessages() {
	l := u.w.ledger(u.addr)
	for _, o := range u.w.users {
		for i, m := range l.pair(uint64(o.id)).messages {
			if m.fate != received && m.fate != returned {
				u.w.fail("%v: message %d to %v, entry %d, has fate %d", u, i+1, o, m.seq, m.fate)
			}
		}
	}
}

// checkStored: what the device has is what the log has, but for what it made
// itself and was answered, and what shows nothing.
func (d *device) checkStored() {
	for i, value := range d.w.store.data(d.user.addr).log {
		seq := im.Seq(i + 1)
		if seq > d.cursor() {
			return
		}
		visible, err := entity.Visible(im.LogEntry{Seq: seq, Value: value})
		if err != nil {
			d.w.fail("%v", err)
		}
		var e wire.Entry
		if err := e.Unmarshal(visible); err != nil {
			d.w.fail("%v", err)
		}
		hash, ok := d.stored[seq]
		own := e.Device == d.id && e.Outgoing
		if ok && hash != xxhash.Sum64(visible) || !ok && !own && e.Kind != wire.EntryFiller && !d.lacks(seq) {
			d.w.fail("%v has not stored entry %d as it is: %+v", d, seq, e)
		}
	}
}

// checkAnswers: what was answered to the device holds.
func (d *device) checkAnswers() {
	sends := d.w.ledger(d.user.addr).sends[d.id]
	for i, m := range d.history {
		switch {
		case !m.answered:
		case i >= len(sends):
			d.w.fail("%v has an answer to client_seq %d, which the mailbox does not know", d, m.seq)
		case sends[i].kind != m.kind, m.kind == 0 && (sends[i].seq != m.sentAs || !bytes.Equal(sends[i].body, m.content.Body)):
			d.w.fail("%v was answered %d %v to client_seq %d, but %+v holds", d, m.sentAs, m.kind, m.seq, sends[i])
		}
	}
}

// portrait is what can be seen of a user from outside.
type portrait struct {
	Counters im.CountersInfo
	Contacts []im.ContactInfo
	Devices  []im.DeviceInfo
}

func (u *user) portrait(ask func(im.Command) im.Result) *portrait {
	p := &portrait{
		Counters: *ask(&im.Counters{}).(*im.CountersInfo),
		Contacts: ask(&im.ListContacts{}).([]im.ContactInfo),
		Devices:  ask(&im.ListDevices{}).([]im.DeviceInfo),
	}
	for i := range p.Devices {
		p.Devices[i].Online = false
	}
	return p
}

// ask puts a question to the cluster, which is at peace; an owner may still
// have to find out that it is none any more.
func (w *world) ask(a im.Addr, cmd im.Command) im.Result {
	var out im.Result
	err := error(errTimeout)
	n := w.nodes[w.placement.owner[w.slotPos[a.Slot()]]]
	for tries := 0; tries < 5 && im.KindOf(err).Temporary(); tries++ {
		w.submit(n.coreOf(a.Slot()), a, cmd, func(r im.Result, e error) { out, err = r, e })
		w.runUntil(w.now + time.Second)
	}
	if err != nil {
		w.fail("%v: %T: %v", a, cmd, err)
	}
	return out
}

// askStored asks the user as the store has it.
func (u *user) askStored() func(im.Command) im.Result {
	ent, err := shard.LoadEntity(u.w.store.loader(u.addr), u.addr)
	if err != nil {
		u.w.fail("%v cannot be loaded: %v", u, err)
	}
	return func(cmd im.Command) im.Result {
		res, err := ent.Handle(&entity.Tx{Self: u.addr}, cmd)
		if err != nil {
			u.w.fail("%v as stored: %T: %v", u, cmd, err)
		}
		return res
	}
}

// checkContacts: friendship is mutual, and who waits for an answer is waited
// for.
func (w *world) checkContacts(views map[im.UserID]*portrait) {
	state := func(a, b *user) im.ContactState {
		for _, c := range views[a.id].Contacts {
			if c.Peer == b.id {
				return c.State
			}
		}
		return im.Strangers
	}
	mirror := map[im.ContactState]im.ContactState{
		im.Strangers: im.Strangers, im.Friends: im.Friends, im.Requested: im.Incoming, im.Incoming: im.Requested,
	}
	for _, a := range w.users {
		for _, b := range w.users {
			if a != b && state(a, b) != mirror[state(b, a)] {
				w.fail("%v sees %v as %d, but is seen as %d", a, b, state(a, b), state(b, a))
			}
		}
	}
}
