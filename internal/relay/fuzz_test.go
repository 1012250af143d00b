package relay

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/skein-im/skein/internal/entity"
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

func FuzzGreeting(f *testing.F) {
	hello := greeting{version: 1, stream: 7, received: 3, places: Places{Links: []string{"a:1"}, HTTP: []string{"http://a"}}}
	f.Add(hello.append(nil))
	f.Add([]byte{8, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, in []byte) {
		g, err := readGreeting(in)
		if err != nil {
			return
		}
		if again, err := readGreeting(g.append(nil)); err != nil || !reflect.DeepEqual(g, again) {
			t.Fatalf("%+v is read as %+v (%v)", g, again, err)
		}
	})
}
