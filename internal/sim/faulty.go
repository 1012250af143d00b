package sim

import (
	"maps"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// faulty makes an entity behave as if it, or the runtime around it, had one
// of the defects. It stands between the two, so neither needs a switch.
type faulty struct {
	entity.Entity
	w    *world
	addr im.Addr
	core *core
	// in and out are the last numbers of the links.
	in, out map[im.Addr]im.LinkSeq
	// sends are the last client_seqs at the load, of devices that have not
	// sent since.
	sends  map[im.DeviceID]im.ClientSeq
	timers int
}

func newFaulty(w *world, a im.Addr, o *observed) *faulty {
	l := w.ledger(a)
	f := &faulty{Entity: o, w: w, addr: a, core: o.core, in: maps.Clone(l.in), out: maps.Clone(l.out), sends: map[im.DeviceID]im.ClientSeq{}}
	for d, sends := range l.sends {
		f.sends[d] = im.ClientSeq(len(sends))
	}
	return f
}

// Start implements entity.Entity.
func (f *faulty) Start(tx *entity.Tx) {
	f.Entity.Start(tx)
	if f.w.defect != OutboxForgotten {
		return
	}
	for _, u := range f.w.users {
		if n := f.out[u.addr]; n > 0 {
			f.Entity.Receive(tx, &entity.Message{From: u.addr, To: f.addr, Ack: n})
		}
	}
}

// Receive implements entity.Entity.
func (f *faulty) Receive(tx *entity.Tx, m *entity.Message) {
	next := f.in[m.From] + 1
	switch {
	case f.w.defect == NoDedup && m.Seq != 0 && m.Seq < next,
		f.w.defect == CreditRepeated && m.Body.Kind == entity.BodyCredit && m.Seq != 0 && m.Seq < next,
		f.w.defect == SkipOne && m.Seq == next+1:
		changed := *m
		changed.Seq = next
		m = &changed
	}
	before, logged := f.Status().Head, len(tx.Append)
	f.Entity.Receive(tx, m)
	if m.Seq == next && f.Status().Head > before {
		f.in[m.From] = next
	}
	f.acked(tx, m)
	f.shown(tx, logged)
}

// acked lets the ack of a message leave before its time.
func (f *faulty) acked(tx *entity.Tx, m *entity.Message) {
	if f.w.defect != AckEarly {
		return
	}
	for _, out := range tx.Messages {
		if out.Seq == 0 && out.To == m.From {
			ack := *out
			f.core.Forward(&ack)
		}
	}
}

// shown delivers new entries before their time.
func (f *faulty) shown(tx *entity.Tx, logged int) {
	if f.w.defect != ShowsEarly || len(tx.Append) == logged || f.addr.Kind != im.KindUser {
		return
	}
	var entries [][]byte
	for _, l := range tx.Append[logged:] {
		entries = append(entries, l.Visible)
	}
	first := tx.First + im.Seq(logged)
	for _, d := range f.w.byID[im.UserID(f.addr.ID)].devices {
		if c := d.conn; c != nil && c.attached && c.core == f.core && first == d.core.Received()+1 {
			c.inject(entries)
		}
	}
}

// Handle implements entity.Entity.
func (f *faulty) Handle(tx *entity.Tx, cmd im.Command) (im.Result, error) {
	send, ok := cmd.(*im.Send)
	if !ok {
		return f.handleMoney(tx, cmd)
	}
	last, first := f.sends[send.Device]
	delete(f.sends, send.Device)
	if f.w.defect == ForgetsSends && first && send.ClientSeq <= last {
		changed := *send
		changed.ClientSeq = 0
		send = &changed
	}
	logged := len(tx.Append)
	res, err := f.Entity.Handle(tx, send)
	f.shown(tx, logged)
	if sent, ok := res.(*im.Sent); ok && err == nil && f.w.defect == ReplyEarly {
		f.answered(cmd, sent)
	}
	return res, err
}

// answered lets the answer to a send leave before its time.
func (f *faulty) answered(cmd im.Command, sent *im.Sent) {
	c := f.w.calls[cmd]
	if c == nil || c.early {
		return
	}
	c.early = true
	early := *sent
	c.then(&early, nil)
}

// Timer implements entity.Entity.
func (f *faulty) Timer(tx *entity.Tx) {
	f.timers++
	logged := len(tx.Append)
	if !f.givenUp() {
		f.Entity.Timer(tx)
	}
	f.refunded(tx, logged)
}

// Resend implements entity.Entity.
func (f *faulty) Resend(tx *entity.Tx, peer im.Addr, entries []im.LogEntry) {
	before := len(tx.Messages)
	f.Entity.Resend(tx, peer, entries)
	if f.w.defect == TraceLost {
		for _, m := range tx.Messages[before:] {
			m.Body.Trace = 0
		}
	}
}

func (f *faulty) givenUp() bool { return f.w.defect == GivesUp && f.timers > 3 }

// Snapshot implements entity.Entity.
func (f *faulty) Snapshot(tx *entity.Tx) {
	f.Entity.Snapshot(tx)
	st := f.Entity.Status()
	if f.addr.Kind != im.KindUser || tx.Retain.Kept() || st.Head < 2 || tx.Trim >= st.Head {
		return
	}
	seen := true
	for _, d := range f.w.byID[im.UserID(f.addr.ID)].devices {
		seen = seen && d.cursor() >= st.Head
	}
	if f.w.defect == TrimsOwed && seen && st.Outstanding > 0 || f.w.defect == TrimsUnseen && !seen && st.Outstanding == 0 {
		tx.Trim = st.Head
	}
}

// Status implements entity.Entity.
func (f *faulty) Status() entity.Status {
	st := f.Entity.Status()
	if f.givenUp() {
		st.Due = 0
	}
	if f.w.defect == AlarmForgotten {
		st.Wake = 0
	}
	return st
}
