package link

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

func TestDialRefusesAddresses(t *testing.T) {
	for _, url := range []string{
		"", "127.0.0.1:7001", "http://127.0.0.1:80/link", "tcp://127.0.0.1", "tls://:7001", "tcp://127.0.0.1:7001/link",
		"ws://", "wss:///link", "tcp://127.0.0.1:port", "ws://a b/", "\x00",
	} {
		if _, err := Dial(t.Context(), url, DialOptions{}); im.KindOf(err) != im.Invalid {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for url, want := range map[string]string{
		"tcp://10.0.0.1:7001": "10.0.0.1:7001", "tls://[::1]:7001/": "[::1]:7001",
		"ws://a/link": "a:80", "wss://a/link": "a:443", "ws://[::1]/link": "[::1]:80", "wss://a:444/": "a:444",
	} {
		if _, got, err := parseURL(url); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", url, got, err, want)
		}
	}
}

// mute is a listener that accepts and says what it is told, for each
// connection once.
func mute(t *testing.T, say string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var tasks sync.WaitGroup
	var conns []net.Conn
	tasks.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			conns = append(conns, nc)
			_, _ = io.WriteString(nc, say)
		}
	})
	t.Cleanup(func() {
		ln.Close()
		tasks.Wait()
		for _, nc := range conns {
			nc.Close()
		}
	})
	return ln.Addr().String()
}

func TestDialEndsInTime(t *testing.T) {
	addr := mute(t, "")
	for _, url := range []string{"tls://" + addr, "ws://" + addr + "/link", "wss://" + addr + "/link"} {
		_, err := Dial(t.Context(), url, DialOptions{Timeout: 10 * time.Millisecond})
		if im.KindOf(err) != im.Unavailable {
			t.Errorf("%s: %v", url, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
			defer cancel()
			var d net.Dialer
			return d.DialContext(context.WithoutCancel(ctx), network, addr)
		}
		if _, err = Dial(ctx, url, DialOptions{NetDial: dial}); im.KindOf(err) != im.Unavailable {
			t.Errorf("%s, cancelled: %v", url, err)
		}
	}
}

func TestDialFails(t *testing.T) {
	notFound := "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
	endless := "HTTP/1.1 101 Switching Protocols\r\n" + strings.Repeat("x", 2*maxResponse)
	for name, url := range map[string]string{
		"a server of another kind": "ws://" + mute(t, notFound) + "/link",
		"an endless answer":        "ws://" + mute(t, endless) + "/link",
		"not TLS":                  "tls://" + mute(t, notFound),
		"nobody there":             "tcp://127.0.0.1:1",
	} {
		if _, err := Dial(t.Context(), url, DialOptions{}); im.KindOf(err) != im.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnknownCertificate(t *testing.T) {
	for _, kind := range []string{"tls", "wss"} {
		r := newRig(t, kind, Config{}, nil)
		if _, err := Dial(t.Context(), r.url, DialOptions{}); im.KindOf(err) != im.Unavailable {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// webServer serves WebSockets by an independent implementation.
func webServer(t *testing.T, serve func(ctx context.Context, c *websocket.Conn)) *ClientConn {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c, err := websocket.Accept(w, req, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(1 << 20)
		serve(req.Context(), c)
	}))
	t.Cleanup(srv.Close)
	c, err := Dial(t.Context(), "ws"+strings.TrimPrefix(srv.URL, "http"), DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestIndependentServer(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 100000)
	seen := make(chan []byte, 1)
	c := webServer(t, func(ctx context.Context, c *websocket.Conn) {
		w, err := c.Writer(ctx, websocket.MessageBinary)
		if err != nil {
			t.Error(err)
			return
		}
		for _, part := range [][]byte{wire.AppendPong(nil), wire.AppendFrame(nil, wire.TypeDeliver, big), wire.AppendPong(nil)} {
			_, err = w.Write(part)
			if err = errors.Join(err, w.Close()); err != nil {
				t.Error(err)
			}
			if w, err = c.Writer(ctx, websocket.MessageBinary); err != nil {
				t.Error(err)
			}
		}
		_ = w.Close()
		var got []byte
		for len(got) < 2*len(big) {
			_, p, err := c.Read(ctx)
			if err != nil {
				t.Error(err)
				break
			}
			got = append(got, p...)
		}
		seen <- got
		ctx = c.CloseRead(ctx)
		if err := c.Ping(ctx); err != nil {
			t.Errorf("ping: %v", err)
		}
		_ = c.Close(4101, "moving")
	})
	if typ, _ := mustRead(t, c); typ != wire.TypePong {
		t.Errorf("got %v", typ)
	}
	if typ, p := mustRead(t, c); typ != wire.TypeDeliver || !bytes.Equal(p, big) {
		t.Errorf("got %v of %d bytes", typ, len(p))
	}
	mustRead(t, c)
	frames := wire.AppendFrame(wire.AppendFrame(nil, wire.TypeSend, big), wire.TypeSend, big)
	mustWrite(t, c, frames)
	if got := wait(t, seen, "frames"); !bytes.Equal(got, frames) {
		t.Error("other bytes arrived")
	}
	_, _, err := c.ReadFrame()
	var e *CloseError
	if !errors.As(err, &e) || e.Code != im.CloseGoingAway || e.Reason != "moving" {
		t.Errorf("ended with %v", err)
	}
}

func TestOrdinaryCloseIsTheEnd(t *testing.T) {
	c := webServer(t, func(_ context.Context, c *websocket.Conn) { _ = c.Close(websocket.StatusGoingAway, "") })
	if _, _, err := c.ReadFrame(); !errors.Is(err, io.EOF) {
		t.Errorf("ended with %v", err)
	}
}

// answerUpgrade answers one upgrade by hand, with bytes right behind the answer.
func answerUpgrade(t *testing.T, behind []byte) *ClientConn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		var out bytes.Buffer
		br := bufio.NewReader(nc)
		_, err = ws.Upgrade(struct {
			io.Reader
			io.Writer
		}{br, &out})
		if err != nil {
			t.Error(err)
		}
		_, _ = nc.Write(append(out.Bytes(), behind...))
		_, _ = io.Copy(io.Discard, nc)
	}()
	c, err := Dial(t.Context(), "ws://"+ln.Addr().String()+"/", DialOptions{MaxFrame: 5000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		ln.Close()
		<-done
	})
	return c
}

func TestFramesBehindTheAnswer(t *testing.T) {
	long := wire.AppendFrame(nil, wire.TypeDeliver, make([]byte, 3000))
	c := answerUpgrade(t, join(appendPacket(nil, ws.OpBinary, long), appendPacket(nil, ws.OpBinary, wire.AppendPong(nil))))
	if typ, p := mustRead(t, c); typ != wire.TypeDeliver || len(p) != 3000 {
		t.Errorf("got %v of %d bytes", typ, len(p))
	}
	if typ, _ := mustRead(t, c); typ != wire.TypePong {
		t.Errorf("got %v", typ)
	}
}

func TestClientRefusesNonsense(t *testing.T) {
	over := wire.AppendHeader(nil, wire.TypeDeliver, 5001)
	for name, tc := range map[string]struct {
		send []byte
		kind im.ErrorKind
	}{
		"masked":           {packet(binaryFinal, helloMessage), im.Invalid},
		"text":             {appendPacket(nil, ws.OpText, []byte(helloMessage)), im.Invalid},
		"a frame too many": {appendPacket(nil, ws.OpBinary, over), im.TooLarge},
		"a long message":   {appendPacketHeader(nil, ws.OpBinary, 5000+wire.MaxHeader+1), im.TooLarge},
	} {
		if _, _, err := answerUpgrade(t, tc.send).ReadFrame(); im.KindOf(err) != tc.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWriteTakesWholeFrames(t *testing.T) {
	r := newRig(t, "ws", Config{}, nil)
	c := r.dial(t)
	if err := c.Write(hello(5)[:4]); im.KindOf(err) != im.Invalid {
		t.Errorf("half a frame: %v", err)
	}
	// Nothing of it has left.
	mustWrite(t, c, hello(5))
	wait(t, r.frames, "frame")
}

func TestWriteTimesOut(t *testing.T) {
	c, err := Dial(t.Context(), "tcp://"+mute(t, ""), DialOptions{WriteTimeout: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	frame := wire.AppendFrame(nil, wire.TypeSend, make([]byte, 1<<20))
	for err == nil {
		err = c.Write(frame)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("failed with %v", err)
	}
	if again := c.Write(wire.AppendPing(nil)); again == nil {
		t.Error("half a frame may have left, and writing goes on")
	}
}

func TestReadDeadlineIsNotTheEnd(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, func(r *recorder) { r.onFrame = echo })
		c := r.dial(t)
		_ = c.SetReadDeadline(time.Now().Add(-time.Second))
		if _, _, err := c.ReadFrame(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("failed with %v", err)
		}
		_ = c.SetReadDeadline(time.Now().Add(testTimeout))
		mustWrite(t, c, append(hello(1), hello(2)...))
		if c.Buffered() {
			t.Error("something is buffered before anything came")
		}
		mustRead(t, c)
		mustRead(t, c)
	})
}

func TestConcurrentWrites(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{FirstFrame: im.MaxClientFrame}, nil)
		c := r.dial(t)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 50 {
					if err := c.Write(hello(1000)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for range 8 * 50 {
			if f := wait(t, r.frames, "frame"); f.t != wire.TypeHello || len(f.payload) != 1000 {
				t.Fatalf("got %v of %d bytes", f.t, len(f.payload))
			}
		}
		wg.Wait()
	})
}
