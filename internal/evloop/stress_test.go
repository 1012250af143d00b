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
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pushed marks messages that are no echo.
const pushed = 0xff

// client does to the server what clients do, in good and in bad ways.
type client struct {
	r   *rig
	t   *testing.T
	rnd *rand.Rand
	// whole counts conversations that came to their end.
	whole *atomic.Int64
}

func (c *client) round() {
	nc, err := net.Dial("tcp", c.r.addr.String())
	if err != nil {
		c.t.Error(err)
		return
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(testTimeout))
	if c.rnd.IntN(10) == 0 {
		// Half a handshake, or half a message.
		_, _ = nc.Write([]byte{0x16, 3, 1})
		if c.rnd.IntN(2) == 0 {
			_ = nc.(*net.TCPConn).SetLinger(0)
		}
		return
	}
	conn := nc
	if c.r.client != nil {
		conn = tls.Client(nc, c.r.client)
	}
	switch c.rnd.IntN(4) {
	case 0:
		c.flood(nc, conn)
	default:
		c.converse(nc, conn)
	}
}

// flood writes and does not read.
func (c *client) flood(nc, conn net.Conn) {
	b := make([]byte, 1+c.rnd.IntN(300000))
	_ = nc.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	_, _ = conn.Write(b)
	if c.rnd.IntN(2) == 0 {
		_ = nc.(*net.TCPConn).SetLinger(0)
	}
}

// converse expects its messages back, between what is pushed.
func (c *client) converse(nc, conn net.Conn) {
	var want [][]byte
	var all []byte
	for range c.rnd.IntN(100) {
		m := messages(c.rnd, 1, []int{20, 5000}[c.rnd.IntN(2)])
		want, all = append(want, m), append(all, m...)
	}
	var writing sync.WaitGroup
	rnd := rand.New(rand.NewPCG(c.rnd.Uint64(), 1))
	writing.Go(func() { _ = pump(conn, all, rnd, 3000) })
	defer writing.Wait()
	for i := 0; i < len(want); {
		got, err := readMessage(conn)
		if err != nil {
			// The server may close at any time.
			nc.Close()
			return
		}
		if len(got) == 3 && got[2] == pushed {
			continue
		}
		if !bytes.Equal(got, want[i]) {
			c.t.Errorf("message %d of %d bytes came back with %d", i, len(want[i]), len(got))
			nc.Close()
			return
		}
		i++
	}
	c.whole.Add(1)
}

func readMessage(r io.Reader) ([]byte, error) {
	b := make([]byte, 2, 100)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	b = append(b, make([]byte, binary.BigEndian.Uint16(b))...)
	_, err := io.ReadFull(r, b[2:])
	return b, err
}

// disturb does what the rest of a server does to its connections, from another
// goroutine.
func disturb(r *rig, rnd *rand.Rand, stop <-chan struct{}) {
	var conns []*Conn
	for {
		select {
		case c := <-r.opened:
			conns = append(conns, c)
			if len(conns) > 200 {
				conns = conns[100:]
			}
			continue
		case <-stop:
			return
		default:
		}
		if len(conns) == 0 {
			continue
		}
		c := conns[rnd.IntN(len(conns))]
		push := []byte{0, 1, pushed}
		switch p := rnd.IntN(10000); {
		case p < 1:
			_ = post(c, func(c *Conn) { c.CloseGently(errors.New("goodbye"), 200*time.Millisecond) })
		case p < 2:
			_ = post(c, func(c *Conn) { c.Close(nil) })
		case p < 10:
			_ = r.e.Each(func(c *Conn) { _ = c.Write(push) }, 5, nil)
		case p < 50:
			_ = post(c, func(c *Conn) { c.SetTimer(100 * time.Millisecond) })
		case p < 200:
			_ = post(c, (*Conn).NotifyDrained)
		default:
			_ = send(c, push)
		}
	}
}

func TestStress(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		cfg := Config{
			MaxQueue: 200 << 10, MaxPartial: 70000, MaxInbox: 300, MaxHandshakes: 3, MaxConns: 14,
			StallTimeout: 300 * time.Millisecond, HandshakeTimeout: 300 * time.Millisecond,
		}
		r := newRig(t, kind, cfg, func(h *hooks) {
			h.data = echoMessages
			h.open = func(c *Conn) { c.SetIdle(500 * time.Millisecond) }
			h.timeout = func(c *Conn) { c.SetIdle(500 * time.Millisecond) }
			h.drained = func(*Conn) {}
		})
		var clients, others sync.WaitGroup
		var whole atomic.Int64
		stop := make(chan struct{})
		for i := range 2 {
			others.Go(func() { disturb(r, rand.New(rand.NewPCG(uint64(i), 5)), stop) })
		}
		for i := range 16 {
			clients.Go(func() {
				c := &client{r, t, rand.New(rand.NewPCG(uint64(i), 6)), &whole}
				for range 15 {
					c.round()
				}
			})
		}
		clients.Wait()
		close(stop)
		others.Wait()
		s := r.e.Stats()
		t.Logf("%d whole conversations, %+v", whole.Load(), s)
		if whole.Load() == 0 || s.Refused == 0 {
			t.Error("not what it is meant to be")
		}
	})
}

// FuzzDelivery cuts a stream into pieces, and lets the handler take and leave
// what it likes of it: every byte must come, in order, until it is consumed.
// Of each byte of the plan, the lower half is for the sender, the upper for
// the handler.
func FuzzDelivery(f *testing.F) {
	f.Add([]byte{0x11, 0x22, 0x13, 0xf1, 0x0f, 0x00, 0x55})
	f.Add([]byte{0xff, 0x0f, 0x0f, 0xe3, 0xe3, 0xe3})
	f.Fuzz(func(t *testing.T, plan []byte) {
		plan = plan[:min(len(plan), 200)]
		calls, consumed := 0, 0
		l := newHandLoop(t, Config{}, func(h *hooks) {
			h.data = func(c *Conn, b []byte) int {
				n := len(b)
				if calls < len(plan) {
					step := int(plan[calls] >> 4)
					n = min(n, step*step)
				}
				for i, got := range b[:n] {
					if got != byte(consumed+i) {
						t.Fatalf("byte %d is %d", consumed+i, got)
					}
				}
				clear(b[:n])
				calls++
				consumed += n
				return n
			}
		})
		c, fd := l.pair(t)
		sent := 0
		for _, step := range plan {
			piece := make([]byte, 1<<(step&15%12))
			for i := range piece {
				piece[i] = byte(sent + i)
			}
			if n, _ := unix.Write(fd, piece); n > 0 {
				sent += n
			}
			l.turn()
		}
		// The rest comes with what follows.
		calls = len(plan)
		put(t, fd, []byte{byte(sent)})
		sent++
		for range 100 {
			l.turn()
		}
		if consumed != sent {
			t.Errorf("%d of %d bytes were consumed", consumed, sent)
		}
		if c.busy != nil {
			t.Error("the connection still has buffers")
		}
	})
}

func TestRequestsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l := newHandLoop(t, Config{}, nil)
	l.handler = &echoes{}
	c, fd := l.pair(t)
	buf := make([]byte, 100)
	push := func() { _ = c.Write(request) }
	trip := func() {
		if _, err := unix.Write(fd, request); err != nil {
			t.Fatal(err)
		}
		if err := l.Post(push); err != nil {
			t.Fatal(err)
		}
		l.turn()
		if n, err := unix.Read(fd, buf); n != 2*requestSize {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	if n := testing.AllocsPerRun(1000, trip); n != 0 {
		t.Errorf("%v allocations for a request and a message", n)
	}
	if c.busy != nil {
		t.Error("an idle connection has buffers")
	}
}
