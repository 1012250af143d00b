//go:build linux

package link

import (
	"errors"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

func TestLoopConnIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(loopConn{}); size > 112 {
		t.Errorf("%d bytes", size)
	}
}

func TestIdleConnectionsHoldNothing(t *testing.T) {
	for _, kind := range []string{"tcp-epoll", "ws-epoll", "tls-epoll", "wss-epoll"} {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, Config{}, nil)
			mustWrite(t, r.dial(t), hello(0))
			wait(t, r.opened, "connection")
			before := runtime.NumGoroutine()
			for range 100 {
				mustWrite(t, r.dial(t), hello(0))
				c := wait(t, r.opened, "connection").(*loopConn)
				until(t, "end of the first frame", func() bool {
					c.mu.Lock()
					defer c.mu.Unlock()
					return !c.first && c.out == nil
				})
			}
			// Handshakes of the client may end a little later.
			until(t, "rest", func() bool { return runtime.NumGoroutine() <= before })
		})
	}
}

// blocked opens a connection whose peer does not read, and has sent it frames,
// more than fit.
func blocked(t *testing.T, r *rig, size int) (c *ClientConn, conn *loopConn, sent int) {
	t.Helper()
	c = r.dial(t)
	mustWrite(t, c, hello(0))
	conn = wait(t, r.opened, "connection").(*loopConn)
	for conn.ec.Queued() < writeStep {
		if err := conn.Send(wire.AppendFrame(nil, wire.TypeDeliver, make([]byte, size))); err != nil {
			t.Fatal(err)
		}
		sent++
		until(t, "flush", func() bool {
			conn.mu.Lock()
			defer conn.mu.Unlock()
			// Beyond, it waits until the peer reads.
			return conn.out == nil || conn.ec.Queued() >= writeStep
		})
	}
	return c, conn, sent
}

func TestLoopSlowGoodbyeOvertakesWhatWaits(t *testing.T) {
	for _, kind := range []string{"tcp-epoll", "ws-epoll", "tls-epoll"} {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, Config{MaxQueue: 8 << 20}, nil)
			c, conn, most := blocked(t, r, 10000)
			dropped := 0
			for conn.Send(wire.AppendFrame(nil, wire.TypeDeliver, make([]byte, 10000))) == nil {
				dropped++
			}
			// Some may have followed before the kernel really took no more.
			if m, before := readClose(t, c); m.Code != 103 || before > most+dropped-50 {
				t.Errorf("%d frames of %d and %d, then %v", before, most, dropped, m)
			}
			var e *CloseError
			if err := wait(t, r.closed, "Closed"); !errors.As(err, &e) || e.Code != im.CloseSlow {
				t.Errorf("closed with %v", err)
			}
		})
	}
}

func TestLoopStalledWrite(t *testing.T) {
	for _, kind := range []string{"tcp-epoll", "ws-epoll", "tls-epoll"} {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, Config{StallTimeout: 200 * time.Millisecond, MaxQueue: 64 << 20}, nil)
			_, conn, _ := blocked(t, r, 10000)
			// That fits nowhere. On a slow machine the stall may have been
			// noticed before; then there is nothing to take it.
			if err := conn.Send(wire.AppendFrame(nil, wire.TypeDeliver, make([]byte, 32<<20))); err != nil && !errors.Is(err, ErrClosed) {
				t.Fatal(err)
			}
			var e *CloseError
			if err := wait(t, r.closed, "Closed"); !errors.As(err, &e) || e.Code != im.CloseSlow {
				t.Errorf("closed with %v", err)
			}
			if st := r.srv.Stats(); st.Slow != 1 {
				t.Errorf("%d slow", st.Slow)
			}
		})
	}
}

// TestReaderCatchesUp: what waited while the peer did not read follows in
// order when it does.
func TestReaderCatchesUp(t *testing.T) {
	for _, kind := range []string{"tcp-epoll", "ws-epoll", "tls-epoll"} {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, Config{MaxQueue: 64 << 20}, nil)
			c, conn, sent := blocked(t, r, 10000)
			for i := range 500 {
				p := []byte{byte(i), byte(i >> 8)}
				if err := conn.Send(wire.AppendFrame(nil, wire.TypePong, append(p, make([]byte, 1000)...))); err != nil {
					t.Fatal(err)
				}
			}
			for range sent {
				if typ, p := mustRead(t, c); typ != wire.TypeDeliver || len(p) != 10000 {
					t.Fatalf("%v of %d bytes", typ, len(p))
				}
			}
			for i := range 500 {
				if typ, p := mustRead(t, c); typ != wire.TypePong || int(p[0])+int(p[1])<<8 != i {
					t.Fatalf("%v %x instead of %d", typ, p[:2], i)
				}
			}
		})
	}
}

func TestAutoIsEpoll(t *testing.T) {
	for engine, want := range map[string]bool{"": true, EngineAuto: true, EngineEpoll: true, EngineGoroutine: false} {
		r := newRig(t, "tcp-"+engine, Config{}, nil)
		mustWrite(t, r.dial(t), hello(0))
		if _, loop := wait(t, r.opened, "connection").(*loopConn); loop != want {
			t.Errorf("%q: on a loop: %v", engine, loop)
		}
	}
}
