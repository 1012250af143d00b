package wire

import (
	stdbytes "bytes"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

// codec ties one hand-coded message to the generated one.
type codec struct {
	name string
	// fresh makes an empty generated message.
	fresh func() proto.Message
	// decode reads b with the hand-coded reader and returns what it read
	// as a generated message, the hand-coded encoding of it, and the size
	// announced for that.
	decode func(b []byte) (m proto.Message, encoded []byte, size int, err error)
	// normal reports whether every number fits the Go types, and makes an
	// empty Content absent.
	normal func(m proto.Message) bool
}

var codecs = []codec{
	{
		name:  "entry",
		fresh: func() proto.Message { return new(skeinv1.Entry) },
		decode: func(b []byte) (proto.Message, []byte, int, error) {
			var m Entry
			err := m.Unmarshal(b)
			return protoEntry(&m), AppendEntry(nil, &m), SizeEntry(&m), err
		},
		normal: func(m proto.Message) bool {
			e := m.(*skeinv1.Entry)
			e.Content = normalContent(e.Content)
			return fits(int32(e.Kind)) && fits(int32(e.Contact)) && fits(int32(e.Refusal)) &&
				fits(int32(e.GetMoney().GetEvent())) && fits(int32(e.GetMoney().GetRule())) &&
				fits(int32(e.GetContent().GetType()))
		},
	},
	{
		name:  "send",
		fresh: func() proto.Message { return new(skeinv1.Send) },
		decode: func(b []byte) (proto.Message, []byte, int, error) {
			var m Send
			err := m.Unmarshal(b)
			return protoSend(&m), AppendSend(nil, &m), SizeSend(&m), err
		},
		normal: func(m proto.Message) bool {
			s := m.(*skeinv1.Send)
			s.Content = normalContent(s.Content)
			return fits(int32(s.GetContent().GetType()))
		},
	},
	{
		name:  "send_ack",
		fresh: func() proto.Message { return new(skeinv1.SendAck) },
		decode: func(b []byte) (proto.Message, []byte, int, error) {
			var m SendAck
			err := m.Unmarshal(b)
			return protoSendAck(&m), AppendSendAck(nil, &m), SizeSendAck(&m), err
		},
		normal: func(m proto.Message) bool {
			return fits(int32(m.(*skeinv1.SendAck).GetError().GetKind()))
		},
	},
	{
		name:  "ack",
		fresh: func() proto.Message { return new(skeinv1.Ack) },
		decode: func(b []byte) (proto.Message, []byte, int, error) {
			var m Ack
			err := m.Unmarshal(b)
			return &skeinv1.Ack{Seq: uint64(m.Seq)}, AppendAck(nil, &m), SizeAck(&m), err
		},
		normal: func(proto.Message) bool { return true },
	},
	{
		name:  "pull",
		fresh: func() proto.Message { return new(skeinv1.Pull) },
		decode: func(b []byte) (proto.Message, []byte, int, error) {
			var m Pull
			err := m.Unmarshal(b)
			return &skeinv1.Pull{Seq: uint64(m.Seq)}, AppendPull(nil, &m), SizePull(&m), err
		},
		normal: func(proto.Message) bool { return true },
	},
	{
		name:  "shake",
		fresh: func() proto.Message { return new(skeinv1.Shake) },
		decode: func(b []byte) (proto.Message, []byte, int, error) {
			var m Shake
			err := m.Unmarshal(b)
			return &skeinv1.Shake{Id: m.ID, Campaign: uint64(m.Campaign)}, AppendShake(nil, &m), SizeShake(&m), err
		},
		normal: func(proto.Message) bool { return true },
	},
	{
		name:  "shaken",
		fresh: func() proto.Message { return new(skeinv1.Shaken) },
		decode: func(b []byte) (proto.Message, []byte, int, error) {
			var m Shaken
			err := m.Unmarshal(b)
			return &skeinv1.Shaken{
				Id: m.ID, Outcome: skeinv1.ShakeOutcome(m.Outcome), Cents: int64(m.Cents), RetryAfterMs: m.RetryAfterMS,
			}, AppendShaken(nil, &m), SizeShaken(&m), err
		},
		normal: func(m proto.Message) bool { return fits(int32(m.(*skeinv1.Shaken).Outcome)) },
	},
}

func fits(enum int32) bool { return enum >= 0 && enum <= math.MaxUint8 }

func normalContent(c *skeinv1.Content) *skeinv1.Content {
	if c.GetType() == 0 && len(c.GetBody()) == 0 {
		return nil
	}
	return c
}

func protoContent(c im.Content) *skeinv1.Content {
	return normalContent(&skeinv1.Content{Type: skeinv1.ContentType(c.Type), Body: c.Body})
}

func protoEntry(m *Entry) *skeinv1.Entry {
	return &skeinv1.Entry{
		Seq: uint64(m.Seq), Kind: skeinv1.EntryKind(m.Kind), Peer: uint64(m.Peer),
		Outgoing: m.Outgoing, TimeMs: int64(m.Time), PairId: m.PairID,
		Device: uint32(m.Device), ClientSeq: uint64(m.ClientSeq),
		Content: protoContent(m.Content), Contact: skeinv1.ContactEvent(m.Contact),
		Refusal: skeinv1.ErrorKind(m.Refusal), Money: protoMoney(m.Money), Trace: uint64(m.Trace),
	}
}

func protoMoney(m *Money) *skeinv1.Money {
	if m == nil {
		return nil
	}
	return &skeinv1.Money{
		Event: skeinv1.MoneyEvent(m.Event), Cents: int64(m.Cents), Balance: int64(m.Balance), Prev: uint64(m.Prev),
		Ref: m.Ref, Total: int64(m.Total), Shares: m.Shares, Rule: skeinv1.SplitRule(m.Rule),
		ExpiresMs: int64(m.Expires), Receivers: m.Receivers,
	}
}

func protoSend(m *Send) *skeinv1.Send {
	return &skeinv1.Send{To: uint64(m.To), ClientSeq: uint64(m.ClientSeq), Content: protoContent(m.Content), Trace: uint64(m.Trace)}
}

func protoSendAck(m *SendAck) *skeinv1.SendAck {
	return &skeinv1.SendAck{
		ClientSeq: uint64(m.ClientSeq), Seq: uint64(m.Seq), TimeMs: int64(m.Time),
		InTimeline: m.InTimeline, PairId: m.PairID, Error: ErrorToProto(m.Error),
	}
}

// seeds are encodings that reach every field and every way to be malformed.
func seeds() [][]byte {
	text := &skeinv1.Content{Type: skeinv1.ContentType_CONTENT_TYPE_TEXT, Body: []byte("野鹅 carries letters")}
	msgs := []proto.Message{
		&skeinv1.Entry{
			Seq: 1 << 40, Kind: skeinv1.EntryKind_ENTRY_KIND_MESSAGE, Peer: 1<<53 - 1, Outgoing: true,
			TimeMs: 1790000000000, PairId: 300, Device: math.MaxUint32, ClientSeq: 77, Content: text,
			Contact: skeinv1.ContactEvent_CONTACT_EVENT_BLOCKED, Refusal: skeinv1.ErrorKind_ERROR_KIND_NOT_CONTACT,
			Money: &skeinv1.Money{Event: skeinv1.MoneyEvent_MONEY_EVENT_CAMPAIGN_WON, Cents: -700, Balance: 1 << 50, Prev: 77,
				Ref: 1 << 63, Total: 9999, Shares: 3, Rule: skeinv1.SplitRule_SPLIT_RULE_RANDOM, ExpiresMs: 1 << 41, Receivers: 2},
		},
		&skeinv1.Entry{Seq: 1, TimeMs: -1, Content: &skeinv1.Content{}},
		&skeinv1.Entry{Kind: 256}, &skeinv1.Entry{Kind: -1},
		&skeinv1.Send{To: 5, ClientSeq: 1, Content: text},
		&skeinv1.Send{To: 5, Content: &skeinv1.Content{Body: make([]byte, 200)}},
		&skeinv1.Send{To: 5, ClientSeq: 1, Content: text, Trace: 1<<63 | 7},
		&skeinv1.Entry{Seq: 1, Content: text, Trace: math.MaxUint64}, &skeinv1.Entry{Trace: 1},
		&skeinv1.SendAck{ClientSeq: 9, Seq: 1 << 63, TimeMs: 12, InTimeline: true, PairId: 4},
		&skeinv1.SendAck{ClientSeq: 9, Error: &skeinv1.Error{}},
		&skeinv1.SendAck{ClientSeq: 9, Error: &skeinv1.Error{
			Kind: skeinv1.ErrorKind_ERROR_KIND_SEQUENCE_GAP, Detail: "waiting for 4",
			RetryAfterMs: math.MaxUint32, ExpectedSeq: 4,
		}},
		&skeinv1.Ack{Seq: math.MaxUint64},
		&skeinv1.Shake{Id: 300, Campaign: 1 << 63},
		&skeinv1.Shaken{Id: 300, Outcome: skeinv1.ShakeOutcome_SHAKE_OUTCOME_WON, Cents: 500},
		&skeinv1.Shaken{Outcome: -1, Cents: -1, RetryAfterMs: math.MaxUint32},
	}
	out := [][]byte{
		nil,
		{0x38, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, // a device beyond 32 bits
		{0x20, 0x02},             // a bool of 2
		{0x08, 0x01, 0x08, 0x02}, // a field twice
		{0x4a, 0x02, 0x08, 0x01, 0x4a, 0x02, 0x12, 00},                     // a Content in two parts
		{0x0a, 0x01, 0x00, 0x09, 1, 2, 3, 4, 5, 6, 7, 8, 0x0d, 1, 2, 3, 4}, // other wire types
		{0x0b, 0x08, 0x01, 0x0c},                                           // a group
		{0x0b, 0x08, 0x01}, {0x0c}, {0x00, 0x01}, {0x08}, {0x4a, 0x05, 0x08},
		{0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, // over 64 bits
		{0x32, 0x03, 0x12, 0x01, 0xff},                                     // text that is not UTF-8
		{0x88, 0x80, 0x00, 0x07},                                           // a key that is longer than needed
		{0xf8, 0xff, 0xff, 0xff, 0x0f, 0x01},                               // the highest field number
		{0xf8, 0xff, 0xff, 0xff, 0x10, 0x01},                               // and one beyond
	}
	for _, m := range msgs {
		b, err := proto.Marshal(m)
		if err != nil {
			panic(err)
		}
		out = append(out, b)
	}
	return out
}

// check holds the hand-coded codec to the generated one on one input.
func (c *codec) check(t *testing.T, b []byte) {
	t.Helper()
	want := c.fresh()
	wantErr := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, want)
	got, encoded, size, err := c.decode(b)
	if err != nil {
		if im.KindOf(err) != im.Invalid {
			t.Fatalf("%s: error %v is not Invalid", c.name, err)
		}
		if wantErr == nil && c.normal(want) {
			c.checkCanonical(t, want, "the input was refused: "+err.Error(), b)
		}
		return
	}
	if wantErr != nil {
		t.Fatalf("%s: accepted %x, which the generated code refuses: %v", c.name, b, wantErr)
	}
	if !c.normal(want) {
		t.Fatalf("%s: accepted %x, whose numbers do not fit", c.name, b)
	}
	if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
		t.Fatalf("%s: %x reads differently (-generated +hand):\n%s", c.name, b, d)
	}
	canonical, err := (proto.MarshalOptions{Deterministic: true}).Marshal(want)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	if !stdbytes.Equal(canonical, encoded) || size != len(encoded) {
		t.Fatalf("%s: encoded\n%x, announced %d bytes, want\n%x", c.name, encoded, size, canonical)
	}
}

// checkCanonical is for input that only the generated code took, which may
// only be for a number cut off on the way: what it read is fine for both.
func (c *codec) checkCanonical(t *testing.T, m proto.Message, why string, b []byte) {
	t.Helper()
	canonical, err := proto.Marshal(m)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	if stdbytes.Equal(canonical, b) {
		t.Fatalf("%s: %x is canonical, yet %s", c.name, b, why)
	}
	if _, encoded, _, err := c.decode(canonical); err != nil || !stdbytes.Equal(encoded, canonical) {
		t.Fatalf("%s: canonical %x read with %v and written as %x", c.name, canonical, err, encoded)
	}
}

func TestHandCodedMatchesGenerated(t *testing.T) {
	for i := range codecs {
		c := &codecs[i]
		t.Run(c.name, func(t *testing.T) {
			for _, b := range seeds() {
				for n := range len(b) + 1 {
					c.check(t, b[:n])
				}
			}
		})
	}
}

func FuzzHandCodedMatchesGenerated(f *testing.F) {
	for _, b := range seeds() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for i := range codecs {
			codecs[i].check(t, b)
		}
	})
}

// FuzzEntryValues goes the other way: from values to bytes to values.
func FuzzEntryValues(f *testing.F) {
	f.Add(uint64(1), uint8(1), uint64(2), true, int64(3), uint64(4), uint32(5), uint64(6), uint8(1), []byte("x"), uint8(0), uint8(0))
	f.Add(uint64(0), uint8(0), uint64(0), false, int64(-1), uint64(0), uint32(0), uint64(0), uint8(0), []byte(nil), uint8(6), uint8(255))
	f.Fuzz(func(t *testing.T, seq uint64, kind uint8, peer uint64, out bool, ms int64, pair uint64,
		dev uint32, cseq uint64, typ uint8, body []byte, contact, refusal uint8) {
		m := Entry{
			Seq: im.Seq(seq), Kind: kind, Peer: im.UserID(peer), Outgoing: out, Time: im.Millis(ms),
			PairID: pair, Device: im.DeviceID(dev), ClientSeq: im.ClientSeq(cseq),
			Content: im.Content{Type: im.ContentType(typ), Body: body},
			Contact: contact, Refusal: im.ErrorKind(refusal), Trace: im.TraceID(pair),
		}
		if out {
			m.Money = &Money{Event: im.MoneyEvent(kind), Cents: im.Cents(ms), Balance: im.Cents(seq), Prev: im.Seq(cseq), Ref: peer,
				Total: im.Cents(pair), Shares: dev, Rule: im.SplitRule(typ), Expires: im.Millis(ms), Receivers: dev}
		}
		want, err := proto.Marshal(protoEntry(&m))
		if err != nil {
			t.Fatal(err)
		}
		got := AppendEntry(nil, &m)
		if !stdbytes.Equal(got, want) || SizeEntry(&m) != len(got) {
			t.Fatalf("encoded\n%x, announced %d bytes, want\n%x", got, SizeEntry(&m), want)
		}
		var back Entry
		if err := back.Unmarshal(want); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(protoEntry(&m), protoEntry(&back), protocmp.Transform()); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzDeliver(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte{0x0a, 0x00, 0x0a, 0x02, 0x08, 0x01})
	f.Add([]byte{0x0a, 0x05, 0x08})
	f.Fuzz(func(t *testing.T, b []byte) {
		var entries [][]byte
		err := RangeDeliver(b, func(e []byte) error {
			entries = append(entries, e)
			return nil
		})
		if err != nil {
			if im.KindOf(err) != im.Invalid {
				t.Fatalf("error %v is not Invalid", err)
			}
			return
		}
		out := AppendDeliver(nil, entries)
		if len(out) != SizeDeliver(entries) {
			t.Fatalf("announced %d bytes, wrote %d", SizeDeliver(entries), len(out))
		}
		i := 0
		err = RangeDeliver(out, func(e []byte) error {
			if !stdbytes.Equal(e, entries[i]) {
				t.Fatalf("entry %d is %x, want %x", i, e, entries[i])
			}
			i++
			return nil
		})
		if err != nil || i != len(entries) {
			t.Fatalf("read %d of %d entries back: %v", i, len(entries), err)
		}
	})
}
