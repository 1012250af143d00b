package wire

import (
	stdbytes "bytes"
	"encoding/binary"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

func TestHeartbeatIsTwoBytes(t *testing.T) {
	if got := AppendPing(nil); !stdbytes.Equal(got, []byte{1, 0}) || !stdbytes.Equal(got, AppendFrame(nil, TypePing, nil)) {
		t.Errorf("ping = %x", got)
	}
	if got := AppendPong(nil); !stdbytes.Equal(got, []byte{2, 0}) || !stdbytes.Equal(got, AppendFrame(nil, TypePong, nil)) {
		t.Errorf("pong = %x", got)
	}
}

func TestParse(t *testing.T) {
	big := AppendFrame(nil, TypeSend, make([]byte, 200))
	for _, tc := range []struct {
		name string
		buf  []byte
		typ  Type
		size int
		n    int
		kind im.ErrorKind
	}{
		{name: "nothing"},
		{name: "a type", buf: []byte{5}},
		{name: "half a length", buf: []byte{5, 0x80}},
		{name: "four fifths of a length", buf: []byte{5, 0x80, 0x80, 0x80, 0x80}},
		{name: "no payload yet", buf: []byte{5, 1}},
		{name: "half a payload", buf: big[:100]},
		{name: "whole", buf: big, typ: TypeSend, size: 200, n: 203},
		{name: "whole and more", buf: append(big[:203:203], 9, 9), typ: TypeSend, size: 200, n: 203},
		{name: "unknown type", buf: []byte{200, 0}, typ: 200, n: 2},
		{name: "longer length than needed", buf: []byte{5, 0x81, 0x80, 0x80, 0x80, 0x00, 7}, typ: TypeSend, size: 1, n: 7},
		{name: "endless length", buf: []byte{5, 0x80, 0x80, 0x80, 0x80, 0x80}, kind: im.Invalid},
		{name: "over the limit by one", buf: []byte{5, 0xad, 0x02}, kind: im.TooLarge},
		{name: "at the limit", buf: []byte{5, 0xac, 0x02}},
		{name: "over 32 bits", buf: []byte{5, 0xff, 0xff, 0xff, 0xff, 0x7f}, kind: im.TooLarge},
		{name: "over the limit before its end", buf: []byte{5, 0xff, 0xff}, kind: im.TooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			typ, payload, n, err := Parse(tc.buf, 300)
			if im.KindOf(err) != tc.kind {
				t.Fatalf("error %v, want %v", err, tc.kind)
			}
			if typ != tc.typ || len(payload) != tc.size || n != tc.n {
				t.Fatalf("type %v, %d payload bytes, %d in all; want %v, %d, %d", typ, len(payload), n, tc.typ, tc.size, tc.n)
			}
			if cap(payload) != len(payload) {
				t.Errorf("appending to the payload would overwrite the next frame")
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{5, 3, 1, 2, 3}, 64)
	f.Add([]byte{5, 0x83, 0x80, 0x00, 1, 2, 3}, 3)
	f.Add([]byte{5, 0xff, 0xff, 0xff, 0xff, 0xff}, 1<<20)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		limit &= 1<<24 - 1
		typ, payload, n, err := Parse(b, limit)
		length, used := uint64(0), 0
		if len(b) > 0 {
			length, used = binary.Uvarint(b[1:])
		}
		whole := used > 0 && used <= 5 && length <= uint64(limit) && uint64(len(b)-1-used) >= length
		if (n > 0) != whole {
			t.Fatalf("n = %d, error %v; length %d in %d bytes", n, err, length, used)
		}
		if n == 0 {
			return
		}
		if err != nil || typ != Type(b[0]) || !stdbytes.Equal(payload, b[1+used:n]) {
			t.Fatalf("read %v %x, %v from %x", typ, payload, err, b)
		}
		again, p2, n2, err := Parse(AppendFrame(nil, typ, payload), limit)
		if err != nil || again != typ || n2 != 1+len(binary.AppendUvarint(nil, length))+len(payload) || !stdbytes.Equal(p2, payload) {
			t.Fatalf("written and read again: %v %x %d %v", again, p2, n2, err)
		}
	})
}

func TestFrameAppenders(t *testing.T) {
	entries := [][]byte{AppendEntry(nil, &Entry{Seq: 1}), nil, make([]byte, 300)}
	for _, tc := range []struct {
		frame, payload []byte
		typ            Type
	}{
		{AppendSendFrame(nil, &Send{To: 1, ClientSeq: 2}), AppendSend(nil, &Send{To: 1, ClientSeq: 2}), TypeSend},
		{AppendSendAckFrame(nil, &SendAck{Seq: 2}), AppendSendAck(nil, &SendAck{Seq: 2}), TypeSendAck},
		{AppendAckFrame(nil, &Ack{Seq: 400}), AppendAck(nil, &Ack{Seq: 400}), TypeAck},
		{AppendPullFrame(nil, &Pull{Seq: 400}), AppendPull(nil, &Pull{Seq: 400}), TypePull},
		{AppendShakeFrame(nil, &Shake{ID: 1, Campaign: 2}), AppendShake(nil, &Shake{ID: 1, Campaign: 2}), TypeShake},
		{AppendShakenFrame(nil, &Shaken{ID: 400}), AppendShaken(nil, &Shaken{ID: 400}), TypeShaken},
		{AppendDeliverFrame(nil, entries), AppendDeliver(nil, entries), TypeDeliver},
	} {
		if want := AppendFrame(nil, tc.typ, tc.payload); !stdbytes.Equal(tc.frame, want) {
			t.Errorf("%v: frame %x, want %x", tc.typ, tc.frame, want)
		}
	}
}

func TestRangeDeliverStopsAtTheCallersError(t *testing.T) {
	stop := errors.New("stop")
	calls := 0
	err := RangeDeliver(AppendDeliver(nil, [][]byte{{1}, {2}}), func([]byte) error {
		calls++
		return stop
	})
	if err != stop || calls != 1 {
		t.Errorf("%d calls, error %v", calls, err)
	}
}

func TestDeliverMatchesGenerated(t *testing.T) {
	msg := &skeinv1.Deliver{Entries: []*skeinv1.Entry{{Seq: 1}, {}, {Seq: 3, Content: &skeinv1.Content{Type: 1, Body: make([]byte, 500)}}}}
	var entries [][]byte
	for _, e := range msg.Entries {
		b, err := proto.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, b)
	}
	want, err := proto.Marshal(msg)
	if err != nil {
		t.Fatal(err)
	}
	if got := AppendDeliver(nil, entries); !stdbytes.Equal(got, want) {
		t.Errorf("encoded\n%x, want\n%x", got, want)
	}
}

func TestMessages(t *testing.T) {
	cursor := uint64(0)
	want := &skeinv1.Hello{Version: 1, Token: "t", Cursor: &cursor}
	frame, err := AppendMessage([]byte("kept"), TypeHello, want)
	if err != nil {
		t.Fatal(err)
	}
	typ, payload, n, err := Parse(frame[4:], 1<<10)
	if err != nil || typ != TypeHello || n != len(frame)-4 {
		t.Fatalf("frame of %v, %d bytes, %v", typ, n, err)
	}
	got := new(skeinv1.Hello)
	if err := UnmarshalMessage(payload, got); err != nil || !proto.Equal(got, want) {
		t.Errorf("read %v, %v", got, err)
	}
	if err := UnmarshalMessage([]byte{0x0a}, got); im.KindOf(err) != im.Invalid {
		t.Errorf("malformed input: %v", err)
	}
	if out, err := AppendMessage([]byte("kept"), TypeHello, &skeinv1.Hello{Token: "\xff"}); im.KindOf(err) != im.Invalid || string(out) != "kept" {
		t.Errorf("text that is not UTF-8: %q, %v", out, err)
	}
}

func TestErrorsSurviveTheWire(t *testing.T) {
	for _, e := range []*im.Error{nil, {}, {Kind: im.Busy, Detail: "full", RetryAfterMS: 5}, {Kind: im.SequenceGap, Expected: 9}} {
		if got := ErrorFromProto(ErrorToProto(e)); (got == nil) != (e == nil) || got != nil && *got != *e {
			t.Errorf("generated: %v became %v", e, got)
		}
		var ack SendAck
		if err := ack.Unmarshal(AppendSendAck(nil, &SendAck{Error: e})); err != nil {
			t.Fatal(err)
		}
		if got := ack.Error; (got == nil) != (e == nil) || got != nil && *got != *e {
			t.Errorf("hand-coded: %v became %v", e, got)
		}
	}
	if got := ErrorFromProto(&skeinv1.Error{Kind: 300}); got.Kind != im.Internal {
		t.Errorf("kind 300 became %v", got.Kind)
	}
	// A detail that is not UTF-8 must not make the whole answer unreadable.
	var ack SendAck
	if err := ack.Unmarshal(AppendSendAck(nil, &SendAck{Error: &im.Error{Detail: "a\xffb"}})); err != nil || ack.Error.Detail != "a\uFFFDb" {
		t.Errorf("detail %v, %v", ack.Error, err)
	}
}

func TestTypeNames(t *testing.T) {
	for typ := TypePing; typ < Types; typ++ {
		if !typ.Known() || typ.String() == "" {
			t.Errorf("type %d has no name", typ)
		}
	}
	if Type(0).Known() || Type(Types).Known() || Type(99).String() != "type99" {
		t.Error("unknown types pass for known")
	}
}
