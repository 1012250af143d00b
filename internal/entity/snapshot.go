package entity

import (
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	"github.com/skein-im/skein/internal/im"
)

// Record keys of a user.
const (
	headKey       = "h"
	pagePrefix    = "p"
	devicePrefix  = "d"
	earlyPrefix   = "e"
	dealingPrefix = "w"
)

// pageSize is how many pairs share a record. It is part of the stored format.
const pageSize = 64

func pageKey(page int) string         { return fmt.Sprintf("%s%04x", pagePrefix, page) }
func deviceKey(id im.DeviceID) string { return fmt.Sprintf("%s%08x", devicePrefix, uint32(id)) }
func earlyKey(id uint64) string       { return fmt.Sprintf("%s%016x", earlyPrefix, id) }

// Snapshot implements Entity: it writes the head, and the pages and devices
// that changed since the last snapshot. By-hand encodings, because a busy
// user is written every second or so; reading uses the generated code.
func (u *user) Snapshot(tx *Tx) {
	if u.absent() {
		return
	}
	if u.outstanding == 0 {
		u.unmark(tx)
	}
	u.trim(tx)
	tx.put(headKey, u.encodeHead())
	for first := 0; first < len(u.order); first += pageSize {
		page := u.order[first:min(first+pageSize, len(u.order))]
		if pageDirty(page) {
			tx.put(pageKey(first/pageSize), encodePage(page))
		}
	}
	u.snapshotDealings(tx)
	for _, d := range u.devices {
		if d.dirty {
			d.dirty = false
			tx.put(deviceKey(d.id), d.encode())
		}
	}
	u.dirty, u.unsnapshotted = false, 0
}

func pageDirty(page []*pair) bool {
	dirty := false
	for _, p := range page {
		dirty = dirty || p.dirty
	}
	return dirty
}

func (u *user) encodeHead() []byte {
	b := make([]byte, 0, 48+len(u.name))
	b = appendUint(b, 1, uint64(u.head))
	b = appendBool(b, 2, u.exists)
	b = appendString(b, 3, u.name)
	b = appendUint(b, 4, u.sendID)
	b = appendUint(b, 5, u.sendAckID)
	b = appendUint(b, 6, u.recvID)
	b = appendUint(b, 7, u.clientRecvID)
	b = appendBool(b, 8, u.marked)
	balance, statement := u.balance()
	b = appendUint(b, 9, uint64(balance))
	b = appendUint(b, 10, uint64(statement))
	b = appendUint(b, 11, uint64(u.trimmed()))
	return appendForks(appendAges(b, 12, u.ages()), 13, u.forks)
}

func encodePage(page []*pair) []byte {
	b := make([]byte, 0, len(page)*40)
	var one []byte
	for _, p := range page {
		p.dirty = false
		one = p.append(one[:0])
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendBytes(b, one)
	}
	return b
}

func (p *pair) append(b []byte) []byte {
	b = appendAddr(b, 1, p.peer)
	b = appendUint(b, 2, uint64(p.contact))
	b = appendBool(b, 3, p.blocked)
	b = appendString(b, 4, p.note)
	b = appendUint(b, 5, uint64(p.out))
	b = appendUint(b, 6, uint64(p.acked))
	b = appendUint(b, 7, uint64(p.in))
	b = appendUint(b, 8, p.sendID)
	b = appendUint(b, 9, p.sendAckID)
	b = appendUint(b, 10, uint64(p.lastSeq))
	b = appendRefs(b, 11, p.refs)
	b = appendUint(b, 12, uint64(p.yes))
	return p.generations.append(b, 13)
}

func (d *device) encode() []byte {
	kept := d.kept()
	b := make([]byte, 0, 64+len(d.name)+len(kept)*24)
	b = appendUint(b, 1, uint64(d.id))
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendBytes(b, d.tokenHash[:])
	b = appendString(b, 3, d.name)
	b = appendUint(b, 4, uint64(d.created))
	b = appendBool(b, 5, d.revoked)
	b = appendUint(b, 6, uint64(d.cursor))
	b = appendUint(b, 7, uint64(d.clientSeq))
	var one []byte
	for _, a := range kept {
		one = appendUint(one[:0], 1, uint64(a.seq))
		one = protowire.AppendTag(one, 2, protowire.Fixed64Type)
		one = protowire.AppendFixed64(one, a.hash)
		one = appendUint(one, 3, a.pairID)
		one = appendUint(one, 4, uint64(a.time))
		one = appendUint(one, 5, uint64(a.kind))
		b = protowire.AppendTag(b, 8, protowire.BytesType)
		b = protowire.AppendBytes(b, one)
	}
	return b
}

func appendBool(b []byte, num protowire.Number, v bool) []byte {
	if !v {
		return b
	}
	return appendUint(b, num, 1)
}

func appendString(b []byte, num protowire.Number, v string) []byte {
	if v == "" {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendString(b, v)
}

// Restore implements Entity.
func (u *user) Restore(recs []im.Record) (im.Seq, error) {
	if away, err := u.elsewhere(recs); away || err != nil {
		return u.head, err
	}
	for _, r := range recs {
		if err := u.restoreRecord(r); err != nil {
			return 0, im.Errorf(im.Internal, "record %q of user %d: %w", r.Key, u.id, err)
		}
	}
	return u.head, nil
}

func (u *user) restoreRecord(r im.Record) error {
	switch {
	case r.Key == headKey:
		return u.restoreHead(r.Value)
	case r.Key == residenceKey:
		return nil
	case strings.HasPrefix(r.Key, pagePrefix):
		return u.restorePage(r.Value)
	case strings.HasPrefix(r.Key, devicePrefix):
		return u.restoreDevice(r.Value)
	case strings.HasPrefix(r.Key, dealingPrefix):
		return u.restoreDealing(r.Value)
	case strings.HasPrefix(r.Key, earlyPrefix):
		return u.restoreEarly(r)
	}
	return errDamaged
}

func (u *user) restoreHead(value []byte) error {
	var m storev1.UserHead
	if err := proto.Unmarshal(value, &m); err != nil {
		return err
	}
	u.head, u.exists, u.name = im.Seq(m.Seq), m.Exists, m.Name
	u.sendID, u.sendAckID = m.SendId, m.SendAckId
	u.recvID, u.clientRecvID = m.RecvId, m.ClientRecvId
	u.marked = m.Pending
	if m.Statement != 0 {
		w := u.ownWallet()
		w.balance, w.statement = im.Cents(m.Balance), im.Seq(m.Statement)
	}
	if m.Trimmed != 0 || len(m.Ages) > 0 {
		u.history = &history{trimmed: im.Seq(m.Trimmed), ages: agesOf(m.Ages)}
	}
	u.forks = forksOf(m.Forks)
	return nil
}

func (u *user) restorePage(value []byte) error {
	var m storev1.PairPage
	if err := proto.Unmarshal(value, &m); err != nil {
		return err
	}
	for _, s := range m.Pairs {
		p := u.makePair(im.Addr{Kind: im.Kind(s.GetPeer().GetKind()), ID: s.GetPeer().GetId()})
		p.contact, p.blocked, p.note = im.ContactState(s.Contact), s.Blocked, s.Note
		p.out, p.acked, p.in = im.LinkSeq(s.Out), im.LinkSeq(s.Acked), im.LinkSeq(s.In)
		p.sendID, p.sendAckID = s.SendId, s.SendAckId
		p.lastSeq, p.yes = im.Seq(s.LastSeq), im.LinkSeq(s.Request)
		p.generations = generationsOf(s.Generations)
		for _, r := range s.Outstanding {
			p.refs = append(p.refs, ref(r))
		}
		if uint64(len(p.refs)) != uint64(p.out-p.acked) {
			return errDamaged
		}
		u.outstanding += len(p.refs)
	}
	return nil
}

func (u *user) restoreDevice(value []byte) error {
	var m storev1.DeviceState
	if err := proto.Unmarshal(value, &m); err != nil {
		return err
	}
	d := &device{
		id: im.DeviceID(m.Device), name: m.Name, created: im.Millis(m.CreatedMs), revoked: m.Revoked,
		cursor: im.Seq(m.Cursor), clientSeq: im.ClientSeq(m.ClientSeq),
	}
	if copy(d.tokenHash[:], m.TokenHash) != len(d.tokenHash) {
		return errDamaged
	}
	for _, a := range m.Answers {
		d.answers = append(d.answers, sendAnswer{im.Seq(a.Seq), a.Hash, a.PairId, im.Millis(a.TimeMs), im.ErrorKind(a.ErrorKind)})
	}
	u.addDevice(d)
	d.dirty = false
	return nil
}

func encodeEarly(id uint64, e *earlySend) []byte {
	b := appendUint(nil, 1, id)
	b = appendUint(b, 2, uint64(e.to))
	content := appendUint(nil, 1, uint64(e.content.Type))
	content = protowire.AppendTag(content, 2, protowire.BytesType)
	content = protowire.AppendBytes(content, e.content.Body)
	b = protowire.AppendTag(b, 3, protowire.BytesType)
	return protowire.AppendBytes(b, content)
}

func (u *user) restoreEarly(r im.Record) error {
	id, err := strconv.ParseUint(r.Key[len(earlyPrefix):], 16, 64)
	if err != nil {
		return err
	}
	e := &earlySend{}
	err = rangeFields(r.Value, func(num protowire.Number, v uint64, b []byte) error {
		switch num {
		case 2:
			e.to = im.UserID(v)
		case 3:
			return decodeContent(b, &e.content)
		}
		return nil
	})
	u.keepEarly(id, e)
	return err
}

// Replay implements Entity.
func (u *user) Replay(e im.LogEntry) error {
	if e.Seq != u.head+1 {
		return im.Errorf(im.Internal, "user %d: log entry %d follows %d", u.id, e.Seq, u.head)
	}
	var ev event
	if err := ev.decode(e); err != nil {
		return im.Errorf(im.Internal, "log entry %d of user %d: %w", e.Seq, u.id, err)
	}
	u.evolve(&ev)
	return nil
}

// Start implements Entity: whatever is unacknowledged will be sent again,
// spread over the first retransmission interval.
func (u *user) Start(tx *Tx) {
	if u.absent() {
		if u.residence.state == leaving {
			u.due = tx.Now + im.Millis(tx.Jitter(departureMin))
		}
		return
	}
	for _, p := range u.order {
		u.restart(tx, &p.line)
	}
	if u.wallet != nil {
		for _, p := range u.wallet.dealings {
			u.restart(tx, &p.line)
		}
	}
	if u.exists || len(u.pairs) > 0 {
		// After it is known what is unacknowledged, for that must not be let go of.
		u.enterGeneration(tx)
	}
}
