//go:build linux

package swarm

import (
	"testing"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
)

// FuzzWelcome compares what is read of a Welcome with the generated code.
func FuzzWelcome(f *testing.F) {
	for _, w := range []*skeinv1.Welcome{
		{}, {User: 1 << 30, Device: 1, Name: "x", Head: 9, Cursor: 8, ClientSeq: 7, HeartbeatMs: 60_000, TimeMs: -1, SendWindow: 256},
	} {
		b, err := proto.Marshal(w)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0x08})
	f.Add([]byte{0x0b, 0x0c})
	f.Fuzz(func(t *testing.T, b []byte) {
		var w [10]uint64
		if !numbers(b, w[:]) {
			return
		}
		var want skeinv1.Welcome
		if proto.Unmarshal(b, &want) != nil {
			// It also minds text that is not UTF-8, and groups.
			return
		}
		if w[welcomeUser] != want.GetUser() || w[welcomeCursor] != want.GetCursor() ||
			w[welcomeClientSeq] != want.GetClientSeq() || uint32(w[welcomeHeartbeat]) != want.GetHeartbeatMs() {
			t.Errorf("read %v of %v", w, &want)
		}
	})
}
