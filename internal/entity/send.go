package entity

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// handleSend accepts a message of a device. Every client_seq gets one answer,
// for good: accepted, or refused for a reason that retrying cannot change.
// Other refusals leave the client_seq free.
func (u *user) handleSend(tx *Tx, c *im.Send) (im.Result, error) {
	d := u.device(c.Device)
	if d == nil || d.revoked {
		return nil, im.Errorf(im.Unauthenticated, "the device is not logged in")
	}
	if err := c.Content.Check(); err != nil {
		return nil, err
	}
	hash := sendHash(c.To, c.Content)
	cs := c.ClientSeq
	if cs == 0 {
		cs = d.clientSeq + 1
	}
	if cs <= d.clientSeq {
		return d.repeat(cs, hash)
	}
	if cs != d.clientSeq+1 {
		return nil, &im.Error{Kind: im.SequenceGap, Expected: d.clientSeq + 1,
			Detail: "a send before this one has not arrived; send again from expected_seq"}
	}
	p := u.pair(im.User(c.To))
	if kind := mayWrite(p); kind != 0 {
		u.record(tx, &event{sendHash: hash, refused: refusedSend{c.Device, cs, kind}})
		return nil, refusalError(kind)
	}
	if p.full() || u.early[u.sendID+1] != nil {
		return nil, errWindow()
	}
	u.recordSend(tx, p, c.Content, c.Device, cs, hash, c.Trace.Of())
	sent := &im.Sent{Seq: u.head, ClientSeq: cs, PairID: p.sendID, Time: tx.Now}
	u.drainEarly(tx)
	return sent, nil
}

// errWindow refuses for the moment: the link has no room, or the next send id
// belongs to a send that waits for room.
func errWindow() error {
	return &im.Error{Kind: im.Busy, RetryAfterMS: 1000, Detail: "too many messages to this user are on their way"}
}

// recordSend makes one outgoing message happen.
func (u *user) recordSend(tx *Tx, p *pair, content im.Content, dev im.DeviceID, cs im.ClientSeq, hash uint64, trace im.TraceID) {
	u.record(tx, &event{
		entry: wire.Entry{
			Kind: wire.EntryMessage, Peer: im.UserID(p.peer.ID), Outgoing: true, Time: tx.Now,
			PairID: p.sendID + 1, Device: dev, ClientSeq: cs, Content: content, Trace: trace,
		},
		to: p.peer, linkOut: nextLink, sendHash: hash,
	})
}

// nextLink asks record for the next number of the link.
const nextLink im.LinkSeq = 1

// evolveSend is the part of evolve for outgoing messages.
func (u *user) evolveSend(p *pair, ev *event) {
	u.sendID++
	p.sendID = ev.entry.PairID
	if d := u.device(ev.entry.Device); d != nil {
		d.answer(ev.entry.ClientSeq, sendAnswer{seq: ev.seq, hash: ev.sendHash, pairID: ev.entry.PairID, time: ev.entry.Time})
	}
}

func (u *user) evolveRefusedSend(ev *event) {
	if d := u.device(ev.refused.device); d != nil {
		d.answer(ev.refused.clientSeq, sendAnswer{seq: ev.seq, hash: ev.sendHash, kind: ev.refused.kind})
	}
}

// mayWrite is 0 when the user may write to the peer, else why not.
func mayWrite(p *pair) im.ErrorKind {
	switch {
	case p != nil && p.blocked:
		return im.Blocked
	case p == nil || p.contact != im.Friends:
		return im.NotContact
	}
	return 0
}

func refusalError(kind im.ErrorKind) error {
	if kind == im.Blocked {
		return im.Errorf(kind, "you have blocked this user; unblock to write")
	}
	return im.Errorf(kind, "only contacts can write to each other; send a contact request")
}

// sendHash tells two sends apart. It is never 0.
func sendHash(to im.UserID, c im.Content) uint64 {
	var head [9]byte
	binary.LittleEndian.PutUint64(head[:], uint64(to))
	head[8] = byte(c.Type)
	h := xxhash.Sum64(head[:])*31 + xxhash.Sum64(c.Body)
	return max(h, 1)
}

// earlySend is a numbered send whose predecessors have not arrived.
type earlySend struct {
	to      im.UserID
	content im.Content
}

// handleSendNumbered accepts the article's sends: numbered per user, in any
// order within a window, any number of times.
func (u *user) handleSendNumbered(tx *Tx, c *im.SendNumbered) (im.Result, error) {
	if !u.exists {
		return nil, im.Errorf(im.NotFound, "there is no user %d", u.id)
	}
	if err := c.Content.Check(); err != nil {
		return nil, err
	}
	waiting := u.early[c.SendID]
	switch {
	case c.SendID == 0:
		return nil, im.Errorf(im.Invalid, "send ids start at 1")
	case c.SendID <= u.sendID, waiting != nil && waiting.equals(c):
		return &im.Sent{}, nil
	case waiting != nil:
		return nil, im.Errorf(im.Conflict, "send id %d was used for another message", c.SendID)
	case c.SendID > u.sendID+im.EarlyWindow:
		return nil, &im.Error{Kind: im.SequenceGap, Expected: im.ClientSeq(u.sendID + 1),
			Detail: "too far ahead of the next send id"}
	}
	p := u.pair(im.User(c.To))
	if kind := mayWrite(p); kind != 0 {
		return nil, refusalError(kind)
	}
	if c.SendID > u.sendID+1 {
		return u.handleEarly(tx, c)
	}
	if p.full() {
		return nil, errWindow()
	}
	u.recordSend(tx, p, c.Content, 0, 0, 0, 0)
	sent := &im.Sent{Seq: u.head, PairID: p.sendID, Time: tx.Now}
	u.drainEarly(tx)
	return sent, nil
}

func (e *earlySend) equals(c *im.SendNumbered) bool {
	return e.to == c.To && e.content.Type == c.Content.Type && bytes.Equal(e.content.Body, c.Content.Body)
}

// maxEarlyBytes bounds what the contents of a user's early sends hold.
const maxEarlyBytes = 1 << 20

// handleEarly keeps a send until its predecessors have come. Without room for
// it, they come first.
func (u *user) handleEarly(tx *Tx, c *im.SendNumbered) (im.Result, error) {
	if u.earlyBytes+len(c.Content.Body) > maxEarlyBytes {
		return nil, &im.Error{Kind: im.Busy, RetryAfterMS: 1000,
			Detail: fmt.Sprintf("too much waits for send id %d; send that first", u.sendID+1)}
	}
	e := &earlySend{c.To, c.Content}
	u.keepEarly(c.SendID, e)
	tx.put(earlyKey(c.SendID), encodeEarly(c.SendID, e))
	return &im.Sent{}, nil
}

func (u *user) keepEarly(id uint64, e *earlySend) {
	if u.early == nil {
		u.early = map[uint64]*earlySend{}
	}
	u.early[id] = e
	u.earlyBytes += len(e.content.Body)
}

// drainEarly sends what waited for the id before it.
func (u *user) drainEarly(tx *Tx) {
	for len(u.early) > 0 {
		id := u.sendID + 1
		e := u.early[id]
		if e == nil {
			return
		}
		p := u.pair(im.User(e.to))
		kind := mayWrite(p)
		if kind == 0 && p.full() {
			return
		}
		delete(u.early, id)
		u.earlyBytes -= len(e.content.Body)
		tx.Delete = append(tx.Delete, earlyKey(id))
		if kind != 0 {
			u.record(tx, &event{entry: wire.Entry{Kind: wire.EntryRefused, Peer: e.to, Outgoing: true, Time: tx.Now, Refusal: kind}})
			continue
		}
		u.recordSend(tx, p, e.content, 0, 0, 0, 0)
	}
}
