package standby

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/skein-im/skein/internal/releases"
	"github.com/skein-im/skein/internal/wire"
)

// TestStandbysOfReleases: this version reads every frame between a region and its
// standby of an earlier release, and says the same in the same bytes, so that the
// earlier one reads it.
func TestStandbysOfReleases(t *testing.T) {
	all, err := releases.All("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if !r.Has("standby-up") {
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			seen := map[wire.Type]int{}
			for _, name := range []string{"standby-up", "standby-down"} {
				b, err := r.Stream(name)
				if err != nil {
					t.Fatal(err)
				}
				for len(b) > 0 {
					typ, payload, n, err := wire.Parse(b, maxFrame)
					if err != nil || n == 0 {
						t.Fatalf("%s ends with half a frame: %v", name, err)
					}
					b = b[n:]
					seen[typ]++
					sayAgain(t, typ, payload)
				}
			}
			for _, typ := range []wire.Type{frameHello, frameAsk, framePositions, frameChanges, frameCopyBegin, frameEntity, frameCopyEnd} {
				if seen[typ] == 0 {
					t.Errorf("there is no frame %d in it, but %v", typ, seen)
				}
			}
		})
	}
}

func sayAgain(t *testing.T, typ wire.Type, payload []byte) {
	t.Helper()
	m := messageOf(typ)
	if m == nil {
		if typ != framePing {
			t.Fatalf("frame %d is not known", typ)
		}
		return
	}
	if err := proto.Unmarshal(payload, m); err != nil || len(m.ProtoReflect().GetUnknown()) > 0 {
		t.Fatalf("frame %d is read as %v, %v", typ, m, err)
	}
	again, err := appendFrame(nil, typ, m)
	if err != nil || !bytes.HasSuffix(again, payload) {
		t.Errorf("frame %d, %x, is written as %x, %v", typ, payload, again, err)
	}
}
