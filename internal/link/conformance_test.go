package link

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

func TestEchoInOrder(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{FirstFrame: im.MaxClientFrame}, func(r *recorder) { r.onFrame = echo })
		c := r.dial(t)
		rnd := rand.New(rand.NewPCG(1, 2))
		sizes := make([]int, 3000)
		for i := range sizes {
			sizes[i] = 4 + rnd.IntN(200)
			if i%500 == 7 {
				sizes[i] = 4 + rnd.IntN(im.MaxClientFrame-4)
			}
		}
		written := make(chan error, 1)
		go func() { written <- writeNumbered(c, sizes) }()
		for i, size := range sizes {
			typ, p := mustRead(t, c)
			if typ != wire.TypeSend || len(p) != size || binary.BigEndian.Uint32(p) != uint32(i) {
				t.Fatalf("frame %d came back as %v of %d bytes", i, typ, len(p))
			}
		}
		if err := wait(t, written, "end of writing"); err != nil {
			t.Fatal(err)
		}
	})
}

// writeNumbered writes numbered frames, up to 50 at a time.
func writeNumbered(c *ClientConn, sizes []int) error {
	var buf []byte
	for i, size := range sizes {
		p := make([]byte, size)
		binary.BigEndian.PutUint32(p, uint32(i))
		buf = wire.AppendFrame(buf, wire.TypeSend, p)
		if i%50 == 49 || i == len(sizes)-1 {
			if err := c.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	return nil
}

// encode is frames as they travel on c.
func encode(c *ClientConn, frames []byte) []byte {
	if c.in.ws != nil {
		return appendMasked(nil, ws.OpBinary, frames)
	}
	return frames
}

func TestFramesSplitAnywhere(t *testing.T) {
	frames := wire.AppendFrame(hello(3), wire.TypeSend, make([]byte, 300))
	frames = wire.AppendPing(frames)
	want := []frame{{wire.TypeHello, "\x00\x00\x00"}, {wire.TypeSend, strings.Repeat("\x00", 300)}, {wire.TypePing, ""}}
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, nil)
		c := r.dial(t)
		b := encode(c, frames)
		expect := func(how string) {
			t.Helper()
			for _, w := range want {
				if got := wait(t, r.frames, "frame"); got != w {
					t.Fatalf("%s: got %v of %d bytes, want %v of %d", how, got.t, len(got.payload), w.t, len(w.payload))
				}
			}
		}
		for i := range b {
			if _, err := c.nc.Write(b[i : i+1]); err != nil {
				t.Fatal(err)
			}
		}
		expect("byte by byte")
		for cut := range b {
			for _, part := range [][]byte{b[:cut], b[cut:]} {
				if _, err := c.nc.Write(part); err != nil {
					t.Fatal(err)
				}
			}
			expect("in two parts")
		}
	})
}

func TestConcurrentSends(t *testing.T) {
	const senders, each = 8, 200
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, nil)
		c := r.dial(t)
		mustWrite(t, c, hello(0))
		conn := wait(t, r.opened, "connection")
		var wg sync.WaitGroup
		for s := range senders {
			wg.Go(func() {
				for i := range each {
					if err := conn.Send(wire.AppendFrame(nil, wire.TypeDeliver, []byte{byte(s), byte(i)})); err != nil {
						t.Error(err)
					}
				}
			})
		}
		var next [senders]int
		for range senders * each {
			_, p := mustRead(t, c)
			if int(p[1]) != next[p[0]] {
				t.Fatalf("sender %d: frame %d instead of %d", p[0], p[1], next[p[0]])
			}
			next[p[0]]++
		}
		wg.Wait()
	})
}

func TestCloseIsTheLastFrame(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, func(r *recorder) {
			r.onFrame = func(c Conn, typ wire.Type, p []byte) {
				echo(c, typ, p)
				if typ == wire.TypePull {
					c.CloseRetry(im.CloseUnavailable, "not now", 1500*time.Millisecond)
					c.Close(im.CloseInternal, "a second goodbye")
					if err := c.Send(wire.AppendPong(nil)); !errors.Is(err, ErrClosed) {
						t.Errorf("sending after Close: %v", err)
					}
				}
			}
		})
		c := r.dial(t)
		frames := wire.AppendPing(hello(1))
		frames = wire.AppendFrame(frames, wire.TypePull, nil)
		mustWrite(t, c, wire.AppendFrame(frames, wire.TypeSend, []byte("must not be handed over")))
		m, before := readClose(t, c)
		if m.Code != 106 || m.Reason != "not now" || m.RetryAfterMs != 1500 || before != 3 {
			t.Errorf("%d frames, then %v", before, m)
		}
		var e *CloseError
		if err := wait(t, r.closed, "Closed"); !errors.As(err, &e) || e.Code != im.CloseUnavailable {
			t.Errorf("closed with %v", err)
		}
	})
}

func TestPeerVanishes(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, nil)
		c := r.dial(t)
		mustWrite(t, c, hello(1))
		wait(t, r.frames, "frame")
		// In the middle of a frame, and without a WebSocket goodbye.
		if _, err := c.nc.Write(encode(c, hello(10))[:5]); err != nil {
			t.Fatal(err)
		}
		c.nc.Close()
		err := wait(t, r.closed, "Closed")
		var e *CloseError
		if errors.As(err, &e) {
			t.Errorf("closed by this side: %v", err)
		}
	})
}

func TestGoodbyeOfClient(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, nil)
		c := r.dial(t)
		mustWrite(t, c, hello(0))
		wait(t, r.frames, "frame")
		c.Close()
		if err := wait(t, r.closed, "Closed"); !errors.Is(err, io.EOF) {
			t.Errorf("closed with %v, want EOF", err)
		}
	})
}

func TestPeerStopsReading(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{MaxQueue: 256 << 10}, nil)
		c := r.dial(t)
		mustWrite(t, c, hello(0))
		conn := wait(t, r.opened, "connection")
		big := wire.AppendFrame(nil, wire.TypeDeliver, make([]byte, 10000))
		for conn.Send(big) == nil {
		}
		if err := conn.Send(big); !errors.Is(err, ErrClosed) {
			t.Errorf("sending on: %v", err)
		}
		// Whatever it gets when it reads again is whole, and ends with the
		// reason.
		expectClose(t, c, im.CloseSlow)
		var e *CloseError
		if err := wait(t, r.closed, "Closed"); !errors.As(err, &e) || e.Code != im.CloseSlow {
			t.Errorf("closed with %v", err)
		}
		if n := r.srv.Stats().Slow; n != 1 {
			t.Errorf("%d slow connections counted", n)
		}
	})
}

func TestPeerNeverReadsAgain(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		t.Parallel()
		r := newRig(t, kind, Config{MaxQueue: 256 << 10, CloseTimeout: 10 * time.Millisecond}, nil)
		c := r.dial(t)
		mustWrite(t, c, hello(0))
		conn := wait(t, r.opened, "connection")
		for conn.Send(wire.AppendFrame(nil, wire.TypeDeliver, make([]byte, 10000))) == nil {
		}
		var e *CloseError
		if err := wait(t, r.closed, "Closed"); !errors.As(err, &e) || e.Code != im.CloseSlow {
			t.Errorf("closed with %v", err)
		}
	})
}

func TestBadFrames(t *testing.T) {
	over := wire.AppendHeader(hello(0), wire.TypeSend, DefaultFirstFrame+1)
	for _, tc := range []struct {
		name  string
		bytes []byte
		code  im.CloseCode
	}{
		{"payload over the limit, of which nothing came", over, im.CloseTooLarge},
		{"endless length", append(hello(0), 5, 0x80, 0x80, 0x80, 0x80, 0x80), im.CloseProtocol},
		{"absurd length", append(hello(0), 5, 0xff, 0xff, 0xff, 0xff, 0x7f), im.CloseTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onAll(t, func(t *testing.T, kind string) {
				r := newRig(t, kind, Config{}, nil)
				c := r.dial(t)
				if _, err := c.nc.Write(encode(c, tc.bytes)); err != nil {
					t.Fatal(err)
				}
				expectClose(t, c, tc.code)
				if got := wait(t, r.frames, "frame"); got.t != wire.TypeHello {
					t.Errorf("handed over %v", got.t)
				}
				wait(t, r.closed, "Closed")
			})
		})
	}
}

func TestMaxFrameCanBeRaised(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, func(r *recorder) {
			r.onFrame = func(c Conn, typ wire.Type, p []byte) {
				c.SetMaxFrame(im.MaxClientFrame)
				echo(c, typ, p)
			}
		})
		c := r.dial(t)
		mustWrite(t, c, hello(DefaultFirstFrame))
		mustRead(t, c)
		mustWrite(t, c, wire.AppendFrame(nil, wire.TypeSend, make([]byte, im.MaxClientFrame)))
		if _, p := mustRead(t, c); len(p) != im.MaxClientFrame {
			t.Errorf("%d bytes came back", len(p))
		}
	})
}

func TestIdle(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		t.Parallel()
		r := newRig(t, kind, Config{}, func(r *recorder) {
			r.onFrame = func(c Conn, _ wire.Type, _ []byte) { c.SetIdle(20 * time.Millisecond) }
		})
		c := r.dial(t)
		mustWrite(t, c, hello(0))
		expectClose(t, c, im.CloseIdle)
		wait(t, r.closed, "Closed")
	})
}

func TestFirstFrameMustCome(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		t.Parallel()
		r := newRig(t, kind, Config{HandshakeTimeout: time.Second, CloseTimeout: 200 * time.Millisecond}, nil)
		c := r.dial(t)
		b := encode(c, hello(5))
		if _, err := c.nc.Write(b[:len(b)-1]); err != nil {
			t.Fatal(err)
		}
		expectClose(t, c, im.CloseIdle)
		wait(t, r.closed, "Closed")
	})
}

func TestHandshakeMustEnd(t *testing.T) {
	begins := map[string]string{"tls": "\x16\x03", "ws": "GET /link HTTP/1.1\r\nHost: a\r\n"}
	for _, kind := range both("tcp", "tls", "ws", "wss") {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, Config{HandshakeTimeout: 50 * time.Millisecond}, nil)
			nc := r.rawDial(t)
			if _, err := io.WriteString(nc, begins[r.kind]); err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, nc); err != nil || n != 0 {
				t.Errorf("got %d bytes and %v, want the end", n, err)
			}
			r.stop(t)
			r.serving <- nil
			if st := r.srv.Stats(); st.HandshakeFailed != 1 {
				t.Errorf("%d failed handshakes counted", st.HandshakeFailed)
			}
			if len(r.opened)+len(r.closed) != 0 {
				t.Error("the handler was told")
			}
		})
	}
}

func TestShutdown(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{ReturnWithin: 2 * time.Second, Rand: func(n int64) int64 { return n / 2 }}, nil)
		var conns []*ClientConn
		for range 20 {
			c := r.dial(t)
			mustWrite(t, c, hello(0))
			wait(t, r.frames, "frame")
			conns = append(conns, c)
		}
		var wg sync.WaitGroup
		for _, c := range conns {
			wg.Go(func() {
				if m := expectClose(t, c, im.CloseGoingAway); m.RetryAfterMs != 1000 {
					t.Errorf("come back after %d ms, want 1000", m.RetryAfterMs)
				}
			})
		}
		r.stop(t)
		r.serving <- nil
		wg.Wait()
		for range conns {
			wait(t, r.closed, "Closed")
		}
	})
}

func TestShutdownCutsWhoDoesNotLeave(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{CloseTimeout: time.Hour}, nil)
		c := r.dial(t)
		mustWrite(t, c, hello(0))
		wait(t, r.frames, "frame")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := r.srv.Shutdown(ctx)
		// A goodbye that needs no answer may have been quicker.
		if err != nil && im.KindOf(err) != im.Unavailable {
			t.Errorf("shutdown: %v", err)
		}
		if len(r.closed) != 1 {
			t.Errorf("Closed was called %d times when Shutdown returned", len(r.closed))
		}
	})
}

func TestTooManyConnections(t *testing.T) {
	for _, kind := range both("pipe", "tcp", "tls", "ws", "wss") {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, Config{MaxConns: 1, Rand: func(n int64) int64 { return n - 1 }}, nil)
			first := r.dial(t)
			mustWrite(t, first, hello(0))
			wait(t, r.frames, "frame")
			second := r.dial(t)
			// The goodbye may be there before there is someone to read this.
			_ = second.Write(hello(0))
			if m := expectClose(t, second, im.CloseOverloaded); m.RetryAfterMs == 0 {
				t.Error("no word on when to come back")
			}
			mustWrite(t, first, wire.AppendPing(nil))
			wait(t, r.frames, "frame")
			if st := r.srv.Stats(); st.Refused != 1 || len(r.opened) != 1 {
				t.Errorf("%d refused, %d opened", st.Refused, len(r.opened))
			}
		})
	}
}
