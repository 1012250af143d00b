package sim

import (
	"bytes"

	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// ledger is what the durable log of a user says, kept entry by entry as it
// becomes durable, with the generated decoder. The invariants of messages are
// checked here, against the ledgers of their peers.
type ledger struct {
	w    *world
	addr im.Addr
	head im.Seq
	recv uint64
	// in and out are the last numbers of the links.
	in, out map[im.Addr]im.LinkSeq
	pairs   map[uint64]*pairLedger
	sends   map[im.DeviceID][]sendLedger
	// retained is what history retention is about.
	retained
	// numbered are the bodies of messages without device, in order.
	numbered [][]byte
}

// pairLedger follows the messages to one peer.
type pairLedger struct {
	messages []message
	// handled is how many messages from the peer were received or refused.
	handled uint64
}

type message struct {
	body  []byte
	seq   im.Seq
	fate  fate
	trace uint64
}

// fate of a message, seen from its receiver and back.
type fate uint8

const (
	underWay fate = iota
	received
	refused
	returned
)

// sendLedger is what a client_seq got.
type sendLedger struct {
	seq    im.Seq
	to     uint64
	pairID uint64
	time   int64
	body   []byte
	kind   im.ErrorKind
}

func (w *world) ledger(a im.Addr) *ledger {
	l := w.ledgers[a]
	if l == nil {
		l = &ledger{w: w, addr: a, in: map[im.Addr]im.LinkSeq{}, out: map[im.Addr]im.LinkSeq{},
			pairs: map[uint64]*pairLedger{}, sends: map[im.DeviceID][]sendLedger{}}
		w.ledgers[a] = l
	}
	return l
}

func (l *ledger) pair(peer uint64) *pairLedger {
	p := l.pairs[peer]
	if p == nil {
		p = &pairLedger{}
		l.pairs[peer] = p
	}
	return p
}

func (l *ledger) fail(seq im.Seq, format string, args ...any) {
	l.w.fail("%v entry %d: "+format, append([]any{l.addr, seq}, args...)...)
}

func addrOf(a *storev1.Addr) im.Addr { return im.Addr{Kind: im.Kind(a.GetKind()), ID: a.GetId()} }

// append takes an entry that has become durable.
func (l *ledger) append(seq im.Seq, value []byte) {
	if isPurse(l.addr) {
		l.head = seq
		l.w.stats.Entries++
		l.w.bank.purse(l, seq, value)
		return
	}
	var ev storev1.Event
	if err := proto.Unmarshal(value, &ev); err != nil {
		l.fail(seq, "cannot be decoded: %v", err)
	}
	l.w.logf("%v: durable: %d %v", l.addr, seq, &ev)
	l.head = seq
	l.since = append(l.since, l.w.now)
	l.w.stats.Entries++
	if e := ev.GetEntry(); e != nil && im.Seq(e.GetSeq()) != seq {
		l.fail(seq, "says it is %d", e.GetSeq())
	}
	l.links(seq, &ev)
	l.messages(seq, &ev)
	l.w.bank.wallet(l, seq, &ev)
	if ev.GetRecvId() != l.recv {
		l.fail(seq, "recv_id is %d, but %d messages were received", ev.GetRecvId(), l.recv)
	}
}

// links checks that link numbers are dense, in both directions.
func (l *ledger) links(seq im.Seq, ev *storev1.Event) {
	if n := ev.GetLinkIn(); n != 0 {
		l.linkIn(seq, addrOf(ev.GetFrom()), n)
	}
	if n := ev.GetLinkOut(); n != 0 {
		l.linkOut(seq, addrOf(ev.GetTo()), n)
	}
}

func (l *ledger) linkIn(seq im.Seq, from im.Addr, number uint64) {
	n := im.LinkSeq(number)
	if n != l.in[from]+1 {
		l.fail(seq, "takes message %d of %v after %d", n, from, l.in[from])
	}
	if n > l.w.ledger(from).out[l.addr] {
		l.fail(seq, "takes message %d of %v, which is not durable there", n, from)
	}
	l.in[from] = n
}

func (l *ledger) linkOut(seq im.Seq, to im.Addr, number uint64) {
	n := im.LinkSeq(number)
	if n != l.out[to]+1 {
		l.fail(seq, "sends message %d to %v after %d", n, to, l.out[to])
	}
	l.out[to] = n
	l.owed = append(l.owed, owed{seq, to, n})
}

func (l *ledger) messages(seq im.Seq, ev *storev1.Event) {
	e := ev.GetEntry()
	switch {
	case e.GetKind() == skeinv1.EntryKind_ENTRY_KIND_MESSAGE && e.GetOutgoing():
		l.sent(seq, e)
	case e.GetKind() == skeinv1.EntryKind_ENTRY_KIND_MESSAGE:
		l.recv++
		l.w.stats.Received++
		m := l.handle(seq, e.GetPeer(), e.GetPairId(), received)
		if !bytes.Equal(m.body, e.GetContent().GetBody()) {
			l.fail(seq, "received %q, but %q was sent", e.GetContent().GetBody(), m.body)
		}
		l.traced(seq, m, e.GetTrace())
	case e.GetKind() == skeinv1.EntryKind_ENTRY_KIND_REFUSED && !e.GetOutgoing():
		m := &l.pair(e.GetPeer()).messages[e.GetPairId()-1]
		if m.fate != refused {
			l.fail(seq, "message %d to %d comes back, its fate was %d", e.GetPairId(), e.GetPeer(), m.fate)
		}
		m.fate = returned
		l.traced(seq, m, e.GetTrace())
		l.w.stats.Refused++
	}
	if b := ev.GetBody(); b.GetKind() == storev1.LinkKind_LINK_KIND_REFUSED {
		l.traced(seq, l.handle(seq, ev.GetTo().GetId(), b.GetPairId(), refused), b.GetTrace())
	}
	if r := ev.GetRefused(); r != nil {
		l.answered(seq, im.DeviceID(r.GetDevice()), r.GetClientSeq(), sendLedger{seq: seq, kind: im.ErrorKind(r.GetKind())})
	}
}

// traced checks that a message has kept its trace, or its having none.
func (l *ledger) traced(seq im.Seq, m *message, trace uint64) {
	if trace != m.trace {
		l.fail(seq, "has trace %x, but was sent with %x", trace, m.trace)
	}
	if trace != 0 {
		l.w.stats.Traced++
	}
}

// sent takes an outgoing message.
func (l *ledger) sent(seq im.Seq, e *skeinv1.Entry) {
	p := l.pair(e.GetPeer())
	if e.GetPairId() != uint64(len(p.messages))+1 {
		l.fail(seq, "pair_id %d to %d after %d", e.GetPairId(), e.GetPeer(), len(p.messages))
	}
	body := e.GetContent().GetBody()
	if l.w.bodies[string(body)] {
		l.fail(seq, "%q was sent twice", body)
	}
	l.w.bodies[string(body)] = true
	l.w.stats.Sent++
	p.messages = append(p.messages, message{body: body, seq: seq, trace: e.GetTrace()})
	if e.GetDevice() == 0 {
		l.numbered = append(l.numbered, body)
		return
	}
	l.answered(seq, im.DeviceID(e.GetDevice()), e.GetClientSeq(), sendLedger{
		seq: seq, to: e.GetPeer(), pairID: e.GetPairId(), time: e.GetTimeMs(), body: body})
}

// answered takes what a client_seq got.
func (l *ledger) answered(seq im.Seq, dev im.DeviceID, cs uint64, s sendLedger) {
	if cs != uint64(len(l.sends[dev]))+1 {
		l.fail(seq, "client_seq %d of device %d after %d", cs, dev, len(l.sends[dev]))
	}
	l.sends[dev] = append(l.sends[dev], s)
}

// handle gives a message from a peer its fate; each gets one, in order.
func (l *ledger) handle(seq im.Seq, peer, pairID uint64, f fate) *message {
	p := l.pair(peer)
	if pairID != p.handled+1 {
		l.fail(seq, "message %d of %d is handled after %d", pairID, peer, p.handled)
	}
	p.handled = pairID
	from := l.w.ledger(im.User(im.UserID(peer))).pair(l.addr.ID)
	if pairID > uint64(len(from.messages)) {
		l.fail(seq, "message %d of %d is not durable there", pairID, peer)
	}
	m := &from.messages[pairID-1]
	m.fate = f
	return m
}

// checkVisible holds what a device is shown against the log.
func (l *ledger) checkVisible(d *device, seq im.Seq, shown []byte) {
	log := l.w.store.data(l.addr).log
	if seq == 0 || seq > im.Seq(len(log)) {
		l.fail(seq, "is delivered to %v, but the durable log ends at %d", d, len(log))
	}
	want, err := entity.Visible(im.LogEntry{Seq: seq, Value: log[seq-1]})
	if err != nil || !bytes.Equal(want, shown) {
		l.fail(seq, "is shown to %v as %x, but is %x (%v)", d, shown, want, err)
	}
}

// checkAnswer holds the answer to a send against the log.
func (w *world) checkAnswer(to im.Addr, cmd im.Command, res im.Result, err error) {
	c, ok := cmd.(*im.Send)
	if !ok {
		w.bank.checkAnswer(to, cmd, res, err)
		return
	}
	l := w.ledger(to)
	d := w.byID[im.UserID(to.ID)].device(c.Device)
	own := d.history[c.ClientSeq-1].content
	sends := l.sends[c.Device]
	known := c.ClientSeq <= im.ClientSeq(len(sends))
	var s sendLedger
	if known {
		s = sends[c.ClientSeq-1]
	}
	bad := false
	switch kind := im.KindOf(err); kind {
	case im.KindUnspecified:
		sent := res.(*im.Sent)
		bad = !known || s.kind != 0 || s.seq != sent.Seq || s.pairID != sent.PairID || s.time != int64(sent.Time) ||
			s.to != uint64(c.To) || !bytes.Equal(s.body, c.Content.Body) || sent.ClientSeq != c.ClientSeq
	case im.NotContact, im.Blocked:
		bad = !known || s.kind != kind || !bytes.Equal(own.Body, c.Content.Body)
	case im.Conflict:
		bad = !known || bytes.Equal(own.Body, c.Content.Body)
	case im.Stale:
		bad = len(sends)-int(c.ClientSeq) < im.AnswerWindow
	}
	if bad {
		w.fail("%v: client_seq %d gets %+v, %v; the durable answer is %+v (%v)", d, c.ClientSeq, res, err, s, known)
	}
}
