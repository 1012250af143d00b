//go:build linux

package evloop

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// starved has nothing to read, until it has.
type starved struct {
	net.Conn
	in bytes.Reader
}

func (c *starved) Read(b []byte) (int, error) {
	if c.in.Len() == 0 {
		return 0, wouldBlock{}
	}
	return c.in.Read(b)
}

// TestTLSHandshakeErrorsAreFinal shows why handshakes run in coroutines: after
// a temporary error, reading goes on where it was, but a handshake never does.
func TestTLSHandshakeErrorsAreFinal(t *testing.T) {
	server, client := testTLS(t)
	hello := helloOf(t, client)
	nc := &starved{}
	tc := tls.Server(nc, server)
	nc.in.Reset(hello[:100])
	if err := tc.Handshake(); err != error(wouldBlock{}) {
		t.Fatalf("with half a hello: %v", err)
	}
	nc.in.Reset(hello[100:])
	if err := tc.Handshake(); err != error(wouldBlock{}) || nc.in.Len() != len(hello)-100 {
		t.Errorf("with the rest: %v; the handshake could go on, and needs no coroutine", err)
	}
}

// slowly writes one byte at a time.
type slowly struct{ net.Conn }

func (c slowly) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := c.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

var tlsVersions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

func TestTLSOneByteAtATime(t *testing.T) {
	for name, version := range tlsVersions {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "tls", Config{}, func(h *hooks) { h.data = echoMessages })
			client := r.client.Clone()
			client.MaxVersion = version
			nc, err := net.Dial("tcp", r.addr.String())
			if err != nil {
				t.Fatal(err)
			}
			tc := tls.Client(slowly{nc}, client)
			defer tc.Close()
			all := messages(rand.New(rand.NewPCG(1, 9)), 10, 300)
			go func() { _, _ = tc.Write(all) }()
			expect(t, tc, all)
		})
	}
}

// turning is a client's end of a connection to a loop that is turned by hand:
// reading turns it. cut is the byte of the stream before which a write makes a
// turn of its own.
type turning struct {
	t    testing.TB
	l    *handLoop
	fd   int
	cut  int
	sent int
}

func (c *turning) Write(b []byte) (int, error) {
	n := len(b)
	if at := c.cut - c.sent; at > 0 && at < n {
		put(c.t, c.fd, b[:at])
		c.l.turn()
		b = b[at:]
	}
	put(c.t, c.fd, b)
	c.sent += n
	return n, nil
}

func (c *turning) Read(b []byte) (int, error) {
	for range 100 {
		n, err := unix.Read(c.fd, b)
		if n > 0 {
			return n, nil
		}
		if err == nil {
			return 0, io.EOF
		}
		c.l.turn()
	}
	return 0, errors.New("no answer in 100 turns")
}

func (c *turning) Close() error                     { return nil }
func (c *turning) LocalAddr() net.Addr              { return nil }
func (c *turning) RemoteAddr() net.Addr             { return nil }
func (c *turning) SetDeadline(time.Time) error      { return nil }
func (c *turning) SetReadDeadline(time.Time) error  { return nil }
func (c *turning) SetWriteDeadline(time.Time) error { return nil }

// TestTLSCutAtEveryByte cuts what a client sends in two at every byte: the
// handshake, a message in two records, and the goodbye.
func TestTLSCutAtEveryByte(t *testing.T) {
	server, client := testTLS(t)
	server.SessionTicketsDisabled = true
	// Without this, the first message has 1,200 bytes more to cut.
	client.CurvePreferences = []tls.CurveID{tls.X25519}
	step := 1
	if raceEnabled {
		step = 7
	}
	for name, version := range tlsVersions {
		t.Run(name, func(t *testing.T) {
			client := client.Clone()
			client.MaxVersion = version
			for cut, sent := 1, 2; cut < sent; cut += step {
				l := newHandLoop(t, Config{}, func(h *hooks) { h.data = echoMessages })
				_, fd := l.pairWith(t, Options{TLS: server})
				nc := &turning{t: t, l: l, fd: fd, cut: cut}
				tc := tls.Client(nc, client)
				message := append([]byte{0, 100}, make([]byte, 100)...)
				mustWrite(t, tc, message[:50])
				mustWrite(t, tc, message[50:])
				expect(t, tc, message)
				if err := tc.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				expectEnd(t, tc)
				if err := <-l.h.closed; err != io.EOF {
					t.Fatalf("cut at %d: closed with %v", cut, err)
				}
				sent = nc.sent
				l.close()
			}
		})
	}
}

func TestTLSLargeRecordsLeaveNothingBehind(t *testing.T) {
	l := newHandLoop(t, Config{}, func(h *hooks) { h.data = echoMessages })
	server, client := testTLS(t)
	client.DynamicRecordSizingDisabled = true
	c, fd := l.pairWith(t, Options{TLS: server})
	tc := tls.Client(&turning{t: t, l: l, fd: fd}, client)
	for range 5 {
		all := messages(rand.New(rand.NewPCG(1, 1)), 2, 40000)
		mustWrite(t, tc, all)
		expect(t, tc, all)
	}
	if c.busy != nil || c.tls.in != nil || c.tls.shaking != nil {
		t.Errorf("left behind: %+v, %+v", c.busy, c.tls)
	}
}

func TestTLSGoodbyes(t *testing.T) {
	// A goodbye of either side arrives as the end; without one, within a
	// record, it is an error.
	r := newRig(t, "tls", Config{}, nil)
	nc := r.dial(t)
	nc.Close()
	if err := wait(t, r.closed, "end"); err != io.EOF {
		t.Errorf("closed with %v", err)
	}
	nc = r.dial(t)
	mustWrite(t, tcp(nc), []byte{23, 3, 3, 0, 100, 1, 2, 3})
	tcp(nc).Close()
	if err := wait(t, r.closed, "end"); err != io.ErrUnexpectedEOF {
		t.Errorf("closed with %v", err)
	}
	nc = r.dial(t)
	mustWrite(t, tcp(nc), []byte{23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0})
	if _, err := nc.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("a forged record was answered with %v", err)
	}
	if err := wait(t, r.closed, "end"); err == io.EOF {
		t.Errorf("closed with %v", err)
	}
}

// recorder keeps what it reads.
type recorder struct {
	net.Conn
	read []byte
}

func (c *recorder) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read = append(c.read, b[:n]...)
	return n, err
}

func TestTLSGoodbyeIsSaid(t *testing.T) {
	// crypto/tls takes the end of the connection for a goodbye too.
	for what, close := range map[string]func(c *Conn){
		"Close":       func(c *Conn) { c.Close(nil) },
		"CloseGently": func(c *Conn) { c.CloseGently(nil, time.Minute) },
	} {
		r := newRig(t, "tls", Config{}, nil)
		nc, err := net.Dial("tcp", r.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		raw := &recorder{Conn: nc}
		client := r.client.Clone()
		client.MaxVersion = tls.VersionTLS12
		tc := tls.Client(raw, client)
		if err := tc.Handshake(); err != nil {
			t.Fatal(err)
		}
		c := wait(t, r.opened, "connection")
		raw.read = nil
		on(t, c, func() { close(c) })
		expectEnd(t, tc)
		// A record of type 21, an alert.
		if len(raw.read) == 0 || raw.read[0] != 21 {
			t.Errorf("%s: the last record is %v", what, raw.read)
		}
		tc.Close()
	}
}

func TestTLSHandshakesThatWaitMayBeGone(t *testing.T) {
	l := newHandLoop(t, Config{MaxHandshakes: 1}, nil)
	server, client := testTLS(t)
	var conns []*Conn
	var fd int
	for range 4 {
		var c *Conn
		c, fd = l.pairWith(t, Options{TLS: server})
		conns = append(conns, c)
		put(t, fd, helloOf(t, client)[:300])
		l.turn()
	}
	if l.tls.running != 1 || len(l.tls.waiting) != 3 {
		t.Errorf("%d handshakes run, %d wait", l.tls.running, len(l.tls.waiting))
	}
	// Those who wait for longer are gone when it is their turn.
	conns[1].Close(nil)
	conns[2].Close(nil)
	l.turn()
	conns[0].Close(nil)
	l.turn()
	l.turn()
	if l.tls.running != 1 || conns[3].tls.shaking.resume == nil {
		t.Error("the last one has not begun")
	}
}

func TestTLSHandshakesThatFail(t *testing.T) {
	r := newRig(t, "tls", Config{HandshakeTimeout: time.Second}, nil)
	for _, c := range []struct {
		send    string
		timeout bool
	}{
		{"", true},
		{"\x16\x03\x01\x01\x00\x01\x00", true},
		{"GET / HTTP/1.1\r\n\r\n", false},
		{"\x16\x03\x01\x00\x04\x01\x00\x00\x00", false},
		{"\x16\x03\x01\x00\x04\x01\xff\xff\xff", false},
	} {
		nc, err := net.Dial("tcp", r.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, nc, []byte(c.send))
		if err := wait(t, r.failed, "call of Failed"); (err == ErrTimeout) != c.timeout {
			t.Errorf("%q: failed with %v", c.send, err)
		}
		nc.Close()
	}
	if n := r.e.Stats().Failed; n != 5 {
		t.Errorf("%d failures are counted", n)
	}
}

func TestTLSHandshakesWaitForTheirTurn(t *testing.T) {
	r := newRig(t, "tls", Config{Loops: 1, MaxHandshakes: 2, HandshakeTimeout: 500 * time.Millisecond}, nil)
	var silent []net.Conn
	for range 2 {
		nc, err := net.Dial("tcp", r.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		mustWrite(t, nc, []byte{0x16})
		silent = append(silent, nc)
	}
	// It waits until the others are given up, or gives up itself.
	for {
		nc, err := net.Dial("tcp", r.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if tls.Client(nc, r.client).Handshake() == nil {
			break
		}
	}
	wait(t, r.opened, "connection")
	for range silent {
		if err := wait(t, r.failed, "call of Failed"); err != ErrTimeout {
			t.Errorf("failed with %v", err)
		}
	}
}

func TestTLSHandshakesAreDealtOut(t *testing.T) {
	l := newHandLoop(t, Config{}, func(h *hooks) { h.data = echoMessages })
	server, client := testTLS(t)
	plain, plainFD := l.pair(t)
	<-l.h.opened
	for range 3 * handshakesPerTurn {
		_, fd := l.pairWith(t, Options{TLS: server})
		hello := helloOf(t, client)
		put(t, fd, hello)
	}
	put(t, plainFD, []byte{0, 1, 7})
	l.turn()
	if got := take(t, plainFD); !bytes.Equal(got, []byte{0, 1, 7}) {
		t.Errorf("a request beside handshakes got %v", got)
	}
	if n := l.tls.running; n != handshakesPerTurn {
		t.Errorf("%d handshakes began in a turn", n)
	}
	l.turn()
	l.turn()
	if n := l.tls.running; n != 3*handshakesPerTurn {
		t.Errorf("%d handshakes began in three turns", n)
	}
	l.closeAll()
	l.closeEnded()
	if l.tls.running != 0 || plain.state != closed {
		t.Errorf("%d handshakes are left", l.tls.running)
	}
}

// helloOf is the first message of a client.
func helloOf(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	a, b := net.Pipe()
	done := make(chan struct{})
	go func() {
		_ = tls.Client(a, cfg).Handshake()
		close(done)
	}()
	buf := make([]byte, 4096)
	n, err := b.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	<-done
	return buf[:n]
}

func TestTLSBetweenTwoEngines(t *testing.T) {
	r := newRig(t, "tls", Config{}, func(h *hooks) { h.data = echoMessages })
	all := messages(rand.New(rand.NewPCG(11, 1)), 100, 60000)
	done := make(chan []byte, 1)
	var got []byte
	client := newRig(t, "tcp", Config{Loops: 1, MaxQueue: 16 << 20}, func(h *hooks) {
		h.open = func(c *Conn) {
			if err := c.Write(all); err != nil {
				t.Error(err)
			}
		}
		h.data = func(_ *Conn, b []byte) int {
			got = append(got, b...)
			if len(got) >= len(all) {
				done <- got
			}
			return len(b)
		}
	})
	opts := DialOptions{Options: Options{TLS: r.client}, Local: netip.MustParseAddr("127.0.0.9")}
	if err := client.e.Loops()[0].Dial(r.addr, opts); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(wait(t, done, "echo"), all) {
		t.Error("what comes back is not what was sent")
	}
}
