//go:build linux

package evloop

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

func TestBudget(t *testing.T) {
	process := NewBudget(10*leaseStep, nil)
	one, other := NewBudget(6*leaseStep, process), NewBudget(6*leaseStep, process)
	expect := func(b *Budget, n int, want bool) {
		t.Helper()
		if got := b.Room(Spare, n); got != want {
			t.Errorf("room for %d when %d and %d are used: %v", n, one.Used(), other.Used(), got)
		}
	}
	expect(one, 6*leaseStep, true)
	expect(one, 6*leaseStep+1, false)
	one.Add(5*leaseStep + 1)
	expect(one, leaseStep, false)
	// The rest of the lease is its own.
	expect(one, leaseStep-1, true)
	expect(other, 4*leaseStep, true)
	expect(other, 4*leaseStep+1, false)
	other.Add(4 * leaseStep)
	expect(other, 1, false)
	if !other.Room(0, Spare) || other.Room(1, Spare) {
		t.Error("a connection may always have a bit, but not more")
	}
	one.Add(-5*leaseStep - 1)
	expect(other, 2*leaseStep, true)
	other.Add(-4 * leaseStep)
	// What is kept of a lease is not much.
	if n := process.Used(); n > 4*leaseStep {
		t.Errorf("%d bytes are leased for nothing", n)
	}
	var none *Budget
	none.Add(1)
	if !none.Room(1<<40, 1<<40) || none.Used() != 0 {
		t.Error("none has a limit")
	}
}

func TestBudgetIsSafeForConcurrentUse(t *testing.T) {
	process := NewBudget(1<<30, nil)
	var loops []*Budget
	var wg sync.WaitGroup
	for i := range 4 {
		b := NewBudget(1<<30, process)
		loops = append(loops, b)
		for j := range 2 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(i), uint64(j)))
				for range 5000 {
					n := rnd.IntN(leaseStep)
					b.Add(n)
					b.Room(n, n)
					b.Add(-n)
				}
			})
		}
	}
	wg.Wait()
	for _, b := range loops {
		if b.Used() != 0 || b.leased.Load() < 0 || b.leased.Load() > 3*leaseStep {
			t.Errorf("%d used, %d leased", b.Used(), b.leased.Load())
		}
		// A whole turn around settles the lease.
		b.Add(4 * leaseStep)
		b.Add(-4 * leaseStep)
	}
	if process.Used() != 0 {
		t.Errorf("%d bytes are counted in the end", process.Used())
	}
}

// TestNoRoomForSlowReaders: when all of them together hold too much, those who
// ask for more get none, and who reads is served.
func TestNoRoomForSlowReaders(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		process := NewBudget(1<<20, nil)
		r := newRig(t, kind, Config{Loops: 1, Budget: process}, func(h *hooks) { h.data = echoMessages })
		fill := func() error {
			r.dial(t)
			c := wait(t, r.opened, "connection")
			var err error
			on(t, c, func() {
				for err == nil {
					err = c.Write(make([]byte, 60000))
				}
			})
			return err
		}
		if err := fill(); err != ErrNoRoom {
			t.Errorf("the first stopped with %v", err)
		}
		for range 5 {
			if err := fill(); err != ErrNoRoom {
				t.Errorf("another stopped with %v", err)
			}
		}
		if n := process.Used(); n < 1<<19 || n > 5<<20 {
			t.Errorf("%d bytes are held", n)
		}
		nc := r.dial(t)
		message := append([]byte{0, 200}, make([]byte, 200)...)
		for range 20 {
			mustWrite(t, nc, message)
			expect(t, nc, message)
		}
	})
}

// TestNoRoomForParts: of those who begin long messages and do not end them,
// some have to go, and the others stay.
func TestNoRoomForParts(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{Loops: 1, MaxLoopBytes: 500 << 10}, func(h *hooks) { h.data = echoMessages })
		good := r.dial(t)
		half := binary.BigEndian.AppendUint16(nil, 60000)
		half = append(half, make([]byte, 30000)...)
		var others []net.Conn
		for range 40 {
			nc := r.dial(t)
			// It may be closed before it has got all of it.
			_, _ = nc.Write(half)
			others = append(others, nc)
		}
		if err := wait(t, r.closed, "end"); err != ErrNoRoom {
			t.Errorf("closed with %v", err)
		}
		short := append([]byte{0, 9}, "good news"...)
		mustWrite(t, good, short[:5])
		mustWrite(t, good, short[5:])
		expect(t, good, short)
		if n := r.e.Stats().Held; n > 1<<20 {
			t.Errorf("%d bytes are held", n)
		}
		// Room comes back with the end of messages.
		for _, nc := range others {
			nc.Close()
		}
		for range len(others) - 1 {
			wait(t, r.closed, "end")
		}
		long := append(half, bytes.Repeat([]byte("x"), 30000)...)
		mustWrite(t, good, long)
		expect(t, good, long)
	})
}

// TestHandshakesWaitForRoom: some are always under way.
func TestHandshakesWaitForRoom(t *testing.T) {
	l := newHandLoop(t, Config{MaxLoopBytes: 6*handshakeBytes + 16<<10}, nil)
	server, client := testTLS(t)
	begin := helloOf(t, client)[:300]
	var conns []*Conn
	for range 10 {
		c, fd := l.pairWith(t, Options{TLS: server})
		put(t, fd, begin)
		conns = append(conns, c)
		l.turn()
	}
	for range 3 {
		l.turn()
	}
	if l.tls.running != 6 || len(l.tls.waiting) != 4 {
		t.Errorf("%d handshakes run, %d wait", l.tls.running, len(l.tls.waiting))
	}
	l.budget.Add(6 * handshakeBytes)
	for _, c := range conns[:4] {
		c.Close(nil)
		l.turn()
		l.turn()
	}
	if l.tls.running != minHandshakes {
		t.Errorf("%d handshakes run without room", l.tls.running)
	}
	l.budget.Add(-6 * handshakeBytes)
	conns[4].Close(nil)
	for range 5 {
		l.turn()
	}
	if l.tls.running != 5 || len(l.tls.waiting) != 0 {
		t.Errorf("%d handshakes run, %d wait when there is room again", l.tls.running, len(l.tls.waiting))
	}
}

// TestLargeRecordsAreCounted: crypto/tls makes room for a record when its header
// has come, and keeps it.
func TestLargeRecordsAreCounted(t *testing.T) {
	const conns, record = 20, 16 << 10
	r := newRig(t, "tls", Config{Loops: 1, MaxLoopBytes: conns / 2 * record}, func(h *hooks) { h.data = echoMessages })
	good := r.dial(t)
	var others []net.Conn
	for range conns {
		nc := r.dial(t)
		others = append(others, nc)
	}
	for _, nc := range others {
		// Byte by byte, as it may come.
		for _, b := range []byte{23, 3, 3, record >> 8, record & 0xff, 1, 2, 3} {
			if _, err := tcp(nc).Write([]byte{b}); err != nil {
				break
			}
		}
	}
	for range 5 {
		if err := wait(t, r.closed, "end"); err != ErrNoRoom {
			t.Errorf("closed with %v", err)
		}
	}
	message := append([]byte{0, 200}, make([]byte, 200)...)
	for range 20 {
		mustWrite(t, good, message)
		expect(t, good, message)
	}
	if n := r.e.Stats().Held; n < conns/4*record || n > conns*record {
		t.Errorf("%d bytes are held", n)
	}
}
