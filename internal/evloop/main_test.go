//go:build linux

package evloop

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/skein-im/skein/internal/patience"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(peerEnv); spec != "" {
		runPeer(spec)
		return
	}
	goleak.VerifyTestMain(m)
}

// testTimeout is for what must not happen; nothing waits for it otherwise.
const testTimeout = patience.Limit

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

// hooks is a Handler made of functions, which checks that calls come in order
// and do not overlap. Those that are nil do nothing; data consumes everything.
type hooks struct {
	t                           testing.TB
	open, timeout, drained      func(c *Conn)
	data                        func(c *Conn, b []byte) int
	onClosed                    func(c *Conn, err error)
	opened                      chan *Conn
	closed, failed              chan error
	calls                       sync.Map
	openCalls, closeds, faileds atomic.Int64
}

// life is what hooks knows of a connection.
type life struct {
	busy atomic.Bool
	last string
}

func newHooks(t testing.TB) *hooks {
	return &hooks{
		t:      t,
		opened: make(chan *Conn, 50000),
		closed: make(chan error, 50000),
		failed: make(chan error, 50000),
	}
}

func (h *hooks) enter(c *Conn, call string) func() {
	v, _ := h.calls.LoadOrStore(c, new(life))
	l := v.(*life)
	if !l.busy.CompareAndSwap(false, true) {
		h.t.Errorf("%s overlaps another call", call)
	}
	first := call == "Open" || call == "Failed"
	if first != (l.last == "") || l.last == "Closed" || l.last == "Failed" {
		h.t.Errorf("%s after %q", call, l.last)
	}
	l.last = call
	return func() { l.busy.Store(false) }
}

func (h *hooks) Open(c *Conn) {
	defer h.enter(c, "Open")()
	h.openCalls.Add(1)
	if h.open != nil {
		h.open(c)
	}
	h.opened <- c
}

func (h *hooks) Data(c *Conn, b []byte) int {
	defer h.enter(c, "Data")()
	if len(b) == 0 {
		h.t.Error("Data without data")
	}
	if h.data != nil {
		return h.data(c, b)
	}
	return len(b)
}

func (h *hooks) Timeout(c *Conn) {
	defer h.enter(c, "Timeout")()
	h.timeout(c)
}

func (h *hooks) Drained(c *Conn) {
	defer h.enter(c, "Drained")()
	h.drained(c)
}

func (h *hooks) Closed(c *Conn, err error) {
	defer h.enter(c, "Closed")()
	if err == nil {
		h.t.Error("closed without a reason")
	}
	h.closeds.Add(1)
	if h.onClosed != nil {
		h.onClosed(c, err)
	}
	h.closed <- err
}

func (h *hooks) Failed(c *Conn, err error) {
	defer h.enter(c, "Failed")()
	if err == nil {
		h.t.Error("failed without a reason")
	}
	h.faileds.Add(1)
	h.failed <- err
}

// rig is an engine that listens.
type rig struct {
	*hooks
	e    *Engine
	addr netip.AddrPort
	// client is how to dial with TLS, nil if it is not spoken.
	client *tls.Config
}

// transports are what conformance is tested on.
var transports = []string{"tcp", "tls"}

func onAll(t *testing.T, f func(t *testing.T, kind string)) {
	for _, kind := range transports {
		t.Run(kind, func(t *testing.T) { f(t, kind) })
	}
}

// newRig starts an engine, which is cut and must come to rest at the end.
func newRig(t testing.TB, kind string, cfg Config, tune func(h *hooks)) *rig {
	t.Helper()
	r := &rig{hooks: newHooks(t)}
	if tune != nil {
		tune(r.hooks)
	}
	if cfg.Handler == nil {
		cfg.Handler = r.hooks
	}
	if cfg.Loops == 0 {
		cfg.Loops = 2
	}
	var err error
	if r.e, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.stop() })
	opts := Options{Value: kind}
	if kind == "tls" {
		opts.TLS, r.client = testTLS(t)
	}
	if r.addr, err = r.e.Listen(t.Context(), "127.0.0.1:0", opts); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) stop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.e.Shutdown(ctx)
	if n := r.e.Open(); n != 0 {
		r.t.Errorf("%d connections are left after Shutdown", n)
	}
	if n := r.e.Stats().Held; n != 0 {
		r.t.Errorf("%d bytes are held for nobody", n)
	}
	if o, c := r.openCalls.Load(), r.closeds.Load(); o != c {
		r.t.Errorf("%d connections were opened, %d closed", o, c)
	}
}

// dial connects with the standard library.
func (r *rig) dial(t testing.TB) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", r.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	if r.client == nil {
		return nc
	}
	tc := tls.Client(nc, r.client)
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	return tc
}

// tcp is the socket below a connection.
func tcp(nc net.Conn) *net.TCPConn {
	if tc, ok := nc.(*tls.Conn); ok {
		nc = tc.NetConn()
	}
	return nc.(*net.TCPConn)
}

// reset closes a connection with a reset.
func reset(t testing.TB, nc net.Conn) {
	t.Helper()
	if err := tcp(nc).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	tcp(nc).Close()
}

// on runs f on the loop of c and waits for it.
func on(t testing.TB, c *Conn, f func()) {
	t.Helper()
	done := make(chan struct{})
	if err := c.Loop().Post(func() { f(); close(done) }); err != nil {
		t.Fatal(err)
	}
	wait(t, done, "posted function")
}

func mustWrite(t testing.TB, nc net.Conn, b []byte) {
	t.Helper()
	if _, err := nc.Write(b); err != nil {
		t.Fatal(err)
	}
}

// testTLS makes a certificate for 127.0.0.1.
func testTLS(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	return server, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
}

// handLoop is a loop that a test turns by hand. Its timers go by the ticks
// that the test lets pass.
type handLoop struct {
	*Loop
	h *hooks
}

func newHandLoop(t testing.TB, cfg Config, tune func(h *hooks)) *handLoop {
	t.Helper()
	h := newHooks(t)
	if tune != nil {
		tune(h)
	}
	cfg.Handler = h
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLoop(&Engine{cfg: cfg, trimmer: newTrimmer()})
	if err != nil {
		t.Fatal(err)
	}
	hl := &handLoop{l, h}
	t.Cleanup(hl.close)
	return hl
}

// close closes everything, any number of times.
func (l *handLoop) close() {
	l.closeAll()
	l.closeEnded()
	l.poller.close()
}

// pass lets time pass and takes a turn.
func (l *handLoop) pass(d time.Duration) {
	l.started = l.started.Add(-d)
	l.turn()
}

// pair opens a connection and returns the other end's descriptor.
func (l *handLoop) pair(t testing.TB) (*Conn, int) {
	t.Helper()
	return l.pairWith(t, Options{})
}

func (l *handLoop) pairWith(t testing.TB, opts Options) (*Conn, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[1]) })
	if err := l.engine.admit(); err != nil {
		t.Fatal(err)
	}
	c := l.add(fds[0], handshaking, &opts)
	if c == nil {
		t.Fatal("cannot watch a socket")
	}
	c.establish(&opts)
	return c, fds[1]
}

// put writes to a descriptor, all of it.
func put(t testing.TB, fd int, b []byte) {
	t.Helper()
	if n, err := unix.Write(fd, b); n != len(b) {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(b), err)
	}
}

// take reads what is there.
func take(t testing.TB, fd int) []byte {
	t.Helper()
	b := make([]byte, 1<<20)
	n, err := unix.Read(fd, b)
	if err == unix.EAGAIN {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}
