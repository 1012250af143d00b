package link

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

var webTransports = []string{"ws", "wss", "http", "https"}

// coderDial connects with an independent implementation.
func (r *rig) coderDial(t *testing.T) *websocket.Conn {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: r.tlsClient}}
	t.Cleanup(client.CloseIdleConnections)
	c, _, err := websocket.Dial(t.Context(), r.url, &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	c.SetReadLimit(2 << 20)
	return c
}

func TestIndependentClient(t *testing.T) {
	for _, kind := range both(webTransports...) {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, Config{FirstFrame: im.MaxClientFrame}, func(r *recorder) { r.onFrame = echo })
			c := r.coderDial(t)
			// Two frames in a message, one of them large enough for the
			// client to send it in fragments.
			want := wire.AppendFrame(hello(10), wire.TypeSend, bytes.Repeat([]byte("x"), 100000))
			w, err := c.Writer(t.Context(), websocket.MessageBinary)
			if err != nil {
				t.Fatal(err)
			}
			for part := range slices.Chunk(want, 9000) {
				if _, err := w.Write(part); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			var got []byte
			for len(got) < len(want) {
				typ, p, err := c.Read(t.Context())
				if err != nil || typ != websocket.MessageBinary {
					t.Fatal(typ, err)
				}
				got = append(got, p...)
			}
			if !bytes.Equal(got, want) {
				t.Error("other bytes came back")
			}
			reading := c.CloseRead(t.Context())
			if err := c.Ping(t.Context()); err != nil {
				t.Errorf("ping: %v", err)
			}
			if err := c.Close(websocket.StatusNormalClosure, "bye"); err != nil {
				t.Errorf("close: %v", err)
			}
			<-reading.Done()
			if err := wait(t, r.closed, "Closed"); !errors.Is(err, io.EOF) {
				t.Errorf("closed with %v", err)
			}
		})
	}
}

func TestCloseStatusSeenByIndependentClient(t *testing.T) {
	for _, kind := range both(webTransports...) {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, Config{}, nil)
			c := r.coderDial(t)
			if err := c.Write(t.Context(), websocket.MessageBinary, hello(0)); err != nil {
				t.Fatal(err)
			}
			wait(t, r.opened, "connection").Close(im.CloseRevoked, "logged out")
			_, p, err := c.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			typ, payload, _, err := wire.Parse(p, len(p))
			m := new(skeinv1.Close)
			if err != nil || typ != wire.TypeClose || wire.UnmarshalMessage(payload, m) != nil || m.Code != 201 {
				t.Errorf("got %v %v: %v", typ, m, err)
			}
			_, _, err = c.Read(t.Context())
			var e websocket.CloseError
			if !errors.As(err, &e) || e.Code != 4201 || e.Reason != "logged out" {
				t.Errorf("then %v", err)
			}
		})
	}
}

// packet is a masked WebSocket packet whose header a test may spoil.
func packet(first byte, payload string) []byte {
	b := appendMasked(nil, ws.OpCode(first&0xf), []byte(payload))
	b[0] = first
	return b
}

const (
	fin          = 0x80
	binaryFinal  = fin | byte(ws.OpBinary)
	binaryPart   = byte(ws.OpBinary)
	partFinal    = fin | byte(ws.OpContinuation)
	part         = byte(ws.OpContinuation)
	pingFinal    = fin | byte(ws.OpPing)
	pongFinal    = fin | byte(ws.OpPong)
	closeFinal   = fin | byte(ws.OpClose)
	helloMessage = "\x03\x02hi"
)

// closeWith is a WebSocket close.
func closeWith(status uint16, reason string) []byte {
	return packet(closeFinal, string(binary.BigEndian.AppendUint16(nil, status))+reason)
}

func join(packets ...[]byte) []byte { return bytes.Join(packets, nil) }

// onEach runs a test of WebSockets on each engine.
func onEach(t *testing.T, name string, test func(t *testing.T, kind string)) {
	for _, kind := range both("ws") {
		t.Run(name+"/"+kind, func(t *testing.T) { test(t, kind) })
	}
}

// TestPackets sends raw packets and looks at the raw answer: frames handed
// over, then the status of the close. It has what TestAutobahn has not.
func TestPackets(t *testing.T) {
	const protocol, tooLarge = 4000 + uint16(im.CloseProtocol), 4000 + uint16(im.CloseTooLarge)
	bye := closeWith(1000, "")
	unmasked := appendPacket(nil, ws.OpBinary, []byte(helloMessage))
	lengthOver63Bits := append([]byte{binaryFinal, 0x80 | 127, 0x80}, make([]byte, 11)...)
	long16 := append([]byte{binaryFinal, 0x80 | 126, 0, 4, 0, 0, 0, 0}, helloMessage...)
	for name, tc := range map[string]struct {
		send   []byte
		frames int
		status uint16
	}{
		"a message":                          {join(packet(binaryFinal, helloMessage), bye), 1, 1000},
		"two frames in a message":            {join(packet(binaryFinal, helloMessage+helloMessage), bye), 2, 1000},
		"an empty message":                   {join(packet(binaryFinal, ""), packet(binaryFinal, helloMessage), bye), 1, 1000},
		"a length longer than needed":        {join(long16, bye), 1, 1000},
		"fragments":                          {join(packet(binaryPart, "\x03"), packet(part, "\x02"), packet(part, ""), packet(partFinal, "hi"), bye), 1, 1000},
		"fragments, then a whole message":    {join(packet(binaryPart, "\x03\x02h"), packet(partFinal, "i"), packet(binaryFinal, helloMessage), bye), 2, 1000},
		"close in fragments":                 {packet(byte(ws.OpClose), ""), 0, protocol},
		"not masked":                         {unmasked, 0, protocol},
		"continuation after the end":         {join(packet(binaryFinal, helloMessage), packet(part, "")), 1, protocol},
		"a message among fragments":          {join(packet(binaryPart, "\x03"), packet(binaryFinal, helloMessage)), 0, protocol},
		"a frame over two messages":          {join(packet(binaryFinal, "\x03\x02"), packet(binaryFinal, "hi")), 0, protocol},
		"half a frame behind a whole one":    {packet(binaryFinal, helloMessage+"\x03"), 1, protocol},
		"a length over 63 bits":              {lengthOver63Bits, 0, tooLarge},
		"a message over the limit":           {packet(binaryFinal, strings.Repeat("x", DefaultFirstFrame+wire.MaxHeader+1))[:14], 0, tooLarge},
		"fragments over the limit":           {join(packet(binaryPart, strings.Repeat("x", 4000)), packet(part, strings.Repeat("x", 103))), 0, tooLarge},
		"a frame over the limit":             {packet(binaryFinal, "\x03\x81\x20"), 0, tooLarge},
		"many empty fragments, then the end": {join(packet(binaryPart, ""), bytes.Repeat(packet(part, ""), 500), packet(partFinal, helloMessage), bye), 1, 1000},
	} {
		onEach(t, name, func(t *testing.T, kind string) {
			r := newRig(t, kind, Config{}, nil)
			c := r.dial(t)
			if _, err := c.nc.Write(tc.send); err != nil {
				t.Fatal(err)
			}
			pongs, status := readPackets(t, c.nc)
			if status != tc.status || len(pongs) != 0 {
				t.Errorf("pongs %q, status %d, want %d", pongs, status, tc.status)
			}
			c.nc.Close()
			wait(t, r.closed, "Closed")
			if len(r.frames) != tc.frames {
				t.Errorf("%d frames handed over, want %d", len(r.frames), tc.frames)
			}
		})
	}
}

// readPackets reads what the server sends up to the end: pongs, perhaps a
// Close frame, and the status of the WebSocket close.
func readPackets(t *testing.T, nc net.Conn) (pongs []string, status uint16) {
	t.Helper()
	goodbyes := 0
	for {
		f, err := readPacket(nc)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("the connection ended with %v", err)
			}
			if want := status >= 4200 && status < 4999; goodbyes > 1 || want != (goodbyes == 1) {
				t.Errorf("%d Close frames before status %d", goodbyes, status)
			}
			return pongs, status
		}
		if f.Header.Masked || !f.Header.Fin || status != 0 {
			t.Errorf("a packet %+v after status %d", f.Header, status)
		}
		switch f.Header.OpCode {
		case ws.OpPong:
			pongs = append(pongs, string(f.Payload))
		case ws.OpClose:
			status = binary.BigEndian.Uint16(f.Payload)
		case ws.OpBinary:
			if f.Payload[0] != byte(wire.TypeClose) {
				t.Errorf("a message %x", f.Payload)
			}
			goodbyes++
		}
	}
}

const request = "GET /link HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

func TestFramesBehindTheRequest(t *testing.T) {
	for _, kind := range both("ws", "http") {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, Config{}, nil)
			nc := r.rawDial(t)
			if _, err := nc.Write(join([]byte(request), packet(binaryFinal, helloMessage), packet(binaryFinal, helloMessage)[:3])); err != nil {
				t.Fatal(err)
			}
			if got := wait(t, r.frames, "frame"); got != (frame{wire.TypeHello, "hi"}) {
				t.Errorf("got %v", got)
			}
			resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
			if err != nil || resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
				t.Errorf("%v, %v", resp, err)
			}
		})
	}
}

func TestPathsOfTheLinkPort(t *testing.T) {
	for _, kind := range both("ws") {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, Config{}, nil)
			for _, path := range []string{"/link", "/link?from=test", "/"} {
				r.url = "ws://" + r.address(t) + path
				mustWrite(t, r.dial(t), hello(0))
				wait(t, r.frames, "frame")
			}
		})
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		request string
		status  int
	}{
		"another path":   {strings.Replace(request, "/link", "/links", 1), http.StatusNotFound},
		"no upgrade":     {"GET /link HTTP/1.1\r\nHost: a\r\n\r\n", http.StatusBadRequest},
		"a post":         {strings.Replace(request, "GET", "POST", 1), http.StatusMethodNotAllowed},
		"version 12":     {strings.Replace(request, "13", "12", 1), http.StatusUpgradeRequired},
		"not HTTP":       {"HELLO\r\n\r\n", 0},
		"endless header": {strings.Replace(request, "Host", strings.Repeat("x", maxRequest), 1), 0},
	} {
		onEach(t, name, func(t *testing.T, kind string) {
			r := newRig(t, kind, Config{}, nil)
			nc := r.rawDial(t)
			// The server may hang up before it has read all of it.
			_, _ = io.WriteString(nc, tc.request)
			resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
			switch {
			case tc.status == 0 && err == nil:
				t.Errorf("answered with %v", resp.Status)
			case tc.status != 0 && (err != nil || resp.StatusCode != tc.status):
				t.Errorf("%v, %v, want status %d", resp, err, tc.status)
			}
			nc.Close()
			r.stop(t)
			r.serving <- nil
			if len(r.opened) != 0 {
				t.Error("the handler was told")
			}
		})
	}
}

func TestServeHTTPRefuses(t *testing.T) {
	for _, kind := range both("http") {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, Config{MaxConns: 1}, nil)
			url := "http" + strings.TrimPrefix(r.url, "ws")
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			expect := func(status int) *http.Response {
				t.Helper()
				resp, err := client.Get(url)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != status {
					t.Errorf("status %d, want %d", resp.StatusCode, status)
				}
				return resp
			}
			expect(http.StatusBadRequest)
			c := r.dial(t)
			mustWrite(t, c, hello(0))
			wait(t, r.opened, "connection")
			if resp := expect(http.StatusServiceUnavailable); resp.Header.Get("Retry-After") == "" {
				t.Error("no word on when to come back")
			}
		})
	}
}

func TestPingsGetTheLatestPong(t *testing.T) {
	for _, kind := range both("ws") {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, Config{}, nil)
			c := r.dial(t)
			// All in one read, so that the pongs leave together: only the latest
			// needs to be answered.
			if _, err := c.nc.Write(join(packet(pingFinal, "1"), packet(pingFinal, "2"), packet(closeFinal, ""))); err != nil {
				t.Fatal(err)
			}
			pongs, status := readPackets(t, c.nc)
			if len(pongs) == 0 || pongs[len(pongs)-1] != "2" || status != 1000 {
				t.Errorf("pongs %q, status %d", pongs, status)
			}
		})
	}
}

// readPacket reads one packet of the WebSocket protocol from who is trusted.
func readPacket(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	if f.Header.Length > 1<<20 {
		return f, io.ErrUnexpectedEOF
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}
