package link

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// doorman lets a few connections of each address in.
type doorman struct {
	most int
	mu   sync.Mutex
	in   map[netip.Addr]int
	// gone has an entry for each that was let in and has ended.
	gone chan netip.Addr
}

func newDoorman(most int) *doorman {
	return &doorman{most: most, in: map[netip.Addr]int{}, gone: make(chan netip.Addr, 1000)}
}

func (d *doorman) config() Config {
	return Config{
		CloseTimeout: 50 * time.Millisecond,
		Accept: func(from netip.Addr) bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.in[from] == d.most {
				return false
			}
			d.in[from]++
			return true
		},
		Gone: func(from netip.Addr) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.in[from]--
			d.gone <- from
		},
	}
}

func (d *doorman) inside(from string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.in[netip.MustParseAddr(from)]
}

// dialFrom connects from an address of its own.
func (r *rig) dialFrom(t *testing.T, from string) (*ClientConn, error) {
	t.Helper()
	opts := r.opts
	local := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	opts.NetDial = local.DialContext
	c, err := Dial(t.Context(), r.url, opts)
	if err == nil {
		t.Cleanup(func() { c.Close() })
		_ = c.SetReadDeadline(time.Now().Add(testTimeout))
	}
	return c, err
}

// mustDialFrom connects and has sent a frame.
func (r *rig) mustDialFrom(t *testing.T, from string) *ClientConn {
	t.Helper()
	c, err := r.dialFrom(t, from)
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, c, hello(0))
	wait(t, r.frames, "frame")
	return c
}

// TestConnectionsOfAnAddress: a flood from one address is held off without
// disturbing others, and what was let in is counted out, whatever its end.
func TestConnectionsOfAnAddress(t *testing.T) {
	for _, kind := range both("tcp", "tls", "ws", "wss", "http", "https") {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := newDoorman(3)
			r := newRig(t, kind, d.config(), nil)
			const many, other = "127.0.0.2", "127.0.0.3"
			var clients []*ClientConn
			for range 3 {
				clients = append(clients, r.mustDialFrom(t, many))
			}
			for range 20 {
				r.expectHungUp(t, many)
			}
			if n := r.srv.Stats().Refused; n != 20 {
				t.Errorf("%d refused", n)
			}
			r.mustDialFrom(t, other)
			clients[0].Close()
			if from := wait(t, d.gone, "word of the end"); from.String() != many {
				t.Errorf("%v has gone", from)
			}
			r.mustDialFrom(t, many)
			r.expectHungUp(t, many)
			r.stop(t)
			r.serving <- nil
			if n, m := d.inside(many), d.inside(other); n != 0 || m != 0 || len(r.opened) != 5 {
				t.Errorf("%d and %d are counted in the end, %d were opened", n, m, len(r.opened))
			}
		})
	}
}

// expectHungUp checks that the server wants none of it.
func (r *rig) expectHungUp(t *testing.T, from string) {
	t.Helper()
	c, err := r.dialFrom(t, from)
	if status := ws.StatusError(0); r.web != nil && (!errors.As(err, &status) || status != http.StatusTooManyRequests) {
		t.Errorf("connected with %v, want status 429", err)
	}
	if err != nil {
		return
	}
	_ = c.Write(hello(0))
	if typ, _, err := c.ReadFrame(); err == nil {
		t.Errorf("got a %v frame", typ)
	}
}

// TestFailuresAreCountedOut: connections that do not get as far as frames are
// let in and counted out too.
func TestFailuresAreCountedOut(t *testing.T) {
	for _, kind := range both("tcp", "tls", "ws", "http") {
		for what, send := range map[string]string{
			"nothing":        "",
			"half a request": "GET /link HTTP/1.1\r\n",
			"no request":     "GET /link HTTP/1.1\r\nHost: a\r\n\r\n",
			"half a TLS":     "\x16\x03\x01",
			"nonsense":       "\xff\xff\xff\xff\xff\xff\xff",
		} {
			if strings.HasPrefix(kind, "http") && what != "no request" {
				// They do not get as far as this package.
				continue
			}
			t.Run(kind+"/"+what, func(t *testing.T) {
				t.Parallel()
				d := newDoorman(1)
				cfg := d.config()
				cfg.HandshakeTimeout = 50 * time.Millisecond
				r := newRig(t, kind, cfg, nil)
				for range 2 {
					nc := r.rawDial(t)
					_, _ = io.WriteString(nc, send)
					if from := wait(t, d.gone, "word of the end"); from.String() != "127.0.0.1" {
						t.Errorf("%v has gone", from)
					}
					nc.Close()
				}
				if n := d.inside("127.0.0.1"); n != 0 {
					t.Errorf("%d are counted", n)
				}
			})
		}
	}
}
