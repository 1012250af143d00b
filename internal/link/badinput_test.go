package link

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// served keeps a connection busy, one frame at a time, until stop says how many
// were answered.
func (r *rig) served(t *testing.T) (stop func() int) {
	t.Helper()
	c := r.dial(t)
	ping := wire.AppendFrame(nil, wire.TypePing, []byte("good"))
	mustWrite(t, c, ping)
	mustRead(t, c)
	wait(t, r.opened, "connection")
	n, leave := 0, make(chan struct{})
	var busy sync.WaitGroup
	busy.Go(func() {
		for ; ; n++ {
			select {
			case <-leave:
				return
			default:
			}
			err := c.Write(ping)
			if err == nil {
				_, _, err = c.ReadFrame()
			}
			if err != nil {
				t.Errorf("the other connection is disturbed: %v", err)
				return
			}
		}
	})
	return func() int {
		close(leave)
		busy.Wait()
		return n
	}
}

// echoPings sends pings back and nothing else.
func echoPings(r *recorder) {
	r.onFrame = func(c Conn, typ wire.Type, p []byte) {
		if typ == wire.TypePing {
			echo(c, typ, p)
		}
	}
}

// TestHalfHandshakes: hundreds of connections that begin and do not go on are
// gone in time, and others are served meanwhile.
func TestHalfHandshakes(t *testing.T) {
	begins := map[string][]string{
		"tcp": {"", "\x03", "\x03\x05he", "GET /link"},
		"tls": {"", "\x16", "\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03"},
		"ws":  {"", "G", "GET /link HTTP/1.1\r\nHost: a\r\n", request, request + "\x82\x84"},
	}
	const each = 200
	for _, kind := range both("tcp", "tls", "ws") {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			// Long enough for the one that is served.
			cfg := Config{HandshakeTimeout: 2 * time.Second, CloseTimeout: 50 * time.Millisecond}
			r := newRig(t, kind, cfg, echoPings)
			stop := r.served(t)
			var halves []net.Conn
			for i := range each {
				nc := r.rawDial(t)
				// A slow machine may find that its time is over already.
				_, _ = io.WriteString(nc, begins[r.kind][i%len(begins[r.kind])])
				halves = append(halves, nc)
			}
			for _, nc := range halves {
				// Whatever is said in the end, the end comes.
				_, _ = io.Copy(io.Discard, nc)
			}
			if n := stop(); n == 0 {
				t.Error("the other connection was not served")
			}
			until(t, "end of all", func() bool { return r.srv.Stats().Open == 1 })
		})
	}
}

// TestPipelinedByTheThousand: all in one write.
func TestPipelinedByTheThousand(t *testing.T) {
	const n = 10000
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{FirstFrame: im.MaxClientFrame}, func(r *recorder) { r.onFrame = echo })
		c := r.dial(t)
		var all []byte
		for i := range n {
			all = wire.AppendFrame(all, wire.TypeSend, binary.BigEndian.AppendUint32(nil, uint32(i)))
		}
		written := make(chan error, 1)
		go func() { written <- c.Write(all) }()
		for i := range n {
			if _, p := mustRead(t, c); binary.BigEndian.Uint32(p) != uint32(i) {
				t.Fatalf("frame %d came instead of %d", binary.BigEndian.Uint32(p), i)
			}
		}
		if err := wait(t, written, "end of writing"); err != nil {
			t.Error(err)
		}
	})
}

// expectClosed waits until n connections were closed with a code.
func (r *rig) expectClosed(t *testing.T, n int, code im.CloseCode) {
	t.Helper()
	for range n {
		var e *CloseError
		if err := wait(t, r.closed, "end"); !errors.As(err, &e) || e.Code != code {
			t.Errorf("closed with %v, want code %d", err, code)
		}
	}
}

// TestPeersThatStopReading: they are closed when the time is over, with their
// queues far from full.
func TestPeersThatStopReading(t *testing.T) {
	const n = 2
	for _, kind := range both("tcp", "tls", "ws") {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cfg := Config{StallTimeout: 200 * time.Millisecond, CloseTimeout: 50 * time.Millisecond, MaxQueue: 64 << 20}
			r := newRig(t, kind, cfg, echoPings)
			stop := r.served(t)
			for range n {
				mustWrite(t, r.dial(t), hello(0))
				conn := wait(t, r.opened, "connection")
				// More than the kernel takes.
				if err := conn.Send(wire.AppendFrame(nil, wire.TypeDeliver, make([]byte, 8<<20))); err != nil {
					t.Fatal(err)
				}
			}
			r.expectClosed(t, n, im.CloseSlow)
			if stop() == 0 {
				t.Error("the other connection was not served")
			}
			if st := r.srv.Stats(); st.Slow != n || st.Open != 1 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestPeersThatVanish: nothing comes from them any more, not even the end. They
// are found within the idle time, and waited for no longer than CloseTimeout.
func TestPeersThatVanish(t *testing.T) {
	const n = 20
	for _, kind := range both("tcp", "tls", "ws") {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, kind, Config{CloseTimeout: 50 * time.Millisecond}, func(r *recorder) {
				r.onFrame = func(c Conn, typ wire.Type, p []byte) {
					if typ == wire.TypePing {
						echo(c, typ, p)
					} else {
						c.SetIdle(300 * time.Millisecond)
					}
				}
			})
			stop := r.served(t)
			for range n {
				mustWrite(t, r.dial(t), hello(0))
				wait(t, r.opened, "connection")
			}
			r.expectClosed(t, n, im.CloseIdle)
			if stop() == 0 {
				t.Error("the other connection was not served")
			}
			if st := r.srv.Stats(); st.Idle != n || st.Open != 1 {
				t.Errorf("%+v", st)
			}
		})
	}
}
