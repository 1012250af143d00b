package link

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// small is room for little.
var small = Config{
	MaxBytes: 1 << 20, MaxLoopBytes: 1 << 20, FirstFrame: im.MaxClientFrame,
	StallTimeout: time.Hour, CloseTimeout: 50 * time.Millisecond,
}

// TestSlowReadersTogether: each is within its own limit; those who ask for more
// when all hold too much are closed, and who reads is served.
func TestSlowReadersTogether(t *testing.T) {
	for _, kind := range both("tcp", "tls", "ws") {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, small, func(r *recorder) {
				r.onFrame = func(c Conn, typ wire.Type, p []byte) {
					if typ == wire.TypeSend {
						echo(c, typ, p)
					}
				}
			})
			good := r.dial(t)
			mustWrite(t, good, hello(0))
			wait(t, r.opened, "connection")
			frames := wire.AppendFrame(nil, wire.TypeDeliver, make([]byte, 50000))
			for range 3 {
				mustWrite(t, r.dial(t), hello(0))
				slow := wait(t, r.opened, "connection")
				for slow.Send(frames) == nil {
				}
				var e *CloseError
				if err := wait(t, r.closed, "end"); !errors.As(err, &e) || e.Code != im.CloseOverloaded {
					t.Errorf("closed with %v", err)
				}
				mustWrite(t, good, wire.AppendFrame(nil, wire.TypeSend, []byte("still here")))
				if _, p := mustRead(t, good); string(p) != "still here" {
					t.Errorf("got %q", p)
				}
			}
			if st := r.srv.Stats(); st.Overloaded != 3 || st.Slow != 0 || st.Held > 3<<20 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestPartsTogether: frames, or messages in fragments, whose end does not come.
func TestPartsTogether(t *testing.T) {
	part := append(wire.AppendHeader(nil, wire.TypeSend, 100000), make([]byte, 60000)...)
	for _, kind := range both("tcp", "ws") {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, small, nil)
			good := r.dial(t)
			mustWrite(t, good, hello(0))
			wait(t, r.frames, "frame")
			for range 30 {
				c := r.dial(t)
				part := encode(c, part)
				if r.kind == "ws" {
					part[0] &^= fin
				}
				// It may be closed before it has got all of it.
				_, _ = c.nc.Write(join(encode(c, hello(0)), part))
				wait(t, r.frames, "frame")
			}
			until(t, "overload", func() bool { return r.srv.Stats().Overloaded > 5 })
			if n := r.srv.Stats().Held; n > 3<<20 {
				t.Errorf("%d bytes are held", n)
			}
			mustWrite(t, good, hello(3))
			wait(t, r.frames, "frame of the first")
		})
	}
}

// TestHandshakesTogether: half of each does not take more than there is.
func TestHandshakesTogether(t *testing.T) {
	for _, kind := range both("tls") {
		t.Run(kind, func(t *testing.T) {
			cfg := small
			cfg.HandshakeTimeout = 300 * time.Millisecond
			r := newRig(t, kind, cfg, nil)
			good := r.dial(t)
			mustWrite(t, good, hello(0))
			wait(t, r.frames, "frame")
			for range 100 {
				_, _ = io.WriteString(r.rawDial(t), "\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03")
			}
			until(t, "connections", func() bool { return r.srv.Stats().Accepted+r.srv.Stats().Refused == 101 })
			if n := r.srv.Stats().Held; n > 3<<20 {
				t.Errorf("%d bytes are held", n)
			}
			mustWrite(t, good, hello(3))
			wait(t, r.frames, "frame of another")
			until(t, "end of the handshakes", func() bool { return r.srv.Stats().HandshakeFailed == 100 })
			// There is room again.
			mustWrite(t, r.dial(t), hello(0))
			wait(t, r.frames, "frame")
		})
	}
}
