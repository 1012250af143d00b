//go:build linux

package evloop

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// echoMessages sends whole messages back: two bytes of length, then as many.
func echoMessages(c *Conn, b []byte) int {
	n := 0
	for len(b)-n >= 2 {
		size := 2 + int(binary.BigEndian.Uint16(b[n:]))
		if len(b)-n < size {
			break
		}
		if err := c.Write(b[n:n+2], b[n+2:n+size]); err != nil {
			c.Close(err)
			break
		}
		n += size
	}
	return n
}

// messages are n random messages in one piece.
func messages(rnd *rand.Rand, n, largest int) []byte {
	var all []byte
	for range n {
		size := rnd.IntN(largest)
		all = binary.BigEndian.AppendUint16(all, uint16(size))
		for range size {
			all = append(all, byte(rnd.Uint32()))
		}
	}
	return all
}

// pump writes b in pieces of random sizes.
func pump(nc net.Conn, b []byte, rnd *rand.Rand, largest int) error {
	for len(b) > 0 {
		n := min(1+rnd.IntN(largest), len(b))
		if _, err := nc.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// expect reads exactly the bytes of want.
func expect(t testing.TB, nc net.Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(nc, got); err != nil {
		t.Fatalf("after %d of %d bytes: %v", n, len(want), err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("what comes back is not what was sent")
	}
}

// expectEnd reads the end.
func expectEnd(t testing.TB, nc net.Conn) {
	t.Helper()
	if n, err := nc.Read(make([]byte, 100)); n != 0 || err != io.EOF {
		t.Fatalf("read %d bytes and %v instead of the end", n, err)
	}
}

func TestEchoInRandomPieces(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, func(h *hooks) { h.data = echoMessages })
		var wg sync.WaitGroup
		for i := range 6 {
			nc := r.dial(t)
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(i), 1))
				all := messages(rnd, 200, []int{10, 100, 1000, 60000}[i%4])
				piece := []int{7, 200, 3000, 200000, 20, 50}[i]
				sent := make(chan error, 1)
				go func() { sent <- pump(nc, all, rand.New(rand.NewPCG(uint64(i), 2)), piece) }()
				got := make([]byte, len(all))
				if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, all) {
					t.Errorf("client %d: %v", i, err)
				}
				if err := <-sent; err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

func TestPipelinedByTheThousand(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, func(h *hooks) { h.data = echoMessages })
		nc := r.dial(t)
		wait(t, r.opened, "connection")
		before := r.e.Stats()
		all := messages(rand.New(rand.NewPCG(1, 1)), 50000, 20)
		sent := make(chan error, 1)
		go func() { _, err := nc.Write(all); sent <- err }()
		expect(t, nc, all)
		if err := wait(t, sent, "end of writing"); err != nil {
			t.Fatal(err)
		}
		s := r.e.Stats()
		if reads, writes := s.Reads-before.Reads, s.Writes-before.Writes; writes > 2*reads+10 {
			t.Errorf("%d reads were answered with %d writes", reads, writes)
		}
	})
}

func TestTurnLeavesInOneWrite(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, nil)
		nc := r.dial(t)
		c := wait(t, r.opened, "connection")
		before := r.e.Stats().Writes
		on(t, c, func() {
			for range 100 {
				if err := c.Write([]byte("abc"), []byte("def")); err != nil {
					t.Error(err)
				}
			}
		})
		expect(t, nc, bytes.Repeat([]byte("abcdef"), 100))
		if n := r.e.Stats().Writes - before; n != 1 {
			t.Errorf("100 small writes of one turn took %d system calls", n)
		}
	})
}

func TestGatheredWrites(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, nil)
		nc := r.dial(t)
		c := wait(t, r.opened, "connection")
		rnd := rand.New(rand.NewPCG(3, 4))
		var all []byte
		var pieces [][]byte
		for range 3 {
			for range 5 {
				p := make([]byte, rnd.IntN(150000))
				for i := range p {
					p[i] = byte(rnd.Uint32())
				}
				pieces, all = append(pieces, p, nil), append(all, p...)
			}
		}
		on(t, c, func() {
			for i := 0; i < len(pieces); i += 10 {
				// Something small is queued before what is large.
				if err := errors.Join(c.Write(pieces[i][:10]), c.Write(append([][]byte{pieces[i][10:]}, pieces[i+1:i+10]...)...)); err != nil {
					t.Error(err)
				}
			}
		})
		expect(t, nc, all)
	})
}

func TestMessagesOfAllSizesOneByteAtATime(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, func(h *hooks) { h.data = echoMessages })
		nc := r.dial(t)
		all := messages(rand.New(rand.NewPCG(5, 6)), 40, 100)
		for i := range all {
			mustWrite(t, nc, all[i:i+1])
		}
		expect(t, nc, all)
	})
}

func TestTooLongAMessage(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{MaxPartial: 1000}, func(h *hooks) { h.data = echoMessages })
		nc := r.dial(t)
		ok := binary.BigEndian.AppendUint16(nil, 990)
		ok = append(ok, make([]byte, 990)...)
		mustWrite(t, nc, ok)
		expect(t, nc, ok)
		mustWrite(t, nc, binary.BigEndian.AppendUint16(nil, 5000))
		mustWrite(t, nc, make([]byte, 2000))
		if err := wait(t, r.closed, "end"); err != ErrTooLong {
			t.Errorf("closed with %v", err)
		}
	})
}

func TestPeerFinishesAndStillReads(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{MaxQueue: 16 << 20}, func(h *hooks) { h.data = echoMessages })
		nc := r.dial(t)
		all := messages(rand.New(rand.NewPCG(7, 7)), 200, 60000)
		if err := pump(nc, all, rand.New(rand.NewPCG(7, 8)), 100000); err != nil {
			t.Fatal(err)
		}
		if err := nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		expect(t, nc, all)
		expectEnd(t, nc)
		if err := wait(t, r.closed, "end"); err != io.EOF {
			t.Errorf("closed with %v", err)
		}
	})
}

func TestPeerFinishesWithinAMessage(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, func(h *hooks) { h.data = echoMessages })
		nc := r.dial(t)
		mustWrite(t, nc, []byte{0, 9, 1, 2, 3})
		nc.Close()
		if err := wait(t, r.closed, "end"); err != io.ErrUnexpectedEOF {
			t.Errorf("closed with %v", err)
		}
	})
}

func TestPeerResets(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		for _, how := range []string{"idle", "blocked"} {
			r := newRig(t, kind, Config{}, nil)
			nc := r.dial(t)
			c := wait(t, r.opened, "connection")
			on(t, c, func() {
				for how == "blocked" && c.Write(make([]byte, 60000)) == nil {
				}
			})
			reset(t, nc)
			if err := wait(t, r.closed, "end"); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				t.Errorf("%s: closed with %v", how, err)
			}
		}
	})
}

func TestCloseGently(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		why := errors.New("enough")
		r := newRig(t, kind, Config{}, func(h *hooks) {
			h.data = func(c *Conn, b []byte) int {
				if c.Write(make([]byte, 1<<20)) != nil || c.Write([]byte("goodbye")) != nil {
					h.t.Error("could not write")
				}
				c.CloseGently(why, time.Minute)
				c.CloseGently(errors.New("another reason"), 0)
				if c.Write([]byte("more")) != ErrClosed {
					h.t.Error("writing after CloseGently")
				}
				return 0
			}
		})
		nc := r.dial(t)
		// What is not read any more must not turn the end into a reset.
		mustWrite(t, nc, make([]byte, 100000))
		expect(t, nc, append(make([]byte, 1<<20), "goodbye"...))
		expectEnd(t, nc)
		nc.Close()
		if err := wait(t, r.closed, "end"); err != why {
			t.Errorf("closed with %v", err)
		}
	})
}

func TestCloseGentlyOfAPeerThatStays(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		why := errors.New("enough")
		r := newRig(t, kind, Config{}, nil)
		nc := r.dial(t)
		c := wait(t, r.opened, "connection")
		on(t, c, func() {
			c.CloseGently(why, time.Millisecond)
		})
		if err := wait(t, r.closed, "end"); err != why {
			t.Errorf("closed with %v", err)
		}
		expectEnd(t, nc)
	})
}

func TestCloseSendsWhatFits(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, func(h *hooks) {
			h.data = func(c *Conn, b []byte) int {
				if err := c.Write([]byte("last words")); err != nil {
					h.t.Error(err)
				}
				c.Close(nil)
				return len(b)
			}
		})
		nc := r.dial(t)
		mustWrite(t, nc, []byte("x"))
		expect(t, nc, []byte("last words"))
		expectEnd(t, nc)
		if err := wait(t, r.closed, "end"); err != ErrClosed {
			t.Errorf("closed with %v", err)
		}
	})
}

func TestSlowReaderGetsEverything(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		drained := make(chan struct{}, 1)
		r := newRig(t, kind, Config{MaxQueue: 1 << 20}, func(h *hooks) {
			h.drained = func(c *Conn) {
				if c.Queued() != 0 {
					h.t.Errorf("drained with %d bytes queued", c.Queued())
				}
				drained <- struct{}{}
			}
		})
		nc := r.dial(t)
		c := wait(t, r.opened, "connection")
		var want []byte
		on(t, c, func() {
			var err error
			for i := 0; err == nil; i++ {
				piece := bytes.Repeat([]byte{byte(i)}, 777)
				if err = c.Write(piece); err == nil {
					want = append(want, piece...)
				}
			}
			if err != ErrQueueFull {
				t.Errorf("writing failed with %v", err)
			}
			// TLS adds to what was checked.
			if q := c.Queued(); q > 1<<20+1000 {
				t.Errorf("%d bytes are queued", q)
			}
			c.NotifyDrained()
		})
		expect(t, nc, want)
		wait(t, drained, "call of Drained")
		on(t, c, func() {
			if c.busy != nil {
				t.Error("the connection still has buffers")
			}
			c.NotifyDrained()
		})
		wait(t, drained, "call of Drained with nothing to drain")
	})
}

func TestPeerThatDoesNotRead(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{StallTimeout: 200 * time.Millisecond}, nil)
		r.dial(t)
		c := wait(t, r.opened, "connection")
		on(t, c, func() {
			for c.Write(make([]byte, 60000)) == nil {
			}
		})
		if err := wait(t, r.closed, "end"); err != ErrStalled {
			t.Errorf("closed with %v", err)
		}
	})
}

func TestTLSStateIsKnown(t *testing.T) {
	r := newRig(t, "tls", Config{}, nil)
	nc := r.dial(t)
	c := wait(t, r.opened, "connection")
	on(t, c, func() {
		state, ok := c.TLS()
		if want := nc.(*tls.Conn).ConnectionState(); !ok || state.CipherSuite != want.CipherSuite {
			t.Errorf("TLS state %v", state)
		}
		if c.RemoteAddr().String() != nc.LocalAddr().String() || c.LocalAddr() != r.addr {
			t.Errorf("connection from %v to %v", c.RemoteAddr(), c.LocalAddr())
		}
		if c.Value() != "tls" {
			t.Errorf("value %v", c.Value())
		}
	})
}
