package relay

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/wire"
)

// Whatever a peer sends, reading it ends, in bounded memory, and what is read as
// a batch is the same when written again.
func FuzzBatch(f *testing.F) {
	pack, err := newPacker()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(pack.close)
	var raw []byte
	for i := range 3 {
		raw = appendMessage(raw, message(i+1), uint8(i))
	}
	f.Add(pack.pack(nil, raw), false)
	f.Add(raw, true)
	f.Add([]byte{1, 0}, true)
	f.Fuzz(func(t *testing.T, in []byte, unpacked bool) {
		if !unpacked {
			out, err := pack.unpack(in)
			if err != nil {
				return
			}
			if len(out) > maxRaw {
				t.Fatalf("%d bytes are unpacked to %d", len(in), len(out))
			}
			in = out
		}
		var again []byte
		err := readBatch(in, func(m *entity.Message, hops uint8) { again = appendMessage(again, m, hops) })
		if err != nil {
			return
		}
		var third []byte
		if err := readBatch(again, func(m *entity.Message, hops uint8) { third = appendMessage(third, m, hops) }); err != nil || !bytes.Equal(again, third) {
			t.Fatalf("%x is read as %x, which is read as %x (%v)", in, again, third, err)
		}
	})
}

func FuzzFrame(f *testing.F) {
	hello := greeting{version: 1, stream: 7, received: 3, places: Places{Links: []string{"a:1"}, HTTP: []string{"http://a"}}}
	f.Add(wire.AppendFrame(nil, typeHello, hello.append(nil)))
	f.Add(wire.AppendPing(nil))
	f.Add([]byte{64, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReader(bytes.NewReader(in))
		var buf []byte
		for {
			_, payload, err := readFrame(r, buf, maxGreeting)
			if err != nil {
				return
			}
			if len(payload) > maxGreeting {
				t.Fatalf("a frame of %d bytes", len(payload))
			}
			buf = payload
			g, err := readGreeting(payload)
			if err != nil {
				continue
			}
			if again, err := readGreeting(g.append(nil)); err != nil || again.stream != g.stream || len(again.places.Links) != len(g.places.Links) {
				t.Fatalf("%+v is read as %+v (%v)", g, again, err)
			}
		}
	})
}
