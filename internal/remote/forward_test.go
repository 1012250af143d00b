package remote

import (
	"fmt"
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
	f.Add(AppendMessage(nil, &entity.Message{From: im.User(1), To: im.User(2), Ack: 7, Lineage: &entity.Lineage{Own: 70, Base: 5}}))
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
	f.Add(appendServed(nil, []im.Slot{0, 7, im.Slots - 1}, nil))
	f.Add(appendServed(nil, []im.Slot{0, 7}, []im.Epoch{1, 1 << 40}))
	f.Add([]byte{0x0a, 0x02, 0x80, 0x20})
	f.Fuzz(func(t *testing.T, b []byte) {
		slots, epochs, err := readServed(b)
		if err != nil {
			mustBeInvalid(t, err)
			return
		}
		again, same, err := readServed(appendServed(nil, slots, epochs))
		if err != nil || len(again) != len(slots) || !slices.Equal(same, epochs) {
			t.Fatalf("%v %v, then %v %v, %v", slots, epochs, again, same, err)
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
	got, served := make(chan *entity.Message, 100), make(chan string, 1)
	ln, addr := listen(t, "tcp")
	c := connect(t, ClientConfig{Addr: addr})
	c.Forward(&entity.Message{From: im.User(1), To: im.User(2), Seq: 1})
	if st := c.Stats(); st.Dropped != 1 || st.Forwarded != 0 {
		t.Fatalf("without a link: %+v", st)
	}
	s := serve(t, ln, ServerConfig{Mailbox: newFakeMailbox(), Receive: func(m *entity.Message) { got <- m },
		Served: func(node string, slots []im.Slot, epochs []im.Epoch) { served <- fmt.Sprint(node, slots, epochs) }})
	eventually(t, func() bool { return c.Health() == nil })
	for seq := range im.LinkSeq(50) {
		c.Forward(&entity.Message{From: im.User(1), To: im.User(2), Seq: seq + 1})
	}
	for seq := range im.LinkSeq(50) {
		if m := <-got; m.Seq != seq+1 || m.To != im.User(2) {
			t.Fatalf("message %d is %+v", seq+1, m)
		}
	}
	c.Announce([]im.Slot{3, 4095}, []im.Epoch{7, 1})
	if got := <-served; got != "gateway[3 4095] [7 1]" {
		t.Errorf("announced were %v", got)
	}
	if st := c.Stats(); st.Forwarded != 50 || s.Stats().Forwarded != 50 {
		t.Errorf("client %+v, server %+v", st, s.Stats())
	}
}

// A client is told what the node serves when its link comes up, and what it
// acquires from then on; those of earlier versions skip it.
func TestServed(t *testing.T) {
	served := make(chan string, 10)
	ln, addr := listen(t, "tcp")
	s := serve(t, ln, ServerConfig{Mailbox: newFakeMailbox(), Serving: func() ([]im.Slot, []im.Epoch) { return []im.Slot{1, 2}, []im.Epoch{5, 6} }})
	connect(t, ClientConfig{Addr: addr, Served: func(slots []im.Slot, epochs []im.Epoch) { served <- fmt.Sprint(slots, epochs) },
		Left: func(slots []im.Slot, epochs []im.Epoch) { served <- fmt.Sprint("not ", slots, epochs) }})
	deaf := connect(t, ClientConfig{Addr: addr})
	if got := <-served; got != "[1 2] [5 6]" {
		t.Errorf("at first the client was told %v", got)
	}
	eventually(t, func() bool { return deaf.Health() == nil && s.Stats().Links == 2 })
	s.Announce([]im.Slot{4095}, []im.Epoch{1 << 33})
	if got := <-served; got != "[4095] [8589934592]" {
		t.Errorf("later the client was told %v", got)
	}
	s.Left([]im.Slot{1}, []im.Epoch{5})
	if got := <-served; got != "not [1] [5]" {
		t.Errorf("in the end the client was told %v", got)
	}
	do(t, deaf, im.User(1), &im.ListDevices{})
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
