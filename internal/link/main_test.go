package link

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/evloop"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/wire"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(peerEnv); url != "" {
		runPeer(url)
		return
	}
	goleak.VerifyTestMain(m)
}

// testTimeout is for what must not happen; nothing waits for it otherwise.
const testTimeout = patience.Limit

// frame is a frame that a test received.
type frame struct {
	t       wire.Type
	payload string
}

// recorder is a Handler whose calls a test can wait for.
type recorder struct {
	t testing.TB
	// onOpen and onFrame, when set, are called in place.
	onOpen  func(c Conn)
	onFrame func(c Conn, t wire.Type, payload []byte)

	opened chan Conn
	frames chan frame
	closed chan error

	mu     sync.Mutex
	states map[Conn]string
	busy   map[Conn]bool
}

func newRecorder(t testing.TB) *recorder {
	return &recorder{
		t:      t,
		opened: make(chan Conn, 1000),
		frames: make(chan frame, 100000),
		closed: make(chan error, 1000),
		states: map[Conn]string{},
		busy:   map[Conn]bool{},
	}
}

// enter checks that calls come in order and do not overlap.
func (r *recorder) enter(c Conn, call string, allowed ...string) func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy[c] {
		r.t.Errorf("%s overlaps another call", call)
	}
	ok := false
	for _, a := range allowed {
		ok = ok || r.states[c] == a
	}
	if !ok {
		r.t.Errorf("%s after %q", call, r.states[c])
	}
	r.states[c], r.busy[c] = call, true
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.busy[c] = false
	}
}

func (r *recorder) Open(c Conn) {
	defer r.enter(c, "open", "")()
	if r.onOpen != nil {
		r.onOpen(c)
	}
	r.opened <- c
}

func (r *recorder) Frame(c Conn, t wire.Type, payload []byte) {
	defer r.enter(c, "frame", "open", "frame")()
	if r.onFrame != nil {
		r.onFrame(c, t, payload)
		return
	}
	r.frames <- frame{t, string(payload)}
}

func (r *recorder) Closed(c Conn, err error) {
	defer r.enter(c, "closed", "open", "frame")()
	if err == nil {
		r.t.Error("closed without a reason")
	}
	r.closed <- err
}

// echo sends every frame back.
func echo(c Conn, t wire.Type, payload []byte) { _ = c.Send(wire.AppendFrame(nil, t, payload)) }

// wait receives from a channel that must deliver.
func wait[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(testTimeout):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

// rig is a server on one transport, and a way to connect to it.
type rig struct {
	*recorder
	srv  *Server
	kind string
	// url is empty for pipes.
	url  string
	opts DialOptions
	// tlsClient is set where TLS is spoken.
	tlsClient *tls.Config
	serving   chan error
	web       *httptest.Server
}

var transports = []string{"pipe", "tcp", "tls", "ws", "wss", "http", "https"}

// both are the kinds on each engine that the system has: "ws" is on goroutines,
// "ws-epoll" is not. A pipe is no socket, and always has a goroutine.
func both(kinds ...string) []string {
	all := slices.Clone(kinds)
	for _, kind := range kinds {
		if evloop.Supported() && kind != "pipe" {
			all = append(all, kind+"-"+EngineEpoll)
		}
	}
	return all
}

// newRig starts a server. It is shut down, and must come to rest, at the end
// of the test.
func newRig(t testing.TB, kind string, cfg Config, tune func(r *recorder)) *rig {
	t.Helper()
	kind, engine, explicit := strings.Cut(kind, "-")
	if cfg.Engine = engine; !explicit {
		cfg.Engine = EngineGoroutine
	}
	r := &rig{recorder: newRecorder(t), kind: kind, serving: make(chan error, 1)}
	if tune != nil {
		tune(r.recorder)
	}
	cfg.Handler = r.recorder
	secure := kind == "tls" || kind == "wss" || kind == "https"
	if secure {
		cfg.TLS, r.tlsClient = testTLS(t)
	}
	r.opts.TLS = r.tlsClient
	r.srv = NewServer(cfg)
	switch kind {
	case "pipe":
		r.serving <- nil
	case "http", "https":
		r.startHTTP(cfg.TLS)
		r.serving <- nil
	default:
		ln, err := Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		r.url = kind + "://" + ln.Addr().String()
		if kind == "ws" || kind == "wss" {
			r.url += "/link"
		}
		go func() { r.serving <- r.srv.Serve(ln) }()
	}
	t.Cleanup(func() { r.stop(t) })
	return r
}

func (r *rig) startHTTP(cfg *tls.Config) {
	mux := http.NewServeMux()
	mux.Handle("/link", r.srv)
	r.web = httptest.NewUnstartedServer(mux)
	scheme := "ws"
	if cfg != nil {
		r.web.TLS = cfg
		r.web.StartTLS()
		scheme = "wss"
	} else {
		r.web.Start()
	}
	r.url = scheme + "://" + r.web.Listener.Addr().String() + "/link"
}

func (r *rig) stop(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	if err := r.srv.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if err := wait(t, r.serving, "end of Serve"); err != nil {
		t.Errorf("serve: %v", err)
	}
	if r.web != nil {
		r.web.Close()
	}
	if st := r.srv.Stats(); st.Open != 0 || st.Held != 0 {
		t.Errorf("%d connections are open after shutdown, %d bytes are held", st.Open, st.Held)
	}
}

// dial connects; the connection is closed at the end of the test.
func (r *rig) dial(t testing.TB) *ClientConn {
	t.Helper()
	var c *ClientConn
	if r.kind == "pipe" {
		c = r.srv.Pipe()
	} else {
		var err error
		if c, err = Dial(t.Context(), r.url, r.opts); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	return c
}

// address is host:port of the rig.
func (r *rig) address(t testing.TB) string {
	t.Helper()
	_, addr, err := parseURL(r.url)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// rawDial connects without handshake.
func (r *rig) rawDial(t testing.TB) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", r.address(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	return nc
}

// onAll runs a test on every transport.
func onAll(t *testing.T, test func(t *testing.T, kind string)) {
	for _, kind := range both(transports...) {
		t.Run(kind, func(t *testing.T) { test(t, kind) })
	}
}

func hello(n int) []byte { return wire.AppendFrame(nil, wire.TypeHello, make([]byte, n)) }

func mustWrite(t testing.TB, c *ClientConn, frames []byte) {
	t.Helper()
	if err := c.Write(frames); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t testing.TB, c *ClientConn) (wire.Type, []byte) {
	t.Helper()
	typ, payload, err := c.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	return typ, payload
}

// readClose reads up to the Close frame, and the end behind it.
func readClose(t testing.TB, c *ClientConn) (*skeinv1.Close, int) {
	t.Helper()
	for n := 0; ; n++ {
		typ, payload := mustRead(t, c)
		if typ != wire.TypeClose {
			continue
		}
		var m skeinv1.Close
		if err := wire.UnmarshalMessage(payload, &m); err != nil {
			t.Fatal(err)
		}
		if typ, _, err := c.ReadFrame(); err == nil {
			t.Errorf("a %v frame after Close", typ)
		}
		c.Close()
		return &m, n
	}
}

// expectClose reads up to the Close frame and checks its code.
func expectClose(t testing.TB, c *ClientConn, code im.CloseCode) *skeinv1.Close {
	t.Helper()
	m, _ := readClose(t, c)
	if m.Code != skeinv1.CloseCode(code) {
		t.Fatalf("closed with %v (%s), want code %d", m.Code, m.Reason, code)
	}
	return m
}

var testCertificate = sync.OnceValues(func() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
})

func testTLS(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	cert, err := testCertificate()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}
