package relay

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/releases"
	"github.com/skein-im/skein/internal/wire"
)

// TestRelaysOfReleases: this version reads every frame between two relays of an
// earlier release, and says the same in the same bytes, so that the earlier one
// reads it.
func TestRelaysOfReleases(t *testing.T) {
	releases.Each(t, "../..", "relay-up", func(t *testing.T, r releases.Release) {
		seen := map[wire.Type]int{}
		err := r.Walk("relay", func(rest []byte) (int, error) {
			typ, payload, n, err := wire.Parse(rest, maxFrame)
			if n > 0 {
				seen[typ]++
				if again := sayAgain(t, typ, payload); !bytes.Equal(again, payload) {
					t.Errorf("frame %d, %x, is written as %x", typ, payload, again)
				}
			}
			return n, err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, typ := range []wire.Type{typeHello, typeWelcome, typeBatch, typeAck} {
			if seen[typ] == 0 {
				t.Errorf("there is no frame %d in it", typ)
			}
		}
	})
}

// sayAgain reads a payload and writes it as this version does. A batch may be
// compressed in many ways: what is in it counts.
func sayAgain(t *testing.T, typ wire.Type, payload []byte) []byte {
	t.Helper()
	switch typ {
	case typeHello, typeWelcome:
		g, err := readGreeting(payload)
		if err != nil {
			t.Fatal(err)
		}
		return g.append(nil)
	case typeAck:
		number, n := binary.Uvarint(payload)
		if n <= 0 {
			t.Fatalf("an ack is %x", payload)
		}
		return binary.AppendUvarint(nil, number)
	case typeBatch:
		sameBatch(t, payload)
	case wire.TypePing:
	default:
		t.Fatalf("frame %d is not known", typ)
	}
	return payload
}

func sameBatch(t *testing.T, payload []byte) {
	t.Helper()
	pack, err := newPacker()
	if err != nil {
		t.Fatal(err)
	}
	defer pack.close()
	_, n := binary.Uvarint(payload)
	raw, err := pack.unpack(payload[n:])
	if err != nil {
		t.Fatal(err)
	}
	var again []byte
	if err := readBatch(raw, func(m *entity.Message, hops uint8) { again = appendMessage(again, m, hops) }); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, raw) {
		t.Errorf("messages %x are written as %x", raw, again)
	}
}
