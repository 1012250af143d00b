package link

import (
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/evloop"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

func TestFramesLeaveInTheOrderOfSend(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, func(r *recorder) {
			r.onFrame = func(c Conn, _ wire.Type, p []byte) {
				// By turns from elsewhere and from here.
				for i := byte(0); i < 100; i += 2 {
					sent := make(chan error)
					go func() { sent <- c.Send(wire.AppendFrame(nil, wire.TypeDeliver, []byte{i})) }()
					if err := <-sent; err != nil {
						t.Error(err)
					}
					_ = c.Send(wire.AppendFrame(nil, wire.TypeDeliver, []byte{i + 1}))
				}
			}
		})
		c := r.dial(t)
		mustWrite(t, c, hello(0))
		for i := range 100 {
			if _, p := mustRead(t, c); int(p[0]) != i {
				t.Fatalf("frame %d instead of %d", p[0], i)
			}
		}
	})
}

// TestSendsToOthersFromTheHandler: those others may be on the same loop, and
// they may have closed.
func TestSendsToOthersFromTheHandler(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		const n = 16
		var clients []*ClientConn
		conns := make(chan Conn, n)
		r := newRig(t, kind, Config{}, func(r *recorder) {
			r.onFrame = func(_ Conn, typ wire.Type, p []byte) {
				for typ == wire.TypeSend && len(conns) > 0 {
					_ = (<-conns).Send(wire.AppendFrame(nil, wire.TypeDeliver, p))
				}
			}
		})
		for range n {
			c := r.dial(t)
			mustWrite(t, c, hello(0))
			clients = append(clients, c)
			conns <- wait(t, r.opened, "connection")
		}
		clients[n-1].Close()
		wait(t, r.closed, "Closed")
		mustWrite(t, clients[0], wire.AppendFrame(nil, wire.TypeSend, []byte("news")))
		for _, c := range clients[:n-1] {
			if _, p := mustRead(t, c); string(p) != "news" {
				t.Errorf("got %q", p)
			}
		}
	})
}

func TestRemoteAddr(t *testing.T) {
	for _, kind := range both("tcp", "tls", "ws", "http", "https") {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, Config{}, nil)
			c := r.dial(t)
			mustWrite(t, c, hello(0))
			conn := wait(t, r.opened, "connection")
			if got, want := conn.RemoteAddr().String(), c.LocalAddr().String(); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if st := r.srv.Stats(); st.Accepted != 1 || st.Open != 1 || st.Refused != 0 {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

func TestHalfAFrameIsNoSignOfLife(t *testing.T) {
	for _, kind := range both("tcp", "ws") {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, Config{}, func(r *recorder) {
				r.onFrame = func(c Conn, _ wire.Type, _ []byte) { c.SetIdle(100 * time.Millisecond) }
			})
			c := r.dial(t)
			mustWrite(t, c, hello(0))
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				trickleFrame(c, stop)
			}()
			expectClose(t, c, im.CloseIdle)
			close(stop)
			<-stopped
		})
	}
}

// trickleFrame writes a byte of a long frame now and then.
func trickleFrame(c *ClientConn, stop chan struct{}) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, b := range encode(c, hello(DefaultFirstFrame)) {
		select {
		case <-tick.C:
			_, _ = c.nc.Write([]byte{b})
		case <-stop:
			return
		}
	}
}

// until waits for something that is seen only by looking.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(testTimeout); !is(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}

func TestShutdownDoesNotWaitForHandshakes(t *testing.T) {
	begins := map[string]string{"tls": "\x16\x03", "ws": "GET /link HTTP/1.1\r\n"}
	for _, kind := range both("tcp", "tls", "ws") {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, Config{HandshakeTimeout: time.Hour}, nil)
			if _, err := r.rawDial(t).Write([]byte(begins[r.kind])); err != nil {
				t.Fatal(err)
			}
			until(t, "connection", func() bool { return r.srv.Stats().Open == 1 })
			r.stop(t)
			r.serving <- nil
			// It may have come too late for a handshake.
			if st := r.srv.Stats(); st.HandshakeFailed+st.Refused != 1 || len(r.opened) != 0 {
				t.Errorf("%d failed handshakes, %d refused, %d opened", st.HandshakeFailed, st.Refused, len(r.opened))
			}
		})
	}
}

func TestUnknownEngine(t *testing.T) {
	srv := NewServer(Config{Handler: newRecorder(t), Engine: "steam"})
	ln, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Serve(ln); im.KindOf(err) != im.Invalid || !strings.Contains(err.Error(), "steam") {
		t.Errorf("serve: %v", err)
	}
	w := httptest.NewRecorder()
	if srv.ServeHTTP(w, httptest.NewRequest("GET", "/link", nil)); w.Code != http.StatusInternalServerError {
		t.Errorf("status %d", w.Code)
	}
	for _, name := range []string{"", EngineAuto, EngineGoroutine} {
		if err := CheckEngine(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := CheckEngine(EngineEpoll); (err == nil) != evloop.Supported() {
		t.Errorf("epoll: %v", err)
	}
}

// wrapped is a listener that hides the socket.
type wrapped struct{ net.Listener }

func TestListenerThatIsNoSocket(t *testing.T) {
	for _, engine := range []string{EngineAuto, EngineEpoll} {
		r := newRecorder(t)
		srv := NewServer(Config{Handler: r, Engine: engine})
		ln, err := Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		serving := make(chan error, 1)
		go func() { serving <- srv.Serve(wrapped{ln}) }()
		if engine == EngineEpoll {
			if err := wait(t, serving, "error"); err == nil {
				t.Error("epoll took over what is no socket")
			}
		} else {
			c, err := Dial(t.Context(), "tcp://"+ln.Addr().String(), DialOptions{})
			if err != nil {
				t.Fatal(err)
			}
			mustWrite(t, c, hello(0))
			wait(t, r.frames, "frame")
			c.Close()
			wait(t, r.closed, "Closed")
		}
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
