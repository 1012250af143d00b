package remote

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

func TestMessagesSurvive(t *testing.T) {
	for _, m := range []*entity.Message{full[any](&entity.Message{}).(*entity.Message), {}} {
		b := AppendMessage(nil, m)
		for _, in := range [][]byte{b, withUnknown(b)} {
			got, err := ReadMessage(in)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(m, got); d != "" {
				t.Errorf("(-sent +read):\n%s", d)
			}
		}
	}
}

// FuzzMessage: whatever is read is carried on unchanged, and what is wrong is
// Invalid.
func FuzzMessage(f *testing.F) {
	f.Add(AppendMessage(nil, full[any](&entity.Message{}).(*entity.Message)))
	f.Add(AppendMessage(nil, &entity.Message{From: im.User(1), To: im.User(2), Ack: 7}))
	f.Add([]byte{0x08, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ReadMessage(b)
		if err != nil {
			mustBeInvalid(t, err)
			return
		}
		again, err := ReadMessage(AppendMessage(nil, m))
		if err != nil {
			t.Fatal(err)
		}
		m.Body.Content.Body = append([]byte(nil), m.Body.Content.Body...)
		if d := cmp.Diff(m, again); d != "" {
			t.Fatal(d)
		}
	})
}

// FuzzServed: the same for lists of slots.
func FuzzServed(f *testing.F) {
	f.Add(appendServed(nil, []im.Slot{0, 7, im.Slots - 1}))
	f.Add([]byte{0x0a, 0x02, 0x80, 0x20})
	f.Fuzz(func(t *testing.T, b []byte) {
		slots, err := readServed(b)
		if err != nil {
			mustBeInvalid(t, err)
			return
		}
		again, err := readServed(appendServed(nil, slots))
		if err != nil || len(again) != len(slots) {
			t.Fatalf("%v, then %v, %v", slots, again, err)
		}
		for i := range slots {
			if slots[i] != again[i] || slots[i] >= im.Slots {
				t.Fatalf("%v, then %v", slots, again)
			}
		}
	})
}

// Link messages arrive in order while there is a link; before and after they
// are dropped and counted.
func TestForward(t *testing.T) {
	got, served := make(chan *entity.Message, 100), make(chan []im.Slot, 1)
	ln, addr := listen(t, "tcp")
	c := connect(t, ClientConfig{Addr: addr})
	c.Forward(&entity.Message{From: im.User(1), To: im.User(2), Seq: 1})
	if st := c.Stats(); st.Dropped != 1 || st.Forwarded != 0 {
		t.Fatalf("without a link: %+v", st)
	}
	s := serve(t, ln, ServerConfig{Mailbox: newFakeMailbox(), Receive: func(m *entity.Message) { got <- m },
		Served: func(slots []im.Slot) { served <- slots }})
	eventually(t, func() bool { return c.Health() == nil })
	for seq := range im.LinkSeq(50) {
		c.Forward(&entity.Message{From: im.User(1), To: im.User(2), Seq: seq + 1})
	}
	for seq := range im.LinkSeq(50) {
		if m := <-got; m.Seq != seq+1 || m.To != im.User(2) {
			t.Fatalf("message %d is %+v", seq+1, m)
		}
	}
	c.Announce([]im.Slot{3, 4095})
	if slots := <-served; !slices.Equal(slots, []im.Slot{3, 4095}) {
		t.Errorf("announced were %v", slots)
	}
	if st := c.Stats(); st.Forwarded != 50 || s.Stats().Forwarded != 50 {
		t.Errorf("client %+v, server %+v", st, s.Stats())
	}
}

// Both ends hear of every link that comes up: what was sent in vain can go out
// again.
func TestUp(t *testing.T) {
	ups, joined := make(chan struct{}, 10), make(chan string, 10)
	ln, addr := listen(t, "tcp")
	way := newProxy(t, addr, unlimited)
	serve(t, ln, ServerConfig{Mailbox: newFakeMailbox(), Joined: func(node string) { joined <- node }})
	connect(t, ClientConfig{Addr: way.addr(), Up: func() { ups <- struct{}{} }})
	for range 3 {
		<-ups
		if node := <-joined; node != "gateway" {
			t.Errorf("node %q has made a link", node)
		}
		way.cutAll()
	}
}

// What waits to be written is bounded.
func TestForwardIsBounded(t *testing.T) {
	var o outbound
	o.set(true)
	m := &entity.Message{Body: entity.Body{Content: im.Content{Body: make([]byte, 1000)}}}
	taken := 0
	for range 100 {
		if _, ok := o.put(typeForward, 10_000, func(dst []byte) []byte { return AppendMessage(dst, m) }); ok {
			taken++
		}
	}
	if n := len(o.take(nil)); n < 10_000 || n > 12_000 {
		t.Errorf("%d bytes wait", n)
	}
	if taken < 9 || taken > 12 {
		t.Errorf("%d were taken", taken)
	}
}

// A command about a session is taken only where the session was attached.
func TestOffer(t *testing.T) {
	_, _, c := pair(t, "tcp", ServerConfig{}, ClientConfig{})
	j := newJournal()
	if c.Offer(im.User(1), &im.Send{Session: 5, ClientSeq: 1}, j) || c.Offer(im.User(1), &im.Detach{Session: 5}, j) {
		t.Fatal("a session that is not known was taken")
	}
	do(t, c, im.User(1), &im.Attach{Session: 5, Sink: named{j, "five"}})
	if !c.Offer(im.User(1), &im.Send{Session: 5, ClientSeq: 1}, j) || !c.Offer(im.User(1), &im.Detach{Session: 5}, j) {
		t.Fatal("a session that is known was not taken")
	}
	if c.Offer(im.User(1), &im.AckDelivered{Session: 5}, j) {
		t.Fatal("a session that has ended was taken")
	}
	if st := c.Stats(); st.Submitted != 3 {
		t.Errorf("%+v", st)
	}
}

// A node that asks for the mailbox itself gets past what gateways get.
func TestInner(t *testing.T) {
	outer, inner := newFakeMailbox(), newFakeMailbox()
	ln, addr := listen(t, "tcp")
	serve(t, ln, ServerConfig{Mailbox: outer, Inner: inner})
	for _, c := range []*Client{connect(t, ClientConfig{Addr: addr}), connect(t, ClientConfig{Addr: addr, Inner: true})} {
		do(t, c, im.User(1), &im.ListDevices{})
	}
	if len(outer.got) != 1 || len(inner.got) != 1 {
		t.Errorf("the mailbox for gateways got %d commands, the inner one %d", len(outer.got), len(inner.got))
	}
}
