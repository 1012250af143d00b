package wire

import (
	stdbytes "bytes"
	"testing"

	"github.com/skein-im/skein/internal/im"
)

func TestEntryTrace(t *testing.T) {
	e := Entry{Seq: 7, Kind: EntryMessage, Peer: 5, Content: im.Content{Type: im.ContentText, Body: []byte("hello")}, Trace: 1<<63 | 99}
	if id, seq := EntryTrace(AppendEntry(nil, &e)); id != e.Trace || seq != 7 {
		t.Errorf("trace %v of entry %d", id, seq)
	}
	e.Trace = 0
	if id, _ := EntryTrace(AppendEntry(nil, &e)); id != 0 {
		t.Errorf("an entry without one has trace %v", id)
	}
	// A body that ends as a trace would is none.
	e.Content = im.Content{Type: im.ContentCustom, Body: append([]byte{traceLow, traceHigh}, "12345678"...)}
	if id, _ := EntryTrace(AppendEntry(nil, &e)); id != 0 {
		t.Errorf("a body passes for trace %v", id)
	}
	for n := range traceSize + 1 {
		if id, _ := EntryTrace(stdbytes.Repeat([]byte{traceLow}, n)); id != 0 {
			t.Errorf("%d bytes of nothing have trace %v", n, id)
		}
	}
}

func FuzzEntryTrace(f *testing.F) {
	for _, b := range seeds() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		id, seq := EntryTrace(b)
		var m Entry
		if err := m.Unmarshal(b); id != 0 && (err != nil || m.Trace != id || m.Seq != seq) {
			t.Fatalf("trace %v of entry %d, but the entry is %+v (%v)", id, seq, m, err)
		}
		if again, _ := EntryTrace(AppendEntry(nil, &m)); again != m.Trace {
			t.Fatalf("trace %v is read as %v", m.Trace, again)
		}
	})
}

func BenchmarkEntryTrace(b *testing.B) {
	e := AppendEntry(nil, &Entry{Seq: 7, Kind: EntryMessage, Peer: 5, Content: im.Content{Type: im.ContentText, Body: make([]byte, 256)}})
	for b.Loop() {
		EntryTrace(e)
	}
}
