package entity

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

var anyContent = rapid.Custom(func(t *rapid.T) im.Content {
	if rapid.Bool().Draw(t, "none") {
		return im.Content{}
	}
	return im.Content{Type: im.ContentType(rapid.IntRange(1, 2).Draw(t, "type")), Body: rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "body")}
})

var anyAddr = rapid.Custom(func(t *rapid.T) im.Addr {
	return im.Addr{Kind: im.Kind(rapid.IntRange(0, 255).Draw(t, "kind")), ID: rapid.Uint64().Draw(t, "id")}
})

var anyEntry = rapid.Custom(func(t *rapid.T) wire.Entry {
	e := wire.Entry{
		Kind: wire.EntryKind(rapid.IntRange(1, 3).Draw(t, "kind")), Peer: im.UserID(rapid.Uint64().Draw(t, "peer")),
		Outgoing: rapid.Bool().Draw(t, "outgoing"), Time: im.Millis(rapid.Int64().Draw(t, "time")),
		PairID: rapid.Uint64().Draw(t, "pair"), Device: im.DeviceID(rapid.Uint32().Draw(t, "device")),
		ClientSeq: im.ClientSeq(rapid.Uint64().Draw(t, "client_seq")), Content: anyContent.Draw(t, "content"),
		Contact: wire.ContactEvent(rapid.IntRange(0, 6).Draw(t, "contact")), Refusal: im.ErrorKind(rapid.IntRange(0, 15).Draw(t, "refusal")),
	}
	if rapid.Bool().Draw(t, "money") {
		e.Kind = wire.EntryMoney
		e.Money = &wire.Money{Event: im.MoneyEvent(rapid.IntRange(0, 11).Draw(t, "event")), Cents: im.Cents(rapid.Int64().Draw(t, "cents")),
			Balance: im.Cents(rapid.Int64().Draw(t, "balance")), Prev: im.Seq(rapid.Uint64().Draw(t, "prev entry")), Ref: rapid.Uint64().Draw(t, "ref")}
	}
	return e
})

var anyEvent = rapid.Custom(func(t *rapid.T) event {
	ev := event{
		seq: im.Seq(rapid.Uint64Min(1).Draw(t, "seq")), prev: im.Seq(rapid.Uint64().Draw(t, "prev")),
		recvID: rapid.Uint64().Draw(t, "recv"), sendHash: rapid.Uint64().Draw(t, "hash"),
	}
	if rapid.Bool().Draw(t, "visible") {
		ev.entry = anyEntry.Draw(t, "entry")
		ev.entry.Seq = ev.seq
	}
	if rapid.Bool().Draw(t, "in") {
		ev.from, ev.linkIn = anyAddr.Draw(t, "from"), im.LinkSeq(rapid.Uint64Min(1).Draw(t, "link in"))
	}
	if rapid.Bool().Draw(t, "out") {
		ev.to, ev.linkOut = anyAddr.Draw(t, "to"), im.LinkSeq(rapid.Uint64Min(1).Draw(t, "link out"))
	}
	if rapid.Bool().Draw(t, "body") {
		ev.body = Body{Kind: BodyKind(rapid.IntRange(1, 6).Draw(t, "body kind")), Time: im.Millis(rapid.Int64().Draw(t, "body time")),
			PairID: rapid.Uint64().Draw(t, "body pair"), Content: anyContent.Draw(t, "body content"), Error: im.ErrorKind(rapid.IntRange(0, 15).Draw(t, "error"))}
	}
	if rapid.Bool().Draw(t, "refused") {
		ev.refused = refusedSend{im.DeviceID(rapid.Uint32().Draw(t, "refused device")), im.ClientSeq(rapid.Uint64().Draw(t, "refused seq")),
			im.ErrorKind(rapid.IntRange(1, 15).Draw(t, "refused kind"))}
	}
	return ev
})

// generated is an event in the generated code.
func generated(ev *event) *storev1.Event {
	m := &storev1.Event{Prev: uint64(ev.prev), RecvId: ev.recvID, LinkIn: uint64(ev.linkIn), LinkOut: uint64(ev.linkOut), SendHash: ev.sendHash}
	if e := &ev.entry; e.Kind != wire.EntryFiller {
		m.Entry = &skeinv1.Entry{Seq: uint64(e.Seq), Kind: skeinv1.EntryKind(e.Kind), Peer: uint64(e.Peer), Outgoing: e.Outgoing,
			TimeMs: int64(e.Time), PairId: e.PairID, Device: uint32(e.Device), ClientSeq: uint64(e.ClientSeq),
			Content: generatedContent(e.Content), Contact: skeinv1.ContactEvent(e.Contact), Refusal: skeinv1.ErrorKind(e.Refusal)}
		if w := e.Money; w != nil {
			m.Entry.Money = &skeinv1.Money{Event: skeinv1.MoneyEvent(w.Event), Cents: int64(w.Cents), Balance: int64(w.Balance), Prev: uint64(w.Prev), Ref: w.Ref}
		}
	}
	if ev.linkIn != 0 {
		m.From = &storev1.Addr{Kind: uint32(ev.from.Kind), Id: ev.from.ID}
	}
	if ev.linkOut != 0 {
		m.To = &storev1.Addr{Kind: uint32(ev.to.Kind), Id: ev.to.ID}
	}
	if b := &ev.body; b.Kind != 0 {
		m.Body = &storev1.LinkBody{Kind: storev1.LinkKind(b.Kind), TimeMs: int64(b.Time), PairId: b.PairID,
			Content: generatedContent(b.Content), ErrorKind: uint32(b.Error)}
	}
	if r := ev.refused; r.kind != 0 {
		m.Refused = &storev1.RefusedSend{Device: uint32(r.device), ClientSeq: uint64(r.clientSeq), Kind: uint32(r.kind)}
	}
	return m
}

func generatedContent(c im.Content) *skeinv1.Content {
	if c.Type == 0 && len(c.Body) == 0 {
		return nil
	}
	return &skeinv1.Content{Type: skeinv1.ContentType(c.Type), Body: c.Body}
}

// The hand-coded encoding of an event is that of the generated code, byte for
// byte, and is read back as it was.
func TestEventEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ev := anyEvent.Draw(t, "event")
		value, visible := ev.encode()
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(generated(&ev))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(value, want) {
			t.Fatalf("encoded as\n%x, want\n%x", value, want)
		}
		var back event
		if err := back.decode(im.LogEntry{Seq: ev.seq, Value: value}); err != nil {
			t.Fatal(err)
		}
		again, _ := back.encode()
		if !bytes.Equal(again, value) {
			t.Fatalf("read back as\n%x, was\n%x", again, value)
		}
		checkVisible(t, &ev, value, visible)
	})
}

// checkVisible holds what devices see against the generated code.
func checkVisible(t *rapid.T, ev *event, value, visible []byte) {
	entry := generated(ev).GetEntry()
	if entry == nil {
		entry = &skeinv1.Entry{Seq: uint64(ev.seq)}
	}
	want, err := proto.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	got, prev, err := VisibleInConversation(im.LogEntry{Seq: ev.seq, Value: value})
	if err != nil || !bytes.Equal(got, want) || !bytes.Equal(visible, want) || prev != ev.prev {
		t.Fatalf("visible is %x (%v), then %x, want %x; prev %d, want %d", visible, err, got, want, prev, ev.prev)
	}
}

// What is appended to what devices see must not run into the rest of the
// event.
func TestVisibleIsCapped(t *testing.T) {
	ev := event{seq: 1, entry: wire.Entry{Seq: 1, Kind: wire.EntryMessage, Content: text("x")}, sendHash: 1}
	value, visible := ev.encode()
	before := bytes.Clone(value)
	_ = append(visible, "overrun"...)
	if !bytes.Equal(value, before) {
		t.Fatal("the event was overwritten")
	}
}

// Whatever is in the store, reading it does not panic, and an event that the
// generated code refuses is refused here too.
func FuzzEventDecode(f *testing.F) {
	ev := event{seq: 3, entry: wire.Entry{Seq: 3, Kind: wire.EntryMessage, Peer: 2, Content: text("hello")}, prev: 2, recvID: 1,
		from: im.User(2), linkIn: 1, to: im.User(2), linkOut: 4, body: Body{Kind: BodyRefused, PairID: 3, Content: text("x")},
		refused: refusedSend{1, 2, im.Blocked}, sendHash: 77}
	value, _ := ev.encode()
	f.Add(value)
	f.Add(moneyEntry(f))
	f.Add([]byte{})
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, value []byte) {
		e := im.LogEntry{Seq: 3, Value: value}
		var ev event
		if err := ev.decode(e); err != nil {
			return
		}
		if proto.Unmarshal(value, &storev1.Event{}) != nil {
			t.Fatalf("%x is not an event, but is read as %+v", value, ev)
		}
		_, _, _ = VisibleInConversation(e)
		u := newUser(1)
		u.head = 2
		_ = u.Replay(e)
	})
}

// moneyEntry is an event that takes money out of a wallet.
func moneyEntry(f *testing.F) []byte {
	m := newFair(f, 2)
	m.send(10, 1, 2)
	return m.user(1).log[1]
}
