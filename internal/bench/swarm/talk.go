//go:build linux

package swarm

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// talk is a device's state for sending and receiving messages. A device sheds
// what the server is too busy for: a send that is refused so is given up,
// those behind it, which the server refuses because a number is missing, with
// it, and until all are answered and the wait that the server asked for is
// over, what comes due is not sent at all.
type talk struct {
	// next numbers the next send.
	next im.ClientSeq
	// due are the times of the unanswered sends, by number modulo the
	// window; 0 is none. open counts them.
	due  []int64
	open int
	// refused is the lowest number that is to be used again; 0: none.
	refused im.ClientSeq
	// resume is when sending may go on.
	resume int64

	timeline
	// pair is the number of the friend's last message.
	pair uint64
	// admitted and taken count messages, sent and received.
	admitted, taken uint64
}

// chat is what a member's talks have in common.
type chat struct {
	window int
	body   []byte
}

func (c *chat) init(j *Job) {
	c.window = max(1, j.Window)
	c.body = make([]byte, max(MinBody, j.Body))
	for i := range c.body {
		c.body[i] = byte(i * 167)
	}
}

// welcome begins a connection. What the last one left unanswered has been
// counted as unknown.
func (c *chat) welcome(cl *client, cursor im.Seq, last im.ClientSeq) {
	t := cl.talk
	if t == nil {
		t = &talk{due: make([]int64, c.window), timeline: timeline{received: cursor}}
		cl.talk = t
	}
	t.next, t.refused = last+1, 0
	t.again()
}

// forget gives up what is unanswered, and returns how much that was.
func (t *talk) forget() int {
	n := t.open
	clear(t.due)
	t.open = 0
	return n
}

// free reports whether the device may send.
func (t *talk) free(now int64) bool {
	return t.refused == 0 && now >= t.resume && t.open < len(t.due)
}

// send sends a message that was due at a time.
func (m *member) send(cl *client, due, now int64) {
	t := cl.talk
	if !t.free(now) {
		if t.refused != 0 || now < t.resume {
			m.status.Load.Held++
		} else {
			m.status.Load.Full++
		}
		return
	}
	user := m.job.user(int(cl.index))
	body := m.chat.body
	binary.LittleEndian.PutUint64(body, uint64(user))
	binary.LittleEndian.PutUint64(body[8:], uint64(t.next))
	end := len(body) - 4
	binary.LittleEndian.PutUint32(body[end:], crc32.Checksum(body[:end], castagnoli))
	m.out = wire.AppendSendFrame(m.out[:0], &wire.Send{
		To: Friend(m.job.First, user), ClientSeq: t.next,
		Content: im.Content{Type: im.ContentCustom, Body: body},
	})
	t.due[int(t.next)%len(t.due)] = due
	t.next++
	t.open++
	m.status.Load.Sent++
	m.status.Load.Open++
	m.put(cl, m.out)
}

// sendAck takes the answer to a send.
func (m *member) sendAck(cl *client, payload []byte, now int64) {
	var a wire.SendAck
	t := cl.talk
	if t == nil || a.Unmarshal(payload) != nil {
		m.fail(cl, "an answer that is not one")
		return
	}
	slot := int(a.ClientSeq) % len(t.due)
	if a.ClientSeq >= t.next || a.ClientSeq+im.ClientSeq(len(t.due)) < t.next || t.due[slot] == 0 {
		m.fail(cl, "an answer to no send")
		return
	}
	due := t.due[slot]
	t.due[slot] = 0
	t.open--
	m.status.Load.Open--
	if a.Error != nil {
		m.refusal(t, &a, now)
	} else {
		t.admitted++
		m.status.Books.Admitted++
		m.answered(due, now)
		if a.InTimeline {
			m.arrived(cl, &t.timeline, a.Seq)
		}
	}
	if t.open == 0 && t.refused != 0 {
		t.next, t.refused = t.refused, 0
	}
	m.topUp(cl, now)
}

// refusal deals with a send that the server did not accept.
func (m *member) refusal(t *talk, a *wire.SendAck, now int64) {
	s := &m.status.Load
	switch a.Error.Kind {
	case im.Busy, im.Unavailable:
		s.Shed++
		// Spread over as long again, so that not all come back at once.
		wait := int64(max(a.Error.RetryAfterMS, 1)) * int64(time.Millisecond)
		t.resume = max(t.resume, now+wait+m.rng.Int64N(wait))
	case im.SequenceGap:
		s.Shed++
	default:
		s.Refused++
		m.wrong("a send was refused: " + a.Error.Kind.String())
		return
	}
	if t.refused == 0 || a.ClientSeq < t.refused {
		t.refused = a.ClientSeq
	}
}

// message checks what a friend has sent.
func (m *member) message(cl *client, e *wire.Entry) {
	t := cl.talk
	switch {
	case e.Kind == wire.EntryRefused:
		m.wrong("a message was refused after it was accepted")
	case e.Kind == wire.EntryMessage && !e.Outgoing:
		if !m.genuine(cl, e) || t.pair != 0 && e.PairID != t.pair+1 {
			m.status.Books.Wrong++
		}
		t.pair = e.PairID
		t.taken++
		m.status.Books.Received++
	}
}

// genuine reports whether a message is what the friend has written.
func (m *member) genuine(cl *client, e *wire.Entry) bool {
	b := e.Content.Body
	if len(b) != len(m.chat.body) || e.Peer != Friend(m.job.First, m.job.user(int(cl.index))) {
		return false
	}
	end := len(b) - 4
	return binary.LittleEndian.Uint64(b) == uint64(e.Peer) &&
		binary.LittleEndian.Uint32(b[end:]) == crc32.Checksum(b[:end], castagnoli)
}

// books are how many messages each client has had admitted and received.
func (m *member) books() (admitted, received []uint64) {
	admitted, received = make([]uint64, len(m.clients)), make([]uint64, len(m.clients))
	for i := range m.clients {
		if t := m.clients[i].talk; t != nil {
			admitted[i], received[i] = t.admitted, t.taken
		}
	}
	return admitted, received
}
