//go:build linux

package swarm

import (
	"bytes"
	"io"
	"testing"

	"github.com/gobwas/ws"
)

// FuzzServerPacket: packets are cut off whole or not at all, as the library that
// servers use would.
func FuzzServerPacket(f *testing.F) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		f.Add(ws.MustCompileFrame(ws.NewBinaryFrame(make([]byte, n))))
	}
	f.Add(ws.MustCompileFrame(ws.NewPingFrame([]byte("x"))))
	f.Add(ws.MustCompileFrame(ws.MaskFrame(ws.NewBinaryFrame([]byte("x")))))
	f.Add([]byte{0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		op, payload, n, ok := serverPacket(b)
		if n < 0 || n > len(b) || len(payload) > n || !ok && n > 0 {
			t.Fatalf("%d bytes of %d, %d of payload, %v", n, len(b), len(payload), ok)
		}
		if n == 0 {
			return
		}
		frame, err := readPacket(bytes.NewReader(b))
		if err != nil || frame.Header.OpCode != op || !bytes.Equal(frame.Payload, payload) {
			t.Errorf("%v with %d bytes, the library: %v, %v", op, len(payload), frame.Header, err)
		}
	})
}

// TestClientPacket: what is sent can be read by the library.
func TestClientPacket(t *testing.T) {
	m, err := newMember(*oneConn("127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.stop()
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		payload := bytes.Repeat([]byte("ab"), n)[:n]
		frame, err := readPacket(bytes.NewReader(m.appendPacket(nil, ws.OpBinary, payload)))
		if err != nil || !frame.Header.Masked || !frame.Header.Fin {
			t.Fatalf("%d bytes: %+v, %v", n, frame.Header, err)
		}
		if frame = ws.UnmaskFrame(frame); !bytes.Equal(frame.Payload, payload) {
			t.Errorf("%d bytes come out differently", n)
		}
	}
}

// readPacket reads one packet of the WebSocket protocol from who is trusted.
func readPacket(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	if f.Header.Length > 1<<20 {
		return f, io.ErrUnexpectedEOF
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}
