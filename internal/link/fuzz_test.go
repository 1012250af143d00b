package link

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/gobwas/ws"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

const fuzzLimit = 300

// decode runs a decoder over data that arrives in steps, and writes down what
// it found.
func decode(t *testing.T, side ws.State, data []byte, step int) string {
	d := decoder{buf: newBuffer(nil)}
	if side != 0 {
		d.ws = &wsDecoder{side: side}
	}
	src := &untilEOF{trickle{bytes.Clone(data), step}}
	var log bytes.Buffer
	for {
		ev, typ, p, err := d.next(fuzzLimit)
		if err != nil {
			if kind := im.KindOf(err); kind != im.Invalid && kind != im.TooLarge {
				t.Fatalf("error %v", err)
			}
			fmt.Fprintf(&log, "error %v", im.KindOf(err))
			return log.String()
		}
		if ev != more {
			if len(p) > fuzzLimit {
				t.Fatalf("a payload of %d bytes", len(p))
			}
			fmt.Fprintf(&log, "%d %d %x\n", ev, typ, p)
			continue
		}
		if d.need <= d.buf.w-d.buf.r {
			t.Fatalf("%d bytes are there, %d would do", d.buf.w-d.buf.r, d.need)
		}
		if err := d.read(src); errors.Is(err, io.EOF) {
			fmt.Fprintf(&log, "%d missing", d.need-(d.buf.w-d.buf.r))
			return log.String()
		}
	}
}

// untilEOF is a trickle that ends.
type untilEOF struct{ trickle }

func (r *untilEOF) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	return r.trickle.Read(p)
}

// FuzzDecoder: the cuts between reads must not matter.
func FuzzDecoder(f *testing.F) {
	frames := wire.AppendFrame(hello(3), wire.TypeSend, make([]byte, 200))
	f.Add(frames)
	f.Add(append(frames, 5, 0x80, 0x80, 0x80, 0x80, 0x80))
	f.Add(join(packet(binaryPart, helloMessage), packet(pingFinal, "p"), packet(partFinal, "\x01\x00"), packet(closeFinal, "\x03\xe8")))
	f.Add(appendPacket(nil, ws.OpBinary, frames))
	f.Add(packet(fin|byte(ws.OpText), helloMessage))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, side := range []ws.State{0, ws.StateServerSide, ws.StateClientSide} {
			whole := decode(t, side, data, len(data)+1)
			for _, step := range []int{1, 2, 7, 1000} {
				if got := decode(t, side, data, step); got != whole {
					t.Fatalf("side %d: in steps of %d\n%s\nat once\n%s", side, step, got, whole)
				}
			}
		}
	})
}
