package link

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

func TestAnswersLeaveInOneWrite(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, func(r *recorder) {
			r.onFrame = func(c Conn, typ wire.Type, p []byte) {
				for range 100 {
					echo(c, typ, p)
				}
			}
		})
		c := r.dial(t)
		round := func() {
			mustWrite(t, c, hello(20))
			for range 100 {
				mustRead(t, c)
			}
		}
		// The handshakes are over after the first round.
		round()
		before := r.srv.Stats().Writes
		if round(); r.srv.Stats().Writes != before+1 {
			t.Errorf("%d writes", r.srv.Stats().Writes-before)
		}
	})
}

func TestWritingWaitsForTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "pipe", Config{}, func(r *recorder) {
			r.onFrame = func(c Conn, typ wire.Type, p []byte) {
				echo(c, typ, p)
				// Time passes only when nobody else has anything to do.
				<-time.After(time.Millisecond)
				echo(c, typ, p)
			}
		})
		c := r.dial(t)
		mustWrite(t, c, append(hello(1), hello(2)...))
		for range 4 {
			mustRead(t, c)
		}
		if n := r.srv.Stats().Writes; n != 1 {
			t.Errorf("%d writes", n)
		}
		c.Close()
		r.stop(t)
		r.serving <- nil
	})
}

func TestSlowGoodbyeOvertakesWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "pipe", Config{MaxQueue: 1000}, nil)
		c := r.dial(t)
		mustWrite(t, c, hello(0))
		conn := wait(t, r.opened, "connection")
		if err := conn.Send(hello(400)); err != nil {
			t.Fatal(err)
		}
		// The first is on its way, the second behind it.
		synctest.Wait()
		if err := conn.Send(hello(401)); err != nil {
			t.Fatal(err)
		}
		if err := conn.Send(hello(402)); err == nil {
			t.Fatal("a queue of 1,000 bytes took 1,203")
		}
		if m, before := readClose(t, c); before != 1 || m.Code != 103 {
			t.Errorf("%d frames, then %v", before, m)
		}
		r.stop(t)
		r.serving <- nil
	})
}

func TestQueueHasRoomAgainAfterWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "pipe", Config{MaxQueue: 1000}, nil)
		c := r.dial(t)
		mustWrite(t, c, hello(0))
		conn := wait(t, r.opened, "connection")
		for range 10 {
			if err := conn.Send(hello(900)); err != nil {
				t.Fatal(err)
			}
			mustRead(t, c)
			synctest.Wait()
		}
		c.Close()
		r.stop(t)
		r.serving <- nil
	})
}

func TestGoodbyeReachesWhoHasFinishedSending(t *testing.T) {
	for _, kind := range both("tcp", "tls") {
		t.Run(kind, func(t *testing.T) {
			const size = 3 << 20
			r := newRig(t, kind, Config{}, func(r *recorder) {
				r.onFrame = func(c Conn, _ wire.Type, _ []byte) {
					_ = c.Send(wire.AppendFrame(nil, wire.TypeDeliver, make([]byte, size)))
					c.Close(im.CloseNormal, "")
				}
			})
			r.opts.MaxFrame = size
			c := r.dial(t)
			mustWrite(t, c, hello(0))
			if err := c.nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if _, p := mustRead(t, c); len(p) != size {
				t.Errorf("%d bytes came", len(p))
			}
			expectClose(t, c, im.CloseNormal)
		})
	}
}

func TestDiscardedBytesDoNotGather(t *testing.T) {
	for _, side := range []*wsDecoder{nil, {side: ws.StateServerSide}} {
		d := decoder{buf: newBuffer(nil), ws: side}
		src := &trickle{make([]byte, 1<<20), 1 << 20}
		for len(src.rest) > 0 {
			d.discard()
			if err := d.read(src); err != nil {
				t.Fatal(err)
			}
			if len(d.buf.data) > bigBuffer {
				t.Fatalf("a buffer of %d bytes", len(d.buf.data))
			}
		}
	}
}

func TestSendsGatherBehindAWrite(t *testing.T) {
	r := newRig(t, "pipe", Config{}, nil)
	c := r.dial(t)
	mustWrite(t, c, hello(0))
	conn := wait(t, r.opened, "connection")
	for range 100 {
		if err := conn.Send(hello(20)); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		mustRead(t, c)
	}
	// The first write takes what was there when it began.
	if n := r.srv.Stats().Writes; n > 2 {
		t.Errorf("%d writes", n)
	}
}

func TestLargeQueueIsCutIntoMessages(t *testing.T) {
	for _, kind := range both(webTransports...) {
		t.Run(kind, func(t *testing.T) {
			sizes := []int{0, 100, 70000, 5, 65000, 600, 200000, 1}
			r := newRig(t, kind, Config{}, func(r *recorder) {
				r.onFrame = func(c Conn, typ wire.Type, _ []byte) {
					for _, n := range sizes {
						_ = c.Send(wire.AppendFrame(nil, typ, make([]byte, n)))
					}
				}
			})
			c := r.dial(t)
			mustWrite(t, c, hello(0))
			for _, n := range sizes {
				if _, p := mustRead(t, c); len(p) != n {
					t.Errorf("%d bytes came, want %d", len(p), n)
				}
			}
		})
	}
}

func TestStalledWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "pipe", Config{StallTimeout: 8 * time.Second, Idle: time.Hour}, nil)
		c := r.dial(t)
		mustWrite(t, c, hello(0))
		conn := wait(t, r.opened, "connection")
		begin := time.Now()
		if err := conn.Send(hello(100)); err != nil {
			t.Fatal(err)
		}
		var e *CloseError
		if err := <-r.closed; !errors.As(err, &e) || e.Code != im.CloseSlow {
			t.Errorf("closed with %v", err)
		}
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("closed after %v, want 8 s and a quarter", took)
		}
		c.Close()
		r.stop(t)
		r.serving <- nil
	})
}

func TestSlowButSteadyReaderStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "pipe", Config{StallTimeout: 8 * time.Second, Idle: time.Hour}, nil)
		c := r.dial(t)
		_ = c.SetReadDeadline(time.Time{})
		mustWrite(t, c, hello(0))
		conn := wait(t, r.opened, "connection")
		if err := conn.Send(wire.AppendFrame(nil, wire.TypeDeliver, make([]byte, 1<<20))); err != nil {
			t.Fatal(err)
		}
		// 16 steps of 64 KiB, each of which takes 6 s.
		buf := make([]byte, writeStep)
		for got := 0; got < 1<<20; {
			<-time.After(6 * time.Second)
			for n := 0; n < writeStep && got < 1<<20; {
				m, err := c.nc.Read(buf[n:])
				if err != nil {
					t.Fatal(err)
				}
				n, got = n+m, got+m
			}
		}
		c.Close()
		if err := <-r.closed; err == nil || errors.As(err, new(*CloseError)) {
			t.Errorf("closed with %v", err)
		}
		r.stop(t)
		r.serving <- nil
	})
}

func TestIdleIsCountedFromTheLastFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "pipe", Config{}, func(r *recorder) {
			r.onOpen = func(c Conn) { c.SetIdle(20 * time.Second) }
		})
		c := r.dial(t)
		_ = c.SetReadDeadline(time.Time{})
		begin := time.Now()
		for range 5 {
			mustWrite(t, c, hello(0))
			<-time.After(9 * time.Second)
			// Half a frame is no sign of life.
			if _, err := c.nc.Write(hello(3)[:4]); err != nil {
				t.Fatal(err)
			}
			<-time.After(9 * time.Second)
			if _, err := c.nc.Write(hello(3)[4:]); err != nil {
				t.Fatal(err)
			}
		}
		expectClose(t, c, im.CloseIdle)
		if took := time.Since(begin); took != 5*18*time.Second+20*time.Second {
			t.Errorf("closed after %v", took)
		}
		r.stop(t)
		r.serving <- nil
	})
}

func TestBuffersGrowWithWhatArrives(t *testing.T) {
	b := newBuffer(nil)
	d := decoder{buf: b}
	src := &trickle{rest: wire.AppendFrame(nil, wire.TypeSend, make([]byte, 1<<20)), step: 10000}
	arrived := 0
	for {
		ev, _, p, err := d.next(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		if ev == gotFrame {
			if len(p) != 1<<20 {
				t.Errorf("%d bytes", len(p))
			}
			break
		}
		before := len(src.rest)
		if err := d.read(src); err != nil {
			t.Fatal(err)
		}
		arrived += before - len(src.rest)
		if have := len(d.buf.data); have > max(bigBuffer, 2*arrived+smallBuffer) {
			t.Fatalf("a buffer of %d bytes when %d had arrived", have, arrived)
		}
	}
}

func TestBusyConnectionsReadMuchAtATime(t *testing.T) {
	var stream []byte
	for range 2000 {
		stream = append(stream, hello(250)...)
	}
	for name, pool := range map[string]*sync.Pool{"with a pool": {}, "without": nil} {
		d := decoder{buf: newBuffer(pool)}
		src := &trickle{stream, len(stream)}
		reads := 0
		for frames := 0; frames < 2000; {
			ev, _, _, err := d.next(1000)
			if err != nil {
				t.Fatal(err)
			}
			if ev == gotFrame {
				frames++
				continue
			}
			if err := d.read(src); err != nil {
				t.Fatal(err)
			}
			reads++
		}
		if most := len(stream)/bigBuffer + 10; reads > most {
			t.Errorf("%s: %d reads for %d bytes, want at most %d", name, reads, len(stream), most)
		}
	}
}

// trickle is a reader that brings a few bytes at a time.
type trickle struct {
	rest []byte
	step int
}

func (r *trickle) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), r.step)], r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func TestBusyConnectionsGiveBuffersBack(t *testing.T) {
	srv := NewServer(Config{})
	b := newBuffer(&srv.buffers)
	use := func(n int) {
		t.Helper()
		if err := b.read(&trickle{make([]byte, n), n}, 1); err != nil {
			t.Fatal(err)
		}
		b.r = b.w
	}
	for _, tc := range []struct{ arrives, size int }{
		{100, smallBuffer},
		{5000, smallBuffer},
		{5000, bigBuffer},
		{5000, bigBuffer},
		{10, bigBuffer},
		{10, smallBuffer},
	} {
		if use(tc.arrives); len(b.data) != tc.size {
			t.Errorf("reading %d bytes left a buffer of %d, want %d", tc.arrives, len(b.data), tc.size)
		}
	}
}
