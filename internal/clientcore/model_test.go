package clientcore

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// machine is the model: a device, a server, and the wires between them.
type machine struct {
	core   *Core[string]
	server *fakeServer
	// up and down are frames under way; late those of broken connections.
	up, down, late [][]byte
	connected      bool

	sent     []string
	final    []string
	answered map[string]bool
	app      []im.Seq
	// own are entries the device knows from answers.
	own map[im.Seq]bool
}

func newMachine() *machine {
	return &machine{
		core: New[string](Config{Window: 8}, State{}), server: newFakeServer(),
		answered: map[string]bool{}, own: map[im.Seq]bool{},
	}
}

func (m *machine) send(to im.UserID) {
	tag := fmt.Sprintf("%d", len(m.sent))
	if m.core.Send(to, im.Content{Type: im.ContentCustom, Body: []byte(tag)}, tag) != nil {
		return
	}
	m.sent = append(m.sent, tag)
	if to != friend {
		m.final = append(m.final, tag)
	}
}

func (m *machine) connect() {
	if m.connected {
		return
	}
	m.connected = true
	cursor := m.server.cursor
	if cur, ok := m.core.Cursor(); ok {
		cursor = cur
	}
	m.server.next = cursor + 1
	m.core.Welcome(Welcome{User: self, Head: m.server.head(), Cursor: cursor, ClientSeq: m.server.clientSeq, SendWindow: 16})
}

// disconnect loses what is under way down, and some of what is under way up;
// the rest arrives whenever it likes.
func (m *machine) disconnect(keep int) {
	m.connected = false
	m.late = append(m.late, m.up[:min(keep, len(m.up))]...)
	m.up, m.down = nil, nil
	m.server.next = 0
	m.core.Disconnected()
}

func (m *machine) flush(limit int) {
	out := m.core.AppendFrames(nil, limit)
	if m.core.AckDue() || limit%2 == 0 {
		out = m.core.AppendAck(out)
	}
	for len(out) > 0 {
		_, _, n, err := wire.Parse(out, 1<<20)
		if err != nil || n == 0 {
			panic(err)
		}
		m.up = append(m.up, slices.Clone(out[:n]))
		out = out[n:]
	}
}

// serve makes the server take the next frame; busy: it refuses a send.
func (m *machine) serve(frame []byte, live, busy bool) {
	typ, payload, _, err := wire.Parse(frame, 1<<20)
	if err != nil {
		panic(err)
	}
	switch typ {
	case wire.TypeSend:
		var s wire.Send
		if err := s.Unmarshal(payload); err != nil {
			panic(err)
		}
		var a wire.SendAck
		if busy {
			a = wire.SendAck{ClientSeq: s.ClientSeq, Error: &im.Error{Kind: im.Busy}}
		} else {
			a = m.server.send(s, live)
		}
		if live {
			m.down = append(m.down, wire.AppendSendAckFrame(nil, &a))
		}
	case wire.TypeAck:
		var a wire.Ack
		if err := a.Unmarshal(payload); err != nil {
			panic(err)
		}
		if a.Seq > m.server.head() {
			panic("acknowledged what does not exist")
		}
		m.server.cursor = max(m.server.cursor, a.Seq)
	case wire.TypePull:
		var p wire.Pull
		if err := p.Unmarshal(payload); err != nil {
			panic(err)
		}
		if live {
			m.server.next = p.Seq + 1
		}
	}
}

// deliver makes the server deliver up to n entries, or lose them on the way.
func (m *machine) deliver(n int, lose bool) {
	if m.server.next == 0 {
		return
	}
	var entries [][]byte
	for len(entries) < n && m.server.next <= m.server.head() {
		entries = append(entries, wire.AppendEntry(nil, &m.server.log[m.server.next-1]))
		m.server.next++
	}
	if len(entries) > 0 && !lose {
		m.down = append(m.down, wire.AppendDeliverFrame(nil, entries))
	}
}

func (m *machine) receive(t *rapid.T) {
	if len(m.down) == 0 {
		return
	}
	typ, payload, _, err := wire.Parse(m.down[0], 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	m.down = m.down[1:]
	before := m.core.Received()
	if err := m.core.Frame(typ, payload); err != nil {
		t.Fatalf("%v: %v", typ, err)
	}
	if typ == wire.TypeSendAck && m.core.Received() == before+1 {
		m.own[before+1] = true
	}
	for _, a := range m.core.Answers() {
		if m.answered[a.Tag] {
			t.Fatalf("send %q was answered twice", a.Tag)
		}
		m.answered[a.Tag] = true
		if final := slices.Contains(m.final, a.Tag); final != (a.Err != nil) {
			t.Fatalf("send %q: %v", a.Tag, a.Err)
		}
	}
	for _, e := range m.core.Entries() {
		m.app = append(m.app, e.Seq)
	}
}

// take makes the application take n of what it has not taken.
func (m *machine) take(n int) {
	for _, s := range m.app {
		if cur, _ := m.core.Cursor(); s > cur && n > 0 {
			n--
			m.core.Taken(s)
		}
	}
}

// restart replaces the device by one that remembers what it kept. Its sends
// are answered under no name then, so it happens with an empty outbox only.
func (m *machine) restart() {
	if m.core.Unanswered() > 0 {
		return
	}
	m.take(len(m.app))
	m.disconnect(0)
	m.core = New[string](Config{Window: 8}, m.core.Export())
}

func (m *machine) step(t *rapid.T) {
	n := rapid.IntRange(0, 9).Draw(t, "n")
	switch rapid.SampledFrom([]string{
		"send", "send", "refused", "impossible", "connect", "connect", "disconnect", "flush", "flush", "serve", "serve",
		"busy", "late", "arrive", "deliver", "deliver", "lose", "receive", "receive", "take", "pause", "resume", "restart",
	}).Draw(t, "step") {
	case "send":
		m.send(friend)
	case "refused":
		m.send(stranger)
	case "impossible":
		m.send(impossible)
	case "connect":
		m.connect()
	case "disconnect":
		if m.connected {
			m.disconnect(n)
		}
	case "flush":
		m.flush(n * 20)
	case "serve", "busy":
		// A busy server refuses at once and out of order.
		if len(m.up) > 0 {
			m.serve(m.up[0], true, n == 0)
			m.up = m.up[1:]
		}
	case "late":
		if len(m.late) > 0 {
			m.serve(m.late[0], false, false)
			m.late = m.late[1:]
		}
	case "arrive":
		m.server.append(wire.Entry{Kind: wire.EntryMessage, Peer: friend})
	case "deliver":
		m.deliver(n, false)
	case "lose":
		// While the device waits for what it pulled, nothing is lost: links
		// are reliable, it is the server that skips, and not twice.
		if m.core.in.ahead == 0 && !m.core.in.paused {
			m.deliver(n, true)
		}
	case "receive":
		m.receive(t)
	case "take":
		m.take(n)
	case "pause":
		m.core.Pause()
	case "resume":
		m.core.Resume()
		m.core.Unpause()
	case "restart":
		m.restart()
	}
}

// settle lets everything come to rest, without further mishaps.
func (m *machine) settle(t *rapid.T) {
	for _, f := range m.late {
		m.serve(f, false, false)
	}
	m.late = nil
	if m.connected && rapid.Bool().Draw(t, "reconnect") {
		m.disconnect(0)
	}
	m.core.Unpause()
	m.connect()
	// A delivery that was skipped shows when the next one comes.
	m.server.append(wire.Entry{Kind: wire.EntryMessage, Peer: friend})
	for range 10_000 {
		m.core.Resume()
		m.flush(1 << 20)
		for len(m.up) > 0 {
			m.serve(m.up[0], true, false)
			m.up = m.up[1:]
		}
		m.deliver(100, false)
		for len(m.down) > 0 {
			m.receive(t)
		}
		m.take(len(m.app))
		if m.core.Unanswered() == 0 && m.core.Received() == m.server.head() && !m.core.Ready() && !m.core.AckPending() {
			return
		}
	}
	t.Fatalf("does not settle: %d unanswered, received %d of %d", m.core.Unanswered(), m.core.Received(), m.server.head())
}

func (m *machine) check(t *rapid.T) {
	var want []string
	for _, tag := range m.sent {
		if !m.answered[tag] {
			t.Fatalf("send %q was never answered", tag)
		}
		if !slices.Contains(m.final, tag) {
			want = append(want, tag)
		}
	}
	if !slices.Equal(want, m.server.accepted) {
		t.Fatalf("the server accepted\n%q of\n%q", m.server.accepted, want)
	}
	seen := slices.Clone(m.app)
	for seq := range m.own {
		seen = append(seen, seq)
	}
	if !slices.IsSorted(m.app) {
		t.Fatalf("the application got %v", m.app)
	}
	slices.Sort(seen)
	var visible []im.Seq
	for _, e := range m.server.log {
		if e.Kind != wire.EntryFiller {
			visible = append(visible, e.Seq)
		}
	}
	if !slices.Equal(visible, seen) {
		t.Fatalf("the device saw\n%v of\n%v", seen, visible)
	}
	if m.server.cursor != m.server.head() {
		t.Fatalf("the server knows cursor %d of %d", m.server.cursor, m.server.head())
	}
}

// TestModel: whatever happens on the way, the server accepts every message
// once and in order, every send is answered once, and the device sees every
// entry once and in order.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine()
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			m.step(t)
		}
		m.settle(t)
		m.check(t)
	})
}

// FuzzFrame: nothing a server writes makes a device panic, answer a send
// twice, or move its cursors apart.
func FuzzFrame(f *testing.F) {
	f.Add(wire.AppendSendAckFrame(nil, &wire.SendAck{ClientSeq: 1, Seq: 1, InTimeline: true}))
	f.Add(wire.AppendSendAckFrame(nil, &wire.SendAck{ClientSeq: 2, Error: &im.Error{Kind: im.SequenceGap, Expected: 1}}))
	f.Add(wire.AppendSendAckFrame(nil, &wire.SendAck{ClientSeq: 1, Error: &im.Error{Kind: im.Busy}}))
	f.Add(wire.AppendSendAckFrame(nil, &wire.SendAck{ClientSeq: 1, Error: &im.Error{Kind: im.Invalid}}))
	f.Add(wire.AppendDeliverFrame(nil, [][]byte{{8, 1, 16, 1}, {8, 3}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := New[string](Config{Window: 4}, State{})
		c.Welcome(Welcome{User: self, Cursor: 0, Head: 9})
		answers := map[string]bool{}
		for _, tag := range []string{"a", "b", "c", "d", "e", "f"} {
			if err := c.Send(friend, text(tag), tag); err != nil {
				t.Fatal(err)
			}
		}
		for len(b) > 0 {
			c.AppendFrames(nil, 100)
			typ, payload, n, err := wire.Parse(b, 1<<16)
			if n == 0 || err != nil {
				return
			}
			b = b[n:]
			err = c.Frame(typ, payload)
			for _, a := range c.Answers() {
				if answers[a.Tag] {
					t.Fatalf("%q answered twice", a.Tag)
				}
				answers[a.Tag] = true
			}
			for _, e := range c.Entries() {
				c.Taken(e.Seq)
			}
			c.AppendAck(nil)
			if c.in.acked > c.in.taken || c.in.taken > c.in.received || c.in.received > c.in.head {
				t.Fatalf("cursors %+v", c.in)
			}
			if err != nil {
				return
			}
		}
	})
}
