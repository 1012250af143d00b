package wire

import (
	"testing"

	"github.com/skein-im/skein/internal/im"
)

// hot are the operations every message passes through, each on buffers that
// exist already.
func hot() map[string]func() {
	body := im.Content{Type: im.ContentText, Body: make([]byte, 256)}
	entry := Entry{Seq: 1 << 20, Kind: EntryMessage, Peer: 1 << 33, Time: 1790000000000, PairID: 300, Content: body}
	send := Send{To: 1 << 33, ClientSeq: 5000, Content: body}
	ack := SendAck{ClientSeq: 5000, Seq: 1 << 20, Time: 1790000000000, InTimeline: true, PairID: 300}
	encEntry, encSend, encAck := AppendEntry(nil, &entry), AppendSend(nil, &send), AppendSendAck(nil, &ack)
	frame := AppendSendFrame(nil, &send)
	shake, shaken := Shake{ID: 300, Campaign: 1 << 63}, Shaken{ID: 300, Shaken: im.Shaken{Outcome: im.ShakeWon, Cents: 500}}
	encShake, encShaken := AppendShake(nil, &shake), AppendShaken(nil, &shaken)
	entries := [][]byte{encEntry, encEntry, encEntry, encEntry}
	deliver := AppendDeliver(nil, entries)
	buf := make([]byte, 0, 4096)
	count := 0
	return map[string]func(){
		"append_entry":     func() { AppendEntry(buf, &entry) },
		"append_send":      func() { AppendSendFrame(buf, &send) },
		"append_send_ack":  func() { AppendSendAckFrame(buf, &ack) },
		"append_ack":       func() { AppendAckFrame(buf, &Ack{Seq: 1 << 20}) },
		"append_deliver_4": func() { AppendDeliverFrame(buf, entries) },
		"append_shake":     func() { AppendShakeFrame(buf, &shake) },
		"append_shaken":    func() { AppendShakenFrame(buf, &shaken) },
		"read_shake":       func() { var m Shake; must(m.Unmarshal(encShake)) },
		"read_shaken":      func() { var m Shaken; must(m.Unmarshal(encShaken)) },
		"read_entry":       func() { var m Entry; must(m.Unmarshal(encEntry)) },
		"read_send":        func() { var m Send; must(m.Unmarshal(encSend)) },
		"read_send_ack":    func() { var m SendAck; must(m.Unmarshal(encAck)) },
		"read_deliver_4":   func() { must(RangeDeliver(deliver, func([]byte) error { count++; return nil })) },
		"parse":            func() { _, _, _, err := Parse(frame, im.MaxClientFrame); must(err) },
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	for name, op := range hot() {
		if n := testing.AllocsPerRun(100, op); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkHot(b *testing.B) {
	for name, op := range hot() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				op()
			}
		})
	}
}
