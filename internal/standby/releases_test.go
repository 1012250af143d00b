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
	releases.Each(t, "../..", "standby-up", func(t *testing.T, r releases.Release) {
		seen := map[wire.Type]int{}
		err := r.Walk("standby", func(rest []byte) (int, error) {
			typ, payload, n, err := wire.Parse(rest, maxFrame)
			if n > 0 {
				seen[typ]++
				sayAgain(t, typ, payload)
			}
			return n, err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, typ := range []wire.Type{frameHello, frameAsk, framePositions, frameChanges, frameCopyBegin, frameEntity, frameCopyEnd} {
			if seen[typ] == 0 {
				t.Errorf("there is no frame %d in it, but %v", typ, seen)
			}
		}
	})
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
